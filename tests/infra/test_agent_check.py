"""agent.py is checked at synthesis, with the settings of the deployment's model and without its secrets."""

from __future__ import annotations

import sys

import pytest

from infra import agent_check
from infra.agent_check import AgentError, check_agent
from infra.config import from_context
from infra.constants import ROOT

SECRET = "arn:aws:secretsmanager:us-east-1:000000000000:secret:provider-key-AbCdEf"


def config(**settings):
    return from_context({"stage": "dev", **settings})


def test_a_mistake_ends_the_synthesis_with_its_place(monkeypatch):
    said = "import sys; sys.stderr.write('agent.py:3: SyntaxError: invalid syntax\\n'); sys.exit(1)"
    monkeypatch.setattr(agent_check, "_command", lambda _: [sys.executable, "-c", said])
    with pytest.raises(AgentError, match=r"nothing was synthesized:\nagent.py:3: SyntaxError: invalid syntax"):
        check_agent(config())


def test_the_emulators_stage_was_checked_before(monkeypatch):
    monkeypatch.setattr(agent_check, "_command", lambda _: pytest.fail("it was checked again"))
    check_agent(from_context({"stage": "local"}))


@pytest.mark.parametrize(
    ("settings", "only", "locks"),
    [
        ({}, None, ["worker.txt", "turn.txt"]),
        ({"workers": "text"}, "text", ["turn.txt"]),
        ({"workers": "voice"}, "voice", ["worker.txt"]),
        ({"worker_image": "example.com/worker:1"}, "text", ["turn.txt"]),
    ],
)
def test_the_agents_that_a_deployment_has_are_built(settings, only, locks):
    command = agent_check._command(config(**settings))
    assert "--elsewhere" in command
    assert (command[command.index("--only") + 1] if "--only" in command else None) == only
    assert [each.rpartition("/")[2] for each in command if each.startswith("--lock=")] == locks


def test_the_models_settings_are_those_of_the_deployment_and_the_key_is_a_word():
    variables = agent_check._environment(
        config(provider="gemini-live", provider_secret_arn=SECRET, provider_options='{"connection": {}}')
    )
    assert variables["SEGUE_PROVIDER"] == "gemini-live"
    assert variables["SEGUE_PROVIDER_OPTIONS"] == '{"connection": {}}'
    assert variables["GEMINI_API_KEY"] == "checked-without-a-key"
    assert SECRET not in str(variables)
    assert str(ROOT / "functions") in variables["PYTHONPATH"]
