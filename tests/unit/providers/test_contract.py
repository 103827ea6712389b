"""What the workers rely on in Strands. A new version that lacks one of these fails here, and by name."""

from __future__ import annotations

import importlib
import importlib.metadata
import inspect
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[3]

EVENTS = "strands.bidi.types.events"
NAMES = {
    EVENTS: [
        "BidiAudioDeltaEvent", "BidiBargeInEvent", "BidiConnectionRestartEvent", "BidiConnectionStartEvent",
        "BidiConnectionStopEvent", "BidiResponseStartEvent", "BidiResponseStopEvent", "BidiTextBlockEvent",
        "BidiTextDeltaEvent", "BidiToolUseBlocksEvent", "BidiTranscriptBlockEvent", "BidiTranscriptDeltaEvent",
        "BidiTranscriptStartEvent", "BidiTranscriptStopEvent", "BidiUsageEvent",
    ],
    "strands.types._events": ["ToolResultMessageEvent"],
    "strands.types.events": ["TypedEvent"],
    "strands.bidi.hooks.events": [
        "BidiAfterConnectionRestartEvent", "BidiAgentStopEvent", "BidiBeforeConnectionRestartEvent",
        "BidiResponseStopEvent",
    ],
    "strands.hooks": ["MessageAddedEvent", "MessageUpdatedEvent", "AgentInitializedEvent", "HookOrder"],
    "strands.bidi.models": [
        "AudioCapable", "AudioConfig", "AudioStreamConfig", "BidiModel", "ConnectionTimeoutError", "Restartable",
    ],
    "strands.bidi.models.bedrock": [
        "AsyncBedrockRuntimeConfig", "BedrockNovaSonicModel", "_BedrockAWSCRTHTTPClient", "_MAX_HISTORY_TOTAL_BYTES",
    ],
    "strands.bidi.models.openai.realtime": ["OPENAI_REALTIME_URL", "OpenAIRealtimeModel"],
    "strands.bidi.models.google": ["GoogleGeminiLiveModel"],
}  # fmt: skip

METHODS = {
    ("strands.bidi.models", "BidiModel"): ["start", "stop", "send", "receive", "get_config", "get_connection_config"],
    ("strands.bidi", "BidiAgent"): ["_update_message"],
    ("strands.bidi.models.bedrock", "BedrockNovaSonicModel"): [
        "restart", "_send_nova_events", "_convert_nova_event", "_get_connection_end_event",
    ],
    ("strands.bidi.models.openai.realtime", "OpenAIRealtimeModel"): [
        "restart", "_convert_openai_event", "_send_event",
    ],
    ("strands.bidi.models.google", "GoogleGeminiLiveModel"): ["restart"],
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
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError):
        pytest.fail(
            f"this version of Strands has no {name} in {module}; see who uses it: grep -rn {name} functions layers"
        )


@pytest.mark.parametrize(("module", "name"), [(module, name) for module, names in NAMES.items() for name in names])
def test_strands_has_the_name(module: str, name: str):
    assert of_strands(module, name) is not None


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


def test_gemini_keeps_its_handle_where_it_is_read_and_takes_one_at_the_start():
    from worker.providers import handles

    model: Any = of_strands("strands.bidi.models.google", "GoogleGeminiLiveModel")(
        model_id="gemini-live", client_args={"api_key": "x"}
    )
    assert handles.of_model(model) is None
    model._live_session_handle = "h"
    assert handles.of_model(model) == "h", "the handle is read from an attribute that Strands does not have any more"
    source = inspect.getsource(type(model))
    assert source.count('"live_session_handle"') >= 3, "Strands does not take live_session_handle at start() any more"


def test_nova_says_which_text_is_final():
    state = of_strands("strands.bidi.models.bedrock", "_ResponseState")()
    assert state.generation_stage is None, "what Nova Sonic has spoken cannot be told from what it is going to say"


def test_a_model_may_ask_for_a_restart_by_raising():
    error = of_strands("strands.bidi.models", "ConnectionTimeoutError")("why")
    assert error.restart_config == {}


def test_the_range_of_strands_is_stated_and_this_one_is_in_it():
    import strands.bidi  # noqa: F401 - the version is the package's

    installed = Version(importlib.metadata.version("strands-agents"))
    (stated,) = {
        str(Requirement(line).specifier)
        for line in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
        if line.startswith("strands-agents")
    }
    assert stated == "~=1.62.0"
    assert installed in Requirement(f"strands-agents{stated}").specifier
    assert f"strands-agents {stated}" in (ROOT / "docs" / "providers.md").read_text(encoding="utf-8")
