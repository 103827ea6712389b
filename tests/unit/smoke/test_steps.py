"""Each step of the story against a deployment that is well, and against one that is wrong in that one way."""

from __future__ import annotations

from dataclasses import replace

import pytest

from smoke import connections, handshakes, turns
from smoke.report import State
from smoke.visit import Visit
from tests.unit.smoke.scripted import deployed
from tests.unit.smoke.steps import (
    FRAMES,
    QUICK,
    in_a_call,
    outcome,
    quick,  # noqa: F401 - a fixture
)

HANDSHAKES = {step.name: step.work for step in handshakes.STEPS}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("work", "fault", "came"),
    [
        (HANDSHAKES["handshake without a token"], "lets_in", "let in"),
        (HANDSHAKES["handshake with a wrong token"], "lets_in", "let in"),
        (HANDSHAKES["handshake with the token"], "echoes_nothing", "subprotocol none"),
        (FRAMES["frames without an answer"], "strays", "10 messages for 10 frames, the first: ''"),
        (FRAMES["a lost connection"], "says_twice", "the answer twice"),
    ],
)
async def test_a_step_tells_a_deployment_that_is_well_from_one_that_is_not(work, fault, came):
    well, wrong = await outcome(work), await outcome(work, **{fault: True})

    assert (well.state, wrong.state) == (State.WELL, State.DIFFERS)
    assert came in wrong.came
    assert came not in well.came


@pytest.mark.slow
@pytest.mark.parametrize("name", ["hello to ready", "echo of the gateway", "echo of the worker"])
async def test_echoes_are_measured_and_a_session_that_is_never_ready_is_no_echo(name):
    well = await outcome(FRAMES[name])
    assert well.state is State.WELL
    assert all(value > 0 for value in well.figures.values())
    assert well.figures

    with pytest.raises(TimeoutError):
        await outcome(FRAMES[name], silent=True)


async def test_an_agent_without_audio_is_neither_spoken_to_nor_wrong():
    skipped = await outcome(FRAMES["echo of the worker"], mute=True)
    quiet = [await in_a_call(work, mute=True) for work in (turns.spoken, turns.spoken_over)]

    assert {each.state for each in (skipped, *quiet)} == {State.SKIPPED}


async def test_the_emulator_is_known_for_its_handshake_and_nothing_else_is():
    async with deployed(echoes_nothing=True) as there:
        visit = Visit(url=there.url.replace("/dev", "/_aws/execute-api/1/local"), token="good")
        known = await HANDSHAKES["handshake with the token"](visit)
    async with deployed(lets_in=True) as there:
        visit = Visit(url=there.url.replace("/dev", "/_aws/execute-api/1/local"), token="good")
        wrong = await HANDSHAKES["handshake without a token"](visit)

    assert (known.state, wrong.state) == (State.KNOWN, State.DIFFERS)


async def test_a_typed_turn_is_answered_and_durable():
    well = await in_a_call(turns.typed)

    assert well.state is State.WELL
    assert "the offline model says 'You said: Say hello'; durable" in well.came


@pytest.mark.slow
async def test_a_spoken_turn_and_a_barge_in_are_heard_or_time_out():
    spoken, over = await in_a_call(turns.spoken), await in_a_call(turns.spoken_over)

    assert (spoken.state, over.state) == (State.WELL, State.WELL)
    assert "heard 'a question'" in spoken.came
    assert over.figures["barge_in"] < 2000
    for work in (turns.spoken, turns.spoken_over):
        with pytest.raises(TimeoutError):
            await in_a_call(work, replace(QUICK, answer_seconds=0.5), deaf=True)


async def test_a_session_that_forgets_differs():
    async def twice(visit):
        await visit.call.ask("Say hello", 3)
        return await connections.returned(visit)

    assert (await in_a_call(twice)).state is State.WELL
    assert (await in_a_call(twice, forgets=True)).state is State.DIFFERS


async def test_a_pause_is_only_made_if_it_was_asked_for():
    well = await in_a_call(connections.idle)
    async with deployed() as there:
        skipped = await connections.idle(Visit(url=there.url, token="good"))

    assert (well.state, skipped.state) == (State.WELL, State.SKIPPED)
    assert "same connection and holder" in well.came
