"""A real provider for a local stack."""

from __future__ import annotations

import pytest

from local.deployment.outputs import Deployment
from local.errors import LocalError
from local.settings import Settings
from local.stack import provider
from local.workers.worker_process import environment
from worker.providers import Settings as Chosen


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in provider.PASSED_ON:
        monkeypatch.delenv(name, raising=False)


def test_a_missing_key_is_one_line():
    with pytest.raises(LocalError, match="openai-realtime needs a key: set OPENAI_API_KEY"):
        provider.variables("openai-realtime", None, None)


def test_the_key_and_the_choice_reach_the_workers(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    chosen = provider.variables("openai-realtime", "gpt-realtime-mini", "marin")
    deployment = Deployment(
        endpoint="http://127.0.0.1:1",
        outputs={"ApiId": "a", "StageName": "s"},
        worker_environment={"SEGUE_PROVIDER": "offline"},
    )
    variables = environment(Settings(worker_environment=chosen), deployment, "w1", 1, {})
    settings = Chosen.from_environment(variables)
    assert settings.provider.name == "openai-realtime"
    assert (settings.model_id, settings.voice, settings.api_key) == ("gpt-realtime-mini", "marin", "k")
    assert "'k'" not in repr(Settings(worker_environment=chosen))


RATES = {
    "SEGUE_PROVIDER_INPUT_RATE": "8000", "SEGUE_PROVIDER_OUTPUT_RATE": "24000",
    "SEGUE_INPUT_RATE": "48000", "SEGUE_OUTPUT_RATE": "16000",
}  # fmt: skip


def test_formats_and_options_are_passed_on(monkeypatch):
    given = RATES | {
        "GEMINI_API_KEY": "k",
        "SEGUE_PROVIDER_OPTIONS": '{"params": {"temperature": 0.5}}',
        "SEGUE_PROVIDER_ENDPOINT": "https://gateway.example",
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    settings = Chosen.from_environment(provider.variables("gemini-live", None, None))
    assert (settings.input_rate, settings.output_rate) == (8000, 24000)
    assert (settings.client_input_rate, settings.client_output_rate) == (48000, 16000)
    assert settings.options == {"params": {"temperature": 0.5}}
    assert settings.endpoint == "https://gateway.example"


def test_a_wrong_rate_is_one_line_before_anything_starts(monkeypatch):
    monkeypatch.setenv("GEMINI_API_KEY", "k")
    monkeypatch.setenv("SEGUE_PROVIDER_OUTPUT_RATE", "16000")
    with pytest.raises(LocalError, match="SEGUE_PROVIDER_OUTPUT_RATE is 16000; gemini-live takes 24000"):
        provider.variables("gemini-live", None, None)


def test_credentials_for_bedrock_do_not_replace_those_of_the_emulator(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "real")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
    chosen = provider.variables("nova-sonic", None, None)
    assert not {name for name in chosen if name.startswith("AWS_")}
    settings = Chosen.from_environment(chosen)
    assert settings.aws == {"aws_access_key_id": "real", "aws_secret_access_key": "secret"}


def test_nova_connects_with_the_credentials_it_is_given():
    from worker.providers import build

    given = {"SEGUE_PROVIDER_AWS_ACCESS_KEY_ID": "real", "SEGUE_PROVIDER_AWS_SECRET_ACCESS_KEY": "secret"}
    model = build(Chosen.from_environment({"SEGUE_PROVIDER": "nova-sonic", **given}))
    assert model.inner._session.get_credentials().access_key == "real"
