"""Approvals asked before an invocation's first step, and across crashes of the process."""

from __future__ import annotations

from typing import Any

import pytest
from strands import tool
from strands.hooks import BeforeModelCallEvent, BeforeToolCallEvent
from strands.interrupt import Interrupt, InterruptException
from strands.middleware._agent_stream import AgentStreamStage
from strands.types.tools import ToolContext

from tests.support.waiting import eventually
from tests.unit.turn.asking import FORGET, able, answer_to, approvals, asked, asking_world, errors
from tests.unit.turn.conftest import APPROVAL_SECONDS, Person, World, journal, messages
from turn.approvals import CANNOT_ANSWER, EXPIRED


@pytest.fixture
def world() -> World:
    return asking_world()


# --- pauses before the first step of an invocation, and what else stops


async def test_a_gate_before_the_first_step_keeps_the_text_it_was_for(processes):
    world = World()

    async def gate(context: Any, go_on: Any) -> Any:
        context.interrupt("gate", reason="sure?")
        async for event in go_on(context):
            yield event

    world.prepare = lambda agent: agent.add_middleware(AgentStreamStage, gate)
    process, person = processes(world=world), able(world)
    approval = await asked(process, person, "repeat after me tea")
    assert approval.tools == ()
    await process.take(await person.put(process, answer_to(approval)))
    await person.settle(process)
    assert person.texts == ["tea"]
    assert messages(await journal(world)) == [("user", "repeat after me tea"), ("assistant", "tea")]


@pytest.mark.parametrize("able_to_answer", [True, False])
async def test_a_denied_gate_before_the_first_step_ends_the_turn(processes, able_to_answer):
    world = World()

    async def gate(context: Any, go_on: Any) -> Any:
        context.interrupt("gate")  # whatever the response is, it would go on
        async for event in go_on(context):
            yield event

    world.prepare = lambda agent: agent.add_middleware(AgentStreamStage, gate)
    process, person = processes(world=world), Person(world, approvals=able_to_answer)
    await process.take(await person.say(process, "repeat after me tea"))
    await person.settle(process)
    world.later = APPROVAL_SECONDS + 1
    person.pass_time(APPROVAL_SECONDS + 1)
    await person.settle(process)
    why = EXPIRED.format(seconds=APPROVAL_SECONDS) if able_to_answer else CANNOT_ANSWER
    assert person.texts == [why]
    assert messages(await journal(world)) == [("user", "repeat after me tea"), ("assistant", why)]


async def test_a_hook_before_the_model_can_ask(processes):
    world = World()

    def gate(event: BeforeModelCallEvent) -> None:
        state = event.agent._interrupt_state.interrupts.get("v1:gate")
        if state is None or state.response is None:
            raise InterruptException(Interrupt("v1:gate", "gate", "sure?"))

    world.prepare = lambda agent: agent.hooks.add_callback(BeforeModelCallEvent, gate)
    process, person = processes(world=world), able(world)
    approval = await asked(process, person, "repeat after me tea")
    await process.take(await person.put(process, answer_to(approval)))
    await person.settle(process)
    assert person.texts == ["tea"]
    assert messages(await journal(world))[0] == ("user", "repeat after me tea")


async def test_an_answer_that_the_agents_code_cannot_do_with_does_not_hold_the_session_for_ever(processes):
    world = World()

    def gate(event: BeforeToolCallEvent) -> None:
        assert event.interrupt("gate").lower() == "y"

    world.prepare = lambda agent: agent.hooks.add_callback(BeforeToolCallEvent, gate)
    process, person = processes(world=world), able(world)
    approval = await asked(process, person, "Remember that I like tea")
    delivery = await person.put(process, answer_to(approval, True))
    with pytest.raises(Exception, match="lower"):
        await process.take(delivery)
    await processes(world=world).take(delivery, repeated=True)
    await person.settle(process)
    assert [one.status for one in approvals(person)] == ["asked", "answered", "denied"]
    assert world.noted == []
    await process.take(await person.say(process, "repeat after me tea"))
    await person.settle(process)
    assert person.texts[-1] == "tea"


