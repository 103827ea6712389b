"""Approvals that are denied or expire, and other input while one is open."""

from __future__ import annotations

from typing import Any

import pytest
from strands.hooks import BeforeToolCallEvent, BeforeToolsEvent

from segue.testing.offline.answers import Say, UseTool
from segue.wire.frames import (
    MAX_APPROVALS,
    AnswerInput,
    Response,
    TextInput,
)
from tests.unit.turn.asking import FORGET, able, answer_to, approvals, asked, asking_world, errors, two_calls
from tests.unit.turn.conftest import APPROVAL_SECONDS, Person, World, journal, messages
from turn.approvals import CANNOT_ANSWER, EXPIRED, TOO_MANY


@pytest.fixture
def world() -> World:
    return asking_world()


# --- denied


async def test_a_tool_is_denied_at_once_if_its_client_cannot_answer_approvals(world, processes):
    process, person = processes(), Person(world)
    await process.take(await person.say(process, FORGET))
    await person.settle(process)
    assert world.noted == []
    assert person.texts == [f"The tool forget failed: {CANNOT_ANSWER}"]
    (denied,) = approvals(person)
    assert (denied.status, denied.of, denied.reason) == ("denied", None, CANNOT_ANSWER)
    await process.take(await person.say(process, "repeat after me tea"))
    await person.settle(process)
    assert person.texts[-1] == "tea"


async def test_a_denial_does_not_ask_the_agents_code(processes):
    world = World()
    seen: list[Any] = []

    def gate(event: BeforeToolCallEvent) -> None:
        seen.append(event.interrupt("gate"))  # whatever the response is, it would let the tool run

    world.prepare = lambda agent: agent.hooks.add_callback(BeforeToolCallEvent, gate)
    process, person = processes(world=world), Person(world)
    await process.take(await person.say(process, "Remember that I like tea"))
    await person.settle(process)
    assert (world.noted, seen) == ([], [])
    assert person.texts == [f"The tool remember failed: {CANNOT_ANSWER}"]


async def test_a_denial_holds_though_a_hook_for_all_tools_would_let_them_run(processes):
    world = World()

    def gate(event: BeforeToolsEvent) -> None:
        event.interrupt("gate")
        event.cancel = False

    world.prepare = lambda agent: agent.hooks.add_callback(BeforeToolsEvent, gate)
    process, person = processes(world=world), Person(world)
    await process.take(await person.say(process, "Remember that I like tea"))
    await person.settle(process)
    assert world.noted == []
    assert person.texts == [f"The tool remember failed: {CANNOT_ANSWER}"]


async def test_tools_after_a_denied_one_run(world, processes, monkeypatch):
    process, person = processes(), Person(world)
    replies = iter([UseTool("forget", {"note": "tea"})])
    monkeypatch.setattr("segue.testing.offline.text_model.answer", lambda _: next(replies))
    monkeypatch.setattr(
        "segue.testing.offline.text_model.OfflineTextModel._retell",
        retelling(UseTool("remember", {"note": "milk"}), Say("done")),
    )
    await process.take(await person.say(process, "go"))
    await person.settle(process)
    assert (world.noted, person.texts) == (["milk"], ["done"])


def retelling(*replies: Any) -> Any:
    left = iter(replies)
    return lambda *_: next(left)


async def test_more_than_can_be_asked_together_is_denied(world, processes, monkeypatch):
    calls = [{"note": str(number)} for number in range(MAX_APPROVALS + 1)]
    monkeypatch.setattr("segue.testing.offline.text_model.answer", lambda _: UseTool("forget", calls[0]))
    two_calls(monkeypatch, calls)
    process, person = processes(), able(world)
    await process.take(await person.say(process, "go"))
    await person.settle(process)
    assert [(one.status, one.reason) for one in approvals(person)] == [("denied", TOO_MANY)]
    assert world.noted == []
    assert person.conversation.unacknowledged == 0


# --- expired


