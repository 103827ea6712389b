"""OpenAI Live, whose package is not in the lock: Strands' real model where it is installed, else a stand-in."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import types
from collections.abc import Iterator
from typing import Any

import pytest

from worker.providers import Settings, build

VARIABLES = {
    "SEGUE_PROVIDER": "openai-live",
    "OPENAI_API_KEY": "test-key",
    "SEGUE_VOICE": "marin",
    "SEGUE_PROVIDER_INPUT_RATE": "16000",
    "SEGUE_PROVIDER_OUTPUT_RATE": "16000",
    "SEGUE_PROVIDER_ENDPOINT": "http://127.0.0.1:9/v1",
}
LIVE = "strands.bidi.models.openai.live"
MAKER = "worker.providers.openai_live"


class StandIn:
    """Takes what Strands' model takes, by name: a wrong one is a TypeError as there."""

    def __init__(
        self,
        *,
        delegation_config: Any,
        voice: Any = None,
        audio_config: Any = None,
        client_args: Any = None,
        **model_config: Any,
    ) -> None:
        self.delegation, self.voice, self.audio, self.client = delegation_config, voice, audio_config, client_args
        self.model_config = model_config
        assert model_config.keys() <= {"model_id", "params", "connection"}

    def get_config(self) -> Any:
        return self.model_config

    def get_audio_config(self) -> Any:
        stream = {"format": "pcm", "sample_rate": self.audio["sample_rate"], "channels": 1}
        return {"input": stream, "output": stream}


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    module: Any = types.ModuleType(LIVE)
    module.OpenAILiveModel = StandIn
    monkeypatch.setitem(sys.modules, LIVE, module)
    sys.modules.pop(MAKER, None)
    yield
    sys.modules.pop(MAKER, None)  # it has the stand-in's name in it


@pytest.mark.usefixtures("stand_in")
def test_the_chosen_settings_reach_the_model():
    options = '{"connection": {"auto_restart": true}, "delegation_model_id": "gpt-x"}'
    model = build(Settings.from_environment({**VARIABLES, "SEGUE_PROVIDER_OPTIONS": options}))
    inner: Any = model.inner
    assert inner.model_config == {"model_id": "gpt-live-1", "connection": {"auto_restart": True}}
    assert inner.delegation == {"type": "responses", "model_id": "gpt-x"}
    assert (inner.voice, inner.audio) == ("marin", {"sample_rate": 16000})
    assert inner.client == {"api_key": "test-key", "base_url": "http://127.0.0.1:9/v1"}
    assert model.connection_state([]) == {"provider": "openai-live", "provider_audio": [16000, 16000]}


@pytest.mark.usefixtures("stand_in")
def test_a_model_to_reason_with_is_there_without_being_chosen():
    inner: Any = build(Settings.from_environment(VARIABLES)).inner
    assert inner.delegation["model_id"] == importlib.import_module(MAKER).DEFAULT_DELEGATION_MODEL


def test_strands_own_model_takes_it():
    if importlib.util.find_spec("openai") is None:
        pytest.skip("its package, strands-agents[bidi-openai-live], cannot be locked beside [bidi-openai]")
    with pytest.warns(UserWarning, match="experimental"):
        model = build(Settings.from_environment(VARIABLES))
    assert model.get_audio_config()["input"]["sample_rate"] == 16000
    assert model.inner._client.base_url.host == "127.0.0.1"


def test_the_stand_in_takes_what_strands_model_takes():
    """Read from Strands' source, which is there without its package."""
    import ast
    from pathlib import Path

    import strands.bidi.models.openai as package

    source = (Path(package.__path__[0]) / "live.py").read_text(encoding="utf-8")
    (made,) = [node for node in ast.parse(source).body if isinstance(node, ast.ClassDef) and "Model" in node.name]
    (init,) = [node for node in made.body if isinstance(node, ast.FunctionDef) and node.name == "__init__"]
    names = {argument.arg for argument in init.args.kwonlyargs}
    assert (made.name, names) == ("OpenAILiveModel", {"delegation_config", "voice", "audio_config", "client_args"})