async def test_an_approval_that_another_program_resumed_is_withdrawn(world, processes):
    process, person = processes(), able(world)
    approval = await asked(process, person)
    session = await process.sessions.acquire_session("alice/talk")
    ids = session.manager.approvals().unanswered
    await session.agent.invoke_async([{"interruptResponse": {"interruptId": one, "response": True}} for one in ids])
    await process.sessions.release_session(session)
    assert world.noted == ["tea"]

    await process.take(await person.put(process, answer_to(approval)))
    await person.settle(process)
    assert [(one.status, one.of) for one in approvals(person)] == [("asked", None), ("withdrawn", approval.record)]
    assert errors(person) == [("approval_closed", 2)]
    assert person.texts == ["forgotten tea"]


# --- crashes


async def taken_again_after_a_death(processes, person, delivery, step):
    """Let a process die at a step of a message, and another take it; None if the message has fewer steps."""
    doomed = processes(world=person.world, dies_at=step)
    await doomed.take(delivery)
    if not doomed.died.is_set():
        return None
    await eventually(lambda: not any(one.lease_is_fresh() for one in doomed.managers))
    second = processes(world=person.world)
    await second.take(delivery, repeated=True)
    await person.settle(second)
    return second


@pytest.mark.slow
@pytest.mark.parametrize("response", [True, False])
async def test_an_approval_is_asked_answered_and_applied_once_whenever_a_process_dies(processes, response):
    died = 0
    for part in ("text", "answer"):
        for step in range(1, 200):
            world = asking_world()
            first, person = processes(world=world), able(world)
            delivery = await person.say(first, FORGET)
            if part == "answer":
                await first.take(delivery)
                await person.settle(first)
                delivery = await person.put(first, answer_to(approvals(person)[0], response))
            second = await taken_again_after_a_death(processes, person, delivery, step)
            if second is None:
                break
            died += 1
            if not approvals(person):  # between the tool's use and the interrupt, which is a crash as any other
                assert "may not have run" in person.texts[0], f"died at step {step} of the {part}"
                continue
            if part == "text":
                await second.take(await person.put(second, answer_to(approvals(person)[0], response)))
                await person.settle(second)

            assert [one.status for one in approvals(person)] == ["asked", "answered"], f"step {step} of the {part}"
            assert len(person.texts) == 1, f"died at step {step} of the {part}"
            assert world.noted == (["tea"] if response else []) or "may not have run" in person.texts[0]
            assert person.conversation.unacknowledged == 0
            records = [frame.record for frame in person.shown if getattr(frame, "record", None) is not None]
            assert records == sorted(records)
    assert died > 30


@pytest.mark.slow
@pytest.mark.parametrize("why", ["denied", "expired"])
async def test_a_denial_is_recorded_once_whenever_a_process_dies(processes, why):
    died = 0
    for step in range(1, 200):
        world = asking_world()
        first, person = processes(world=world), Person(world, approvals=why == "expired")
        delivery = await person.say(first, FORGET)
        if why == "expired":
            await first.take(delivery)
            await person.settle(first)
            world.later = APPROVAL_SECONDS + 1
            delivery = await person.say(first, "repeat after me tea")
        second = await taken_again_after_a_death(processes, person, delivery, step)
        if second is None:
            break
        died += 1
        if not approvals(person):  # between the tool's use and the interrupt, which is a crash as any other
            assert "may not have run" in person.texts[0], f"died at step {step}"
            continue
        assert [one.status for one in approvals(person)].count(why) == 1, f"died at step {step}"
        assert world.noted == []
        assert person.texts[0].startswith("The tool forget failed: The tool was not run"), f"died at step {step}"
        assert person.texts[1:] == (["tea"] if why == "expired" else []), f"died at step {step}"
    assert died > 15


@pytest.mark.parametrize("reason", [{1: "a", None: ["b"], False: (1, "\ud800")}, ({"half \udfff": b"bytes"},)])
async def test_a_reason_that_json_has_not_as_it_is_can_be_shown_and_answered(world, processes, reason):
    @tool(context=True)
    def forget(note: str, tool_context: ToolContext) -> str:
        """Forget something.

        Args:
            note: What.
        """
        return f"forgotten {note}" if tool_context.interrupt("forget", reason=reason) else "kept"

    world.tools = [forget]
    process, person = processes(), able(world)
    approval = await asked(process, person)
    await process.take(await person.put(process, answer_to(approval)))
    await person.settle(process)
    assert person.texts == ["forgotten tea"]
