"""Settings become a model, or one clear line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from shared.environment_problem import EnvironmentProblem
from worker.providers import PROVIDERS, Settings, build

ROOT = Path(__file__).resolve().parents[3]
KEYS = {"OPENAI_API_KEY": "test-key", "GEMINI_API_KEY": "test-key"}
INSTALLED = ["nova-sonic", "openai-realtime", "gemini-live", "offline"]

FOREIGN = {
    "nova-sonic": {"google.genai", "openai", "websockets", "strands.bidi.models.google"},
    "openai-realtime": {"google.genai", "aws_sdk_bedrock_runtime", "strands.bidi.models.bedrock"},
    "gemini-live": {"aws_sdk_bedrock_runtime", "strands.bidi.models.openai.realtime"},
    "offline": {"google.genai", "aws_sdk_bedrock_runtime", "websockets"},
}
"""Modules that belong to another provider. Not awscrt: boto3 imports it wherever it finds it."""


@pytest.mark.slow
@pytest.mark.parametrize("name", INSTALLED)
def test_only_the_chosen_providers_packages_are_imported(name: str):
    program = (
        "import sys, worker.agent\n"
        "worker.agent.build_agent(None)\n"
        "print(' '.join(sorted(sys.modules)))\n"
    )  # fmt: skip
    path = os.pathsep.join([str(ROOT / "functions"), str(ROOT / "layers/session/python")])
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": path, "SEGUE_PROVIDER": name, **KEYS}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=100, check=True
    )
    imported = set(done.stdout.split())
    assert "worker.providers" in imported
    assert not imported & FOREIGN[name]
    assert not imported & {"soxr", "numpy"}, "there is nothing to resample at the provider's own rates"


@pytest.mark.parametrize("name", INSTALLED)
def test_every_provider_can_be_chosen(name: str):
    settings = Settings.from_environment({"SEGUE_PROVIDER": name, **KEYS})
    model = build(settings)
    assert model.provider == name
    assert model.model_id == PROVIDERS[name].default_model
    audio = model.get_audio_config()
    assert audio["input"]["sample_rate"] == PROVIDERS[name].input_rates[0]
    assert audio["output"]["sample_rate"] == PROVIDERS[name].output_rates[0]


def test_nova_sonic_is_the_default():
    assert Settings.from_environment({}).provider.name == "nova-sonic"


@pytest.mark.parametrize(
    ("variables", "line"),
    [
        ({"SEGUE_PROVIDER": "pigeon"}, r"SEGUE_PROVIDER is 'pigeon', which is no provider; set one of nova-sonic"),
        ({"SEGUE_PROVIDER": "openai-realtime"}, r"openai-realtime needs a key: set OPENAI_API_KEY$"),
        ({"SEGUE_PROVIDER": "gemini-live"}, r"gemini-live needs a key: set GEMINI_API_KEY or GOOGLE_API_KEY$"),
        ({"SEGUE_MODEL_ID": "gpt-realtime"}, r"SEGUE_MODEL_ID is 'gpt-realtime', which is no model of nova-sonic"),
        ({"SEGUE_PROVIDER_INPUT_RATE": "44100"}, r"SEGUE_PROVIDER_INPUT_RATE is 44100; nova-sonic takes 8000, 16000"),
        ({"SEGUE_PROVIDER_OUTPUT_RATE": "fast"}, r"SEGUE_PROVIDER_OUTPUT_RATE is 'fast', not a number"),
        ({"SEGUE_INPUT_RATE": "96000"}, r"SEGUE_INPUT_RATE is 96000; clients use 8000 to 48000"),
        ({"SEGUE_PROVIDER_OPTIONS": "[1]"}, r"SEGUE_PROVIDER_OPTIONS is not a JSON object"),
        ({"SEGUE_PROVIDER_OPTIONS": '{"speed": 2}'}, r"SEGUE_PROVIDER_OPTIONS has 'speed'; nova-sonic takes params"),
    ],
)
def test_a_wrong_setting_is_one_line(variables: dict[str, str], line: str):
    with pytest.raises(EnvironmentProblem, match=line) as raised:
        Settings.from_environment(variables)
    assert "\n" not in str(raised.value)


def test_a_missing_package_is_one_line():
    # OpenAI Live's client cannot be installed beside OpenAI Realtime's: they want different WebSocket libraries.
    settings = Settings.from_environment({"SEGUE_PROVIDER": "openai-live", **KEYS})
    with pytest.raises(EnvironmentProblem, match=r"openai-live cannot be used: .*openai.*docs/providers.md"):
        build(settings)


def test_an_option_that_the_model_refuses_is_one_line():
    variables = {"SEGUE_PROVIDER": "openai-realtime", "SEGUE_PROVIDER_OPTIONS": '{"timeout_s": 9999}', **KEYS}
    with pytest.raises(EnvironmentProblem, match="openai-realtime refuses its settings: timeout_s"):
        build(Settings.from_environment(variables))


def test_a_key_is_in_no_representation():
    assert "test-key" not in repr(Settings.from_environment({"SEGUE_PROVIDER": "gemini-live", **KEYS}))


def test_the_clients_rates_are_announced_and_the_providers_are_used():
    variables = {"SEGUE_PROVIDER": "openai-realtime", "SEGUE_INPUT_RATE": "16000", "SEGUE_OUTPUT_RATE": "48000", **KEYS}
    model = build(Settings.from_environment(variables))
    assert model.get_audio_config()["input"]["sample_rate"] == 16000
    assert model.get_audio_config()["output"]["sample_rate"] == 48000
    assert model.connection_state([])["provider_audio"] == [24000, 24000]
