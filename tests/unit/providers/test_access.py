"""The model is tried when a worker starts: what no waiting would mend ends the start."""

from __future__ import annotations

import asyncio

import pytest

from shared.environment_problem import EnvironmentProblem
from shared.model_access import GREETING, check_text_access
from tests.support.steady_clock import steady
from worker.providers.access import check_access


def error(name, text=""):
    return type(name, (Exception,), {"message": text})(text)


class Model:
    """Refuses at the start, with its first event, or not at all."""

    def __init__(self, at_start=None, at_event=None, hangs=False):
        self.at_start, self.at_event, self.hangs = at_start, at_event, hangs
        self.stopped = 0

    def get_config(self):
        return {"model_id": "amazon.nova-9"}

    async def start(self, _system_prompt, _tools, _messages):
        if self.hangs:
            await asyncio.Event().wait()
        if self.at_start:
            raise self.at_start

    async def receive(self):
        yield object()
        if self.at_event:
            raise self.at_event
        await asyncio.Event().wait()

    async def stop(self):
        self.stopped += 1


REFUSALS = [
    error("AccessDeniedException", "not authorized to perform bedrock:InvokeModel"),
    error("ResourceNotFoundException"),
    error("ValidationException", "The provided model identifier is invalid."),
    error("UnrecognizedClientException"),
]
PASSING = [
    error("ThrottlingException"),
    error("ServiceUnavailableException"),
    error("ValidationException", "system prompt expected"),
    TimeoutError(),
]


@pytest.mark.parametrize("when", ["at_start", "at_event"])
@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda each: type(each).__name__)
async def test_an_unknown_or_closed_model_ends_the_start(when, refusal):
    model = Model(**{when: refusal})
    with pytest.raises(EnvironmentProblem, match=r"amazon\.nova-9 cannot be used.*preflight.*model_id"):
        await check_access(model)
    assert model.stopped == 1


@pytest.mark.parametrize("when", ["at_start", "at_event"])
@pytest.mark.parametrize("trouble", PASSING, ids=lambda each: type(each).__name__)
async def test_trouble_that_may_pass_does_not_end_the_start(when, trouble):
    model = Model(**{when: trouble})
    await check_access(model)
    assert model.stopped == 1


async def test_a_model_that_answers_the_check_is_stopped_after_a_moment():
    model = Model()
    await check_access(model, listen=0.01)
    assert model.stopped == 1


async def test_a_model_that_hangs_is_not_waited_for():
    model = Model(hangs=True)
    begun = steady().now()
    await check_access(model, limit=0.01)
    assert steady().now() - begun < 5
    assert model.stopped == 1


class TextModel:
    """Answers, refuses, or says nothing."""

    def __init__(self, error=None, *, hangs=False):
        self.error, self.hangs = error, hangs
        self.asked = []

    def get_config(self):
        return {"model_id": "amazon.nova-9"}

    async def stream(self, messages):
        self.asked.append(messages)
        if self.hangs:
            await asyncio.Event().wait()
        if self.error:
            raise self.error
        yield {"messageStop": {"stopReason": "end_turn"}}


PROFILE_ONLY = error("ValidationException", "Invocation of model ID a with on-demand throughput isn't supported.")


@pytest.mark.parametrize("refusal", [*REFUSALS, PROFILE_ONLY], ids=lambda each: f"{type(each).__name__} {each}"[:50])
async def test_an_unknown_or_closed_text_model_is_named(refusal):
    with pytest.raises(EnvironmentProblem, match=r"amazon\.nova-9 cannot be used.*preflight.*text_model_id"):
        await check_text_access(TextModel(refusal))


@pytest.mark.parametrize("trouble", [None, *PASSING], ids=lambda each: type(each).__name__)
async def test_a_text_model_that_is_only_busy_passes(trouble):
    model = TextModel(trouble)
    await check_text_access(model)
    assert model.asked == [[GREETING]]


async def test_a_text_model_that_hangs_is_not_waited_for():
    begun = steady().now()
    await check_text_access(TextModel(hangs=True), limit=0.01)
    assert steady().now() - begun < 5