async def test_an_expired_approval_denies_its_tool_at_the_next_hello(world, processes):
    process, person = processes(), able(world)
    approval = await asked(process, person)
    world.later = APPROVAL_SECONDS + 1
    assert person.outgoing() == []
    person.pass_time(APPROVAL_SECONDS + 1)
    await person.settle(process)
    why = EXPIRED.format(seconds=APPROVAL_SECONDS)
    closing = approvals(person)[-1]
    assert (closing.status, closing.of, closing.reason) == ("expired", approval.record, why)
    assert person.texts == [f"The tool forget failed: {why}"]
    assert world.noted == []

    await process.take(await person.put(process, answer_to(approval)))
    await person.settle(process)
    assert errors(person) == [("approval_closed", 2)]
    assert world.noted == []


async def test_an_answer_or_a_text_after_the_time_finds_it_denied_and_a_text_is_answered(world, processes):
    process, person = processes(), able(world)
    approval = await asked(process, person)
    world.later = APPROVAL_SECONDS + 1
    late = await person.put(process, answer_to(approval))
    await process.take(late)
    await person.settle(process)
    assert [one.status for one in approvals(person)] == ["asked", "expired"]
    assert errors(person) == [("approval_closed", 2)]

    await process.take(await person.say(process, FORGET))
    world.later = 3 * APPROVAL_SECONDS
    await process.take(await person.say(process, "repeat after me tea"))
    await person.settle(process)
    assert [one.status for one in approvals(person)] == ["asked", "expired"] * 2
    assert person.texts[-1] == "tea"
    assert world.noted == []


async def test_an_approval_can_be_answered_until_just_before_its_deadline(world, processes):
    process, person = processes(), able(world)
    approval = await asked(process, person)
    world.later = APPROVAL_SECONDS - 60
    await process.take(await person.put(process, answer_to(approval)))
    await person.settle(process)
    assert world.noted == ["tea"]


# --- other input while it is open


@pytest.mark.slow
async def test_text_while_an_approval_is_open_is_refused_with_a_code_and_holds_nothing_up(world, processes):
    process, person = processes(), able(world)
    approval = await asked(process, person)
    text = await person.say(process, "repeat after me tea")
    for repeated in (False, True):
        await process.take(text, repeated=repeated)
    await person.settle(process)
    assert errors(person) == [("approval_open", 2)] * 2, "told again when it comes again"
    assert person.conversation.unacknowledged == 0

    await processes().take(await person.put(process, answer_to(approval)))
    await process.take(await person.say(process, "repeat after me tea"))
    await person.settle(process)
    assert person.texts == ["forgotten tea", "tea"]
    said = [text for role, text in messages(await journal(world)) if role == "user"]
    assert said.count("repeat after me tea") == 1


async def test_a_text_without_a_number_is_refused_as_well(world, processes):
    process, person = processes(), able(world)
    await asked(process, person)
    await process.take(person.delivery(TextInput(text="tea")))
    await person.settle(process)
    assert errors(person) == [("approval_open", None)]


async def test_a_blank_text_changes_nothing(world, processes):
    process, person = processes(), able(world)
    approval = await asked(process, person)
    await process.take(await person.say(process, " "))
    await process.take(await person.put(process, answer_to(approval)))
    await person.settle(process)
    assert (world.noted, errors(person)) == (["tea"], [])


async def test_an_answer_to_nothing_is_refused(world, processes):
    process, person = processes(), able(world)
    frame = AnswerInput(approval=3, responses=(Response(id="i", response=True),))
    await process.take(await person.put(process, frame))
    await person.settle(process)
    assert errors(person) == [("approval_closed", 1)]
    await process.take(await person.say(process, "repeat after me tea"))
    await person.settle(process)
    assert person.texts == ["tea"]


async def test_an_answer_whose_predecessor_is_missing_is_dropped_until_both_come(world, processes):
    process, person = processes(), able(world)
    approval = await asked(process, person)
    person.conversation.say(TextInput(text=" "))
    person.conversation.say(answer_to(approval))
    first, second = person.outgoing()
    for delivery in (second, first, second):
        await process.take(delivery)
    await person.settle(process)
    assert person.texts == ["forgotten tea"]


async def test_an_answer_without_a_number_is_taken_once(world, processes):
    process, person = processes(), able(world)
    approval = await asked(process, person)
    for repeated in (False, True):
        await process.take(person.delivery(answer_to(approval)), repeated=repeated)
    await person.settle(process)
    assert world.noted == ["tea"]
    assert errors(person) == [("approval_closed", None)]
