"""Approvals of text turns: asked, answered, denied and expired, over crashes and takeovers."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from strands import Agent, tool
from strands.hooks import BeforeModelCallEvent, BeforeToolCallEvent, BeforeToolsEvent
from strands.interrupt import Interrupt, InterruptException
from strands.middleware._agent_stream import AgentStreamStage
from strands.types.tools import ToolContext
from strands.vended_interventions.hitl import HumanInTheLoop

from segue.testing.offline.answers import Say, UseTool
from segue.testing.offline.text_model import OfflineTextModel
from segue.wire.frames import (
    MAX_APPROVALS,
    AnswerInput,
    Approval,
    Error,
    Hello,
    InputAck,
    Ready,
    Response,
    TextInput,
    TextOutput,
    Tool,
)
from tests.support.fake_model import FakeModel, tool_call
from tests.support.waiting import eventually
from tests.unit.turn.conftest import APPROVAL_SECONDS, Person, Process, World, journal, messages
from turn.pause import CANNOT_ANSWER, EXPIRED, TOO_MANY
from turn.post import MessageOutcome

FORGET = "use the tool forget with tea"


def asking_world(**more: Any) -> World:
    """A world whose agents ask before they forget."""
    world = World(**more)
    forgotten = world.noted

    @tool(context=True)
    def forget(note: str, tool_context: ToolContext) -> str:
        """Forget something.

        Args:
            note: What.
        """
        if tool_context.interrupt("forget", reason={"note": note}) not in (True, "y"):
            return "kept"
        forgotten.append(note)
        return f"forgotten {note}"

    world.tools = [forget]
    return world


@pytest.fixture
def world() -> World:
    return asking_world()


def able(world: World, *names: str, **more: Any) -> Person:
    return Person(world, *names, approvals=True, **more)


def answer_to(approval: Approval, response: Any = True) -> AnswerInput:
    responses = tuple(Response(id=request.id, response=response) for request in approval.requests)
    return AnswerInput(approval=approval.record or 0, responses=responses)


def approvals(person: Person) -> list[Approval]:
    return [frame for frame in person.shown if isinstance(frame, Approval)]


def errors(person: Person) -> list[tuple[str, int | None]]:
    return [(frame.code, frame.input) for frame in person.shown if isinstance(frame, Error)]


async def asked(process: Process, person: Person, text: str = FORGET) -> Approval:
    """Have the agent ask, and return what the person is shown."""
    await process.take(await person.say(process, text))
    await person.settle(process)
    (approval,) = approvals(person)
    return approval


# --- asked and answered


async def test_what_is_asked_is_shown_with_its_tool_and_the_answer_is_applied(world, processes):
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

    responses = (Response(id=first.id, response=True), Response(id=second.id, response=False))
    await process.take(await person.put(process, AnswerInput(approval=approval.record or 0, responses=responses)))
    await person.settle(process)
    assert world.noted == ["tea"]
    assert len(person.texts) == 1
    assert person.texts[0].split("\n") == ["forgotten tea", "kept"]


def two_calls(monkeypatch: pytest.MonkeyPatch, calls: list[dict[str, Any]]) -> None:
    """Have the model call a tool for each of some inputs at once."""
    stream = OfflineTextModel.stream

    async def several(self: Any, told: Any, *args: Any, **kwargs: Any) -> Any:
        async for event in stream(self, told, *args, **kwargs):
            if "contentBlockStop" in event and any("text" in block for block in told[-1]["content"]):
                yield event
                for call in calls[1:]:
                    use = {"name": "forget", "toolUseId": uuid.uuid4().hex}
                    yield {"contentBlockStart": {"start": {"toolUse": use}}}
                    yield {"contentBlockDelta": {"delta": {"toolUse": {"input": json.dumps(call)}}}}
                    yield {"contentBlockStop": {}}
            else:
                yield event

    monkeypatch.setattr(OfflineTextModel, "stream", several)


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
    assert world.noted == ["I like tea"], "no approval stands for another"
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


# --- denied


async def test_for_a_client_that_cannot_answer_the_tool_is_denied_and_the_turn_goes_on(world, processes):
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


async def test_when_its_time_is_over_the_tool_is_denied_by_the_next_hello(world, processes):
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


async def test_just_before_its_time_is_over_it_can_be_answered(world, processes):
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


async def test_who_missed_it_is_shown_it_in_its_place_among_the_rest(world, processes):
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
async def test_such_a_gate_that_is_denied_ends_the_turn_and_lets_nothing_through(processes, able_to_answer):
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


async def test_what_another_program_went_on_with_is_withdrawn(world, processes):
    process, person = processes(), able(world)
    approval = await asked(process, person)
    session = await process.sessions.take("alice/talk")
    ids = session.manager.approvals().unanswered
    await session.agent.invoke_async([{"interruptResponse": {"interruptId": one, "response": True}} for one in ids])
    await process.sessions.release(session)
    assert world.noted == ["tea"]

    await process.take(await person.put(process, answer_to(approval)))
    await person.settle(process)
    assert [(one.status, one.of) for one in approvals(person)] == [("asked", None), ("withdrawn", approval.record)]
    assert errors(person) == [("approval_closed", 2)]
    assert person.texts == ["forgotten tea"]


# --- crashes


@pytest.mark.slow
@pytest.mark.parametrize("response", [True, False])
async def test_whenever_a_process_dies_an_approval_is_asked_once_answered_once_and_applied_once(processes, response):
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
            doomed = processes(world=world, dies_at=step)
            await doomed.take(delivery)
            if not doomed.died.is_set():
                break
            died += 1
            await eventually(lambda: not any(one.lease_is_fresh() for one in doomed.managers))  # noqa: B023
            second = processes(world=world)
            await second.take(delivery, repeated=True)
            await person.settle(second)
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
async def test_whenever_a_process_dies_a_denial_is_one(processes, why):
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
        doomed = processes(world=world, dies_at=step)
        await doomed.take(delivery)
        if not doomed.died.is_set():
            break
        died += 1
        await eventually(lambda: not any(one.lease_is_fresh() for one in doomed.managers))  # noqa: B023
        second = processes(world=world)
        await second.take(delivery, repeated=True)
        await person.settle(second)
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
