"""Names of Strands that the functions rely on. A new version that lacks one of these fails here, and by name."""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import importlib.util
import inspect
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[3]

EVENTS = "strands.bidi.types.events"
LIVE = "strands.bidi.models.openai.live"
"""Needs a package that cannot be locked beside OpenAI Realtime's."""

PACKAGES = ("shared", "turn", "worker")
"""Deployment packages that have Strands."""

MODULES = sorted(path for package in PACKAGES for path in (ROOT / "functions" / package).rglob("*.py"))

FOLDER_ONLY = ROOT / "functions/shared/agent_code.py"
"""The module that needs the place of Strands' files, and imports it as a whole for that."""

NOT_IMPORTED = {
    ("strands.bidi.models.bedrock", "AsyncBedrockRuntimeConfig"),
    ("strands.bidi.models.bedrock", "_BedrockAWSCRTHTTPClient"),
    ("strands.bidi.models.bedrock", "_MAX_HISTORY_TOTAL_BYTES"),
    ("strands.bidi.models.openai.realtime", "OPENAI_REALTIME_URL"),
}
"""Names that are reached by an attribute of a module. Everything else is read from the functions' import statements."""


def imported(path: Path) -> set[tuple[str, str]]:
    """Each module of Strands and the name that a file takes from it, wherever the statement stands."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.ImportFrom(module=str(module)) if module.partition(".")[0] == "strands":
                found |= {(module, alias.name) for alias in node.names}
            case ast.Import():
                whole = [alias.name for alias in node.names if alias.name.partition(".")[0] == "strands"]
                assert not whole or path == FOLDER_ONLY, (
                    f"{path} imports {whole} as a whole, which hides the names that it uses"
                )
    return found


NAMES = sorted(NOT_IMPORTED.union(*map(imported, MODULES)))

METHODS = {
    ("strands.bidi.models", "BidiModel"): ["start", "stop", "send", "receive", "get_config", "get_connection_config"],
    ("strands.bidi", "BidiAgent"): ["_update_message"],
    ("strands.bidi.models.bedrock", "BedrockNovaSonicModel"): [
        "restart", "_send_nova_events", "_convert_nova_event", "_get_connection_end_event",
    ],
    ("strands.bidi.models.openai.realtime", "OpenAIRealtimeModel"): [
        "restart", "_convert_openai_event", "_send_event", "_add_conversation_history",
    ],
    ("strands.bidi.models.google", "GoogleGeminiLiveModel"): ["restart", "_convert_gemini_live_event"],
}  # fmt: skip

FIELDS = {
    "BidiTranscriptStartEvent": {"role", "content_id"},
    "BidiTranscriptDeltaEvent": {"delta", "role", "content_id"},
    "BidiTranscriptStopEvent": {"role", "content_id"},
    "BidiTranscriptBlockEvent": {"transcript", "role", "content_id"},
    "BidiAudioDeltaEvent": {"audio", "format", "sample_rate", "channels", "content_id"},
    "BidiToolUseBlocksEvent": {"tool_uses"},
    "BidiConnectionRestartEvent": {"reason", "turn_interrupted"},
    "BidiResponseStopEvent": {"response_id"},
}


def of_strands(module: str, name: str) -> Any:
    try:
        found = importlib.import_module(module)
        return getattr(found, name) if hasattr(found, name) else importlib.import_module(f"{module}.{name}")
    except ImportError:
        pytest.fail(
            f"this version of Strands has no {name} in {module}; see who uses it: grep -rn {name} functions layers"
        )


@pytest.mark.parametrize(("module", "name"), NAMES)
def test_strands_has_the_name(module: str, name: str):
    if module == LIVE and importlib.util.find_spec("openai") is None:
        pytest.skip("its package cannot be locked beside OpenAI Realtime's; its names are read from the source below")
    assert of_strands(module, name) is not None


def test_the_names_are_those_of_the_import_statements():
    assert {name for module, name in NAMES if module == EVENTS} >= {"BidiBargeInEvent", "BidiTranscriptDeltaEvent"}
    assert (LIVE, "OpenAILiveModel") in NAMES, "also where a provider's package is missing"
    assert {"strands.bidi", "strands.types.content", "strands.models"} <= {module for module, _ in NAMES}


def test_openai_lives_names_are_in_strands_source():
    import strands.bidi.models.openai as package

    tree = ast.parse((Path(package.__path__[0]) / "live.py").read_text(encoding="utf-8"))
    defined = {getattr(node, "name", None) for node in tree.body}
    assert {name for module, name in NAMES if module == LIVE} <= defined


@pytest.mark.parametrize(
    ("module", "kind", "name"), [(module, kind, name) for (module, kind), names in METHODS.items() for name in names]
)
def test_strands_classes_have_the_method(module: str, kind: str, name: str):
    assert callable(getattr(of_strands(module, kind), name, None)), f"this version of Strands has no {kind}.{name}"


@pytest.mark.parametrize(("name", "fields"), FIELDS.items())
def test_the_events_have_their_fields(name: str, fields: set[str]):
    event = of_strands(EVENTS, name)
    missing = {field for field in fields if not isinstance(getattr(event, field, None), property)}
    assert not missing, f"this version of Strands has no {name}.{missing}"


@pytest.mark.slow
def test_gemini_keeps_its_handle_where_it_is_read_and_takes_one_at_the_start():
    from worker.providers.connection import resumption_handles

    model: Any = of_strands("strands.bidi.models.google", "GoogleGeminiLiveModel")(
        model_id="gemini-live", client_args={"api_key": "x"}
    )
    assert resumption_handles.of_model(model) is None
    model._live_session_handle = "h"
    assert resumption_handles.of_model(model) == "h", "Strands does not have the handle's attribute any more"
    source = inspect.getsource(type(model))
    assert source.count('"live_session_handle"') >= 3, "Strands does not take live_session_handle at start() any more"


MADE: list[tuple[str, str, dict[str, Any]]] = [
    ("strands.bidi.models.bedrock", "BedrockNovaSonicModel", {"model_id": "amazon.nova-2-5-sonic"}),
    (
        "strands.bidi.models.openai.realtime",
        "OpenAIRealtimeModel",
        {"model_id": "gpt-realtime", "api_key": "x", "transcription_model_id": "x"},
    ),
    ("strands.bidi.models.google", "GoogleGeminiLiveModel", {"model_id": "live", "client_args": {"api_key": "x"}}),
]


@pytest.mark.slow
@pytest.mark.parametrize(("module", "name", "options"), MADE, ids=[name for _, name, _ in MADE])
def test_models_have_the_attributes_that_are_read_by_name(module: str, name: str, options: dict[str, Any]):
    """``getattr`` with a default would not notice that one is missing."""
    model = of_strands(module, name)(**options)
    assert hasattr(model, "_connection_id"), "what is told of a connection that ended has no id any more"
    assert model.get_connection_config()["restart_after_s"] > 0, "the time to renew a connection is unknown"


def test_novas_client_has_the_attribute_that_is_replaced():
    client = of_strands("strands.bidi.models.bedrock", "_BedrockAWSCRTHTTPClient")()
    assert hasattr(client, "_tls_ctx"), "another trust store cannot be given to Nova Sonic's client any more"


def test_gemini_says_why_a_turn_has_ended():
    from google.genai.types import LiveServerContent

    assert "turn_complete_reason" in LiveServerContent.model_fields


def test_nova_says_which_text_is_final():
    state = of_strands("strands.bidi.models.bedrock", "_ResponseState")()
    assert state.generation_stage is None, "what Nova Sonic has spoken cannot be told from what it is going to say"


def test_a_model_may_ask_for_a_restart_by_raising():
    error = of_strands("strands.bidi.models", "ConnectionTimeoutError")("why")
    assert error.restart_config == {}


def test_the_range_of_strands_is_stated_and_this_one_is_in_it():
    import strands.bidi  # noqa: F401 - the version is the package's

    installed = Version(importlib.metadata.version("strands-agents"))
    locked = (ROOT / "requirements" / "worker.in").read_text(encoding="utf-8").splitlines()
    (stated,) = {str(Requirement(line).specifier) for line in locked if line.startswith("strands-agents")}
    assert stated == "~=1.62.0"
    assert installed in Requirement(f"strands-agents{stated}").specifier
    assert f"strands-agents {stated}" in (ROOT / "docs" / "providers.md").read_text(encoding="utf-8")
