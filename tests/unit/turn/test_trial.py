"""The test invocation of a deployment: agent.py and the model are tried before a version takes turns."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from segue.environment import EnvironmentInvalid
from segue.testing.offline.text_model import OfflineTextModel
from shared.environment_problem import EnvironmentProblem
from tests.unit.turn.test_handler import VARIABLES, Context
from turn import handler
from turn.trial import try_version

CLOSED = type("AccessDeniedException", (Exception,), {})
UNKNOWN = type("ResourceNotFoundException", (Exception,), {})
BUSY = type("ThrottlingException", (Exception,), {})


class Model(OfflineTextModel):
    """Raises the errors that it is given, one a call, and answers after them."""

    def __init__(self, *errors):
        super().__init__()
        self.errors = list(errors)
        self.calls = 0

    async def stream(self, *args, **more):
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        async for event in super().stream(*args, **more):
            yield event


def built(model):
    return lambda _: SimpleNamespace(model=model, name="agent")


@pytest.fixture
def variables(monkeypatch):
    for name, value in {**VARIABLES, "SEGUE_PROVIDER": "offline"}.items():
        monkeypatch.setenv(name, value)
    handler.environment.cache_clear()
    yield monkeypatch
    handler.environment.cache_clear()
    handler.runner().close()
    handler.runner.cache_clear()


def test_an_event_without_records_tries_the_agent_of_the_file(variables):
    assert handler.handler({}, Context()) == {"agent": "Strands Agents", "model": "OfflineTextModel"}


def test_a_missing_variable_fails_the_trial(variables):
    variables.delenv("SEGUE_BUCKET")
    with pytest.raises(EnvironmentInvalid, match="SEGUE_BUCKET"):
        handler.handler({}, Context())


def test_an_agent_that_cannot_be_built_fails_the_trial(variables):
    def build_text_agent(_session_manager):
        raise ValueError("no such tool")

    variables.setattr(handler, "build_text_agent", build_text_agent)
    with pytest.raises(EnvironmentProblem, match=r"build_text_agent of agent.py raises ValueError: no such tool"):
        handler.handler({}, Context())


async def test_an_unknown_model_fails_the_trial_at_once():
    model = Model(UNKNOWN())
    with pytest.raises(EnvironmentProblem, match="text_model_id"):
        await try_version(built(model), pauses=[0.0, 0.0])
    assert model.calls == 1


async def test_a_permission_that_is_not_known_yet_is_waited_for():
    model = Model(CLOSED(), CLOSED())
    assert await try_version(built(model), pauses=[0.0, 0.0]) == {"agent": "agent", "model": "Model"}
    assert model.calls == 3


async def test_a_closed_model_fails_the_trial():
    with pytest.raises(EnvironmentProblem, match="has no access to its model"):
        await try_version(built(Model(CLOSED(), CLOSED(), CLOSED())), pauses=[0.0, 0.0])


async def test_a_busy_model_passes_the_trial():
    assert await try_version(built(Model(BUSY())), pauses=[])
