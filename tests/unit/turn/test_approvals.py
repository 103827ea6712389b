"""Approvals of text turns: asked, answered, denied and expired, over crashes and takeovers."""

from __future__ import annotations

from typing import Any

import pytest
from strands import Agent, tool
from strands.hooks import BeforeToolsEvent
from strands.types.tools import ToolContext
from strands.vended_interventions.hitl import HumanInTheLoop

from segue.testing.offline.answers import UseTool
from segue.wire.frames import (
    AnswerInput,
    Approval,
    Hello,
    InputAck,
    Ready,
    Response,
    TextOutput,
    Tool,
)
from tests.support.fake_model import FakeModel, tool_call
from tests.unit.turn.asking import FORGET, able, answer_to, approvals, asked, asking_world, errors, two_calls
from tests.unit.turn.conftest import APPROVAL_SECONDS, World
from turn.post import MessageOutcome


@pytest.fixture
def world() -> World:
    return asking_world()


# --- asked and answered


async def test_an_approval_is_shown_with_its_tool_and_its_answer_applied(world, processes):
    process, person = processes(), able(world)
    approval = await asked(process, person)
    assert (approval.status, approval.seconds) == ("asked", pytest.approx(APPROVAL_SECONDS, abs=30))
    (request,), (waiting,) = approval.requests, approval.tools
    assert (request.name, request.reason, waiting.name, waiting.input) == (
        "forget",
        {"note": "tea"},
        "forget",
        {"note": "tea"},
    )
    assert request.tool_use_id == waiting.tool_use_id
    assert world.noted == person.texts == []

    await process.take(await person.put(process, answer_to(approval)))
    await person.settle(process)
    assert world.noted == ["tea"]
    assert person.texts == ["forgotten tea"]
    shown = [frame for frame in person.shown if isinstance(frame, Approval | Tool | TextOutput)]
    assert [getattr(frame, "status", "text") for frame in shown] == ["started", "asked", "answered", "success", "text"]
    assert approvals(person)[1].of == approval.record
    records = [frame.record for frame in shown]
    assert records == sorted(set(records))
    assert person.conversation.unacknowledged == 0
    assert person.conversation.approval is None


async def test_an_answer_may_be_a_no_that_the_agents_code_judges(world, processes):
    process, person = processes(), able(world)
    approval = await asked(process, person)
    await process.take(await person.put(process, answer_to(approval, "no")))
    await person.settle(process)
    assert (world.noted, person.texts) == ([], ["kept"])


async def test_another_process_goes_on_with_an_answer(world, processes):
    person = able(world)
    approval = await asked(processes(), person)
    await processes().take(await person.put(processes(), answer_to(approval)))
    await person.settle(processes())
    assert (world.noted, person.texts) == (["tea"], ["forgotten tea"])


async def test_several_interrupts_are_asked_together_and_answered_together(world, processes, monkeypatch):
    calls = [{"note": "tea"}, {"note": "milk"}]
    monkeypatch.setattr("segue.testing.offline.text_model.answer", lambda _: UseTool("forget", calls[0]))
    two_calls(monkeypatch, calls)
    process, person = processes(), able(world)
    approval = await asked(process, person)
    assert len({request.id for request in approval.requests}) == 2
    assert {tool.tool_use_id for tool in approval.tools} == {request.tool_use_id for request in approval.requests}

    first, second = approval.requests
    for wrong in ((first,), (first, first), (first, second, first)):
        frame = AnswerInput(
            approval=approval.record or 0, responses=tuple(Response(id=one.id, response=True) for one in wrong)
        )
        await process.take(await person.put(process, frame))
    await person.settle(process)
    assert errors(person) == [("bad_answer", 2), ("bad_answer", 3), ("bad_answer", 4)]
    assert world.noted == []

    tea = next(tool.tool_use_id for tool in approval.tools if tool.input == {"note": "tea"})  # they run side by side
    responses = tuple(Response(id=one.id, response=one.tool_use_id == tea) for one in approval.requests)
    await process.take(await person.put(process, AnswerInput(approval=approval.record or 0, responses=responses)))
    await person.settle(process)
    assert world.noted == ["tea"]
    assert len(person.texts) == 1
    assert sorted(person.texts[0].split("\n")) == ["forgotten tea", "kept"]


async def test_a_tool_that_asks_twice_is_asked_about_twice(processes):
    world = World()

    @tool(context=True)
    def forget(note: str, tool_context: ToolContext) -> str:
        """Forget something.

        Args:
            note: What.
        """
        sure = tool_context.interrupt("sure") and tool_context.interrupt("really sure")
        return "forgotten" if sure is True else "kept"

    world.tools = [forget]
    process, person = processes(world=world), able(world)
    first = await asked(process, person)
    await process.take(await person.put(process, answer_to(first)))
    await person.settle(process)
    second = approvals(person)[-1]
    assert [one.status for one in approvals(person)] == ["asked", "answered", "asked"]
    assert [request.name for request in second.requests] == ["really sure"]
    await process.take(await person.put(process, answer_to(second)))
    await person.settle(process)
    assert person.texts == ["forgotten"]


async def test_strands_own_handler_takes_the_words_of_consent(processes):
    world = World(interventions=[HumanInTheLoop()])
    process, person = processes(world=world), able(world)
    approval = await asked(process, person, "Remember that I like tea")
    assert "remember" in approval.requests[0].reason
    await process.take(await person.put(process, answer_to(approval, "yes")))
    await person.settle(process)
    assert person.texts == ["noted 1"]


async def test_the_next_use_of_a_tool_is_asked_about_anew_though_the_interrupt_has_the_same_id(processes):
    world = World()
    granted: list[Any] = []

    def gate(event: BeforeToolsEvent) -> None:
        granted.append(event.interrupt("gate"))
        if granted[-1] is not True:
            event.cancel = "not now"

    world.prepare = lambda agent: agent.hooks.add_callback(BeforeToolsEvent, gate)
    process, person = processes(world=world), able(world)
    first = await asked(process, person, "Remember that I like tea")
    await process.take(await person.put(process, answer_to(first)))
    await process.take(await person.say(process, "Remember that I like milk"))
    await person.settle(process)
    second = approvals(person)[-1]
    assert (second.status, second.requests[0].id) == ("asked", first.requests[0].id)
    assert world.noted == ["I like tea"], "one approval does not stand for another"
    await process.take(await person.put(process, answer_to(first)))
    await person.settle(process)
    assert errors(person) == [("approval_closed", 4)]
    await process.take(await person.put(process, answer_to(second, False)))
    await person.settle(process)
    assert world.noted == ["I like tea"]
    assert person.texts[-1] == "The tool remember failed: not now"


def helper(world: World) -> Any:
    """An agent that is another one's tool, and asks."""

    @tool(context=True)
    def delete(key: str, tool_context: ToolContext) -> str:
        """Delete something."""
        if tool_context.interrupt("delete", reason=key) is True:
            world.noted.append(key)
        return "done"

    model = FakeModel([tool_call("delete", "u1", key="a"), "the helper is done"])
    return Agent(model=model, tools=[delete], callback_handler=None).as_tool(name="helper", description="Helps.")


@pytest.mark.slow
@pytest.mark.parametrize("consent", [True, False, None])
async def test_an_agent_that_is_a_tool_asks_through_the_agent_whose_tool_it_is(processes, consent):
    world = World()
    world.tools = [helper(world)]
    process, person = processes(world=world), able(world)
    approval = await asked(process, person, "use the tool helper with now")
    assert [(request.name, request.reason) for request in approval.requests] == [("delete", "a")]
    world.tools = [helper(world)]  # as a new process builds it; what it had begun comes with the session
    world.tools[0].agent.model = FakeModel(["the helper is done"])
    if consent is None:
        world.later = APPROVAL_SECONDS + 1
        person.pass_time(APPROVAL_SECONDS + 1)
    else:
        await processes(world=world).take(await person.put(process, answer_to(approval, consent)))
    await person.settle(processes(world=world))
    assert world.noted == (["a"] if consent else [])
    assert len(person.texts) == 1
    assert ("none came within" in person.texts[0]) == (consent is None)


# --- who hears and who may answer


async def test_a_client_that_comes_while_it_is_open_is_shown_it_and_may_answer(world, processes):
    process, person = processes(), able(world)
    await asked(process, person)
    other = able(world, "d", "d-1")
    await other.settle(processes())
    (approval,) = approvals(other)
    assert approval.status == "asked"
    await other.settle(process)
    assert len(approvals(other)) == 1

    await process.take(await other.put(process, answer_to(approval)))
    await person.settle(process)
    await other.settle(process)
    assert person.texts == other.texts == ["forgotten tea"]
    assert (
        [one.status for one in approvals(person)] == [one.status for one in approvals(other)] == ["asked", "answered"]
    )


async def test_a_client_that_missed_an_approval_is_shown_it_in_its_place(world, processes):
    process, person = processes(), able(world)
    await person.settle(process)
    world.refuse = lambda _: MessageOutcome.GONE
    delivery = await person.say(process, FORGET)
    await process.take(delivery)
    world.refuse = lambda _: MessageOutcome.DELIVERED
    await process.take(person.delivery(Hello(session="talk", client_id="c", connection=1, last_record=-1)))
    person.listen()
    kinds = [type(frame).__name__ for frame in person.shown if not isinstance(frame, Ready | InputAck)]
    assert kinds == ["Tool", "Approval"]
