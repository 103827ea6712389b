"""A restore is whole or not at all, and so is a rewind."""

from __future__ import annotations

import asyncio
import logging
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from strands import Agent, tool
from strands.agent.conversation_manager import (
    NullConversationManager,
    SlidingWindowConversationManager,
    SummarizingConversationManager,
)
from strands.bidi import BidiAgent
from strands.hooks import AfterInvocationEvent, AgentInitializedEvent, BeforeToolCallEvent, HookProvider, HookRegistry
from strands.multiagent import GraphBuilder, Swarm
from strands.multiagent.base import Status
from strands.session import FileSessionManager
from strands.types.agent import ConcurrentInvocationMode

from segue.errors import RecordTooLarge, SessionFenced
from segue.journal.records import MAX_RECORD_BYTES
from segue.strands.errors import MultiAgentIdUsedTwice
from tests.support.crash import certainly_dead, crash
from tests.support.fake_model import FakeModel, tool_call
from tests.support.scripted_model import ScriptedModel
from tests.support.waiting import eventually

Sessions = Callable[..., Any]


@tool
def delete(key: str) -> str:
    """Delete something."""
    return f"{key} is gone"


def approve(event: BeforeToolCallEvent) -> None:
    event.interrupt("approve")


class Approvals(HookProvider):
    """A hook as a ``BidiAgent`` takes it."""

    def register_hooks(self, registry: HookRegistry, **kwargs: Any) -> None:
        registry.add_callback(BeforeToolCallEvent, self.approve)

    def approve(self, event: BeforeToolCallEvent) -> None:
        event.interrupt("approve")


class Unwilling(SlidingWindowConversationManager):
    """Cannot be restored, not even from its own state."""

    def restore_from_session(self, state: dict[str, Any]) -> Any:
        raise ValueError("no")


class Wandering(SlidingWindowConversationManager):
    """Takes the state of any other."""

    def restore_from_session(self, state: dict[str, Any]) -> Any:
        return super().restore_from_session({**state, "__name__": "Wandering"})


class UnwillingModel(ScriptedModel):
    """Cannot go on with a connection."""

    def load_connection(self, connection: Any) -> None:
        raise ValueError("no")

    def connection_state(self, messages: Any) -> dict[str, Any]:
        return {"handle": "another"}


def an_agent(manager: Any, *replies: Any, **options: Any) -> Agent:
    options = {"conversation_manager": SlidingWindowConversationManager(window_size=4), **options}
    return Agent(
        model=FakeModel(replies),
        session_manager=manager,
        tools=[delete],
        callback_handler=None,
        agent_id="default",
        **options,
    )


async def a_session_with_a_past(sessions: Sessions) -> Agent:
    """A session whose window has moved on, that waits for an approval, with a state."""
    agent = an_agent(manager := sessions(), "One", "Two", "Three", tool_call("delete", "x", key="X"), hooks=[approve])
    for text in ("1", "2", "3"):
        await agent.invoke_async(text)
    agent.state.set("mood", "good")
    agent._model_state = {"response_id": "r-1"}
    assert (await agent.invoke_async("Delete X")).stop_reason == "interrupt"
    await manager.close()
    return agent


def all_of(agent: Agent) -> dict[str, Any]:
    return agent.take_snapshot(preset="session").data


async def stored(sessions: Sessions) -> list[Any]:
    manager = sessions()
    await manager.open()
    records = (await manager._run(manager._slot.require().read())).records
    await manager.close()
    return list(records)


async def is_released(manager: Any) -> None:
    await eventually(lambda: not manager._session.lease.held)


FAILING: dict[str, Callable[[Any], Any]] = {
    "conversation manager": lambda manager: an_agent(manager, conversation_manager=Unwilling()),
    "connection": lambda manager: BidiAgent(model=UnwillingModel(), session_manager=manager, agent_id="default"),
    "hook that interrupts a voice agent": lambda manager: BidiAgent(
        model=ScriptedModel(), session_manager=manager, agent_id="default", hooks=[Approvals()]
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", FAILING)
async def test_a_restore_that_fails_records_nothing_and_releases(name: str, memory_sessions: Sessions) -> None:
    past = all_of(await a_session_with_a_past(memory_sessions))
    before = await stored(memory_sessions)
    manager = memory_sessions(durability="gate")
    await manager.open()

    for _ in range(2):  # also on the second try
        with pytest.raises(ValueError, match=r"no|interrupt"):
            FAILING[name](manager)
        await is_released(manager)
    manager._record_changes()  # as each heartbeat does
    await manager.flush()
    await manager.close()

    assert await stored(memory_sessions) == before
    assert all_of(an_agent(memory_sessions(), hooks=[approve])) == past


def test_a_restore_that_fails_without_an_event_loop_has_released_when_it_raises(memory_sessions: Sessions) -> None:
    asyncio.run(a_session_with_a_past(memory_sessions))
    manager = memory_sessions()

    with pytest.raises(ValueError, match="no"):
        an_agent(manager, conversation_manager=Unwilling())

    assert not manager._session.lease.held


async def test_a_restore_that_fails_on_what_was_prepared_leaves_nothing_to_be_queued(
    memory_sessions: Sessions,
) -> None:
    holder = await a_session_with_a_past(memory_sessions)
    before = await stored(memory_sessions)
    successor = memory_sessions()
    await successor.prepare()

    with pytest.raises(ValueError, match="no"):
        an_agent(successor, conversation_manager=Unwilling())

    assert not successor._slot.standby.built_on
    await successor.open()
    await successor.close()
    assert await stored(memory_sessions) == before
    assert all_of(an_agent(memory_sessions())) == all_of(holder)


async def test_a_new_agent_that_cannot_be_recorded_is_not_recorded_by_half(memory_sessions: Sessions) -> None:
    manager = memory_sessions()
    await manager.open()
    large = {"role": "user", "content": [{"text": "x" * (MAX_RECORD_BYTES + 1)}]}

    with pytest.raises(RecordTooLarge):
        an_agent(manager, messages=[{"role": "user", "content": [{"text": "Hi"}]}, large])

    await is_released(manager)
    await manager.close()
    assert await stored(memory_sessions) == []


@pytest.mark.parametrize("new", [False, True])
async def test_an_agent_whose_own_hook_fails_when_it_is_built_is_not_recorded(
    new: bool, memory_sessions: Sessions
) -> None:
    past = None if new else all_of(await a_session_with_a_past(memory_sessions))
    before = [] if new else await stored(memory_sessions)

    def fail(event: AgentInitializedEvent) -> None:
        event.agent.state.set("half", "built")
        event.agent.messages.clear()
        raise ValueError("a hook of the user")

    manager = memory_sessions()
    await manager.open()
    for _ in range(2):
        with pytest.raises(ValueError, match="a hook of the user"):
            an_agent(manager, hooks=[approve, fail], messages=[{"role": "user", "content": [{"text": "Hi"}]}])
        manager._record_changes()
        await manager.flush()
    agent = an_agent(manager, hooks=[approve], messages=[{"role": "user", "content": [{"text": "Hi"}]}])
    assert past is None or all_of(agent) == past
    assert len(agent.messages) == (1 if new else len(past["messages"]))  # type: ignore[index]
    await manager.close()

    assert (await stored(memory_sessions))[: len(before)] == before
    assert all_of(an_agent(memory_sessions(), hooks=[approve])) == all_of(agent)


async def test_a_hook_may_already_use_an_agent_that_is_being_built(memory_sessions: Sessions) -> None:
    def greet(event: AgentInitializedEvent) -> None:
        event.agent.messages.append(greeting := {"role": "assistant", "content": [{"text": "Welcome"}]})
        manager.append_message(greeting, event.agent)
        event.agent.state.set("greeted", True)

    manager = memory_sessions()
    await manager.open()
    agent = an_agent(manager, "Hello", hooks=[greet])
    await agent.invoke_async("Hi")
    await manager.close()

    heir = an_agent(memory_sessions())
    assert [message["content"][0]["text"] for message in heir.messages] == ["Welcome", "Hi", "Hello"]
    assert heir.state.get("greeted") is True


async def test_an_agent_that_lives_on_keeps_the_session_when_another_cannot_be_built(
    memory_sessions: Sessions,
) -> None:
    manager = memory_sessions()
    await manager.open()
    agent = an_agent(manager, "Hello")

    with pytest.raises(ValueError, match="twice"):
        an_agent(manager)

    await agent.invoke_async("Hi")
    assert manager.epoch == 1
    assert manager._session.lease.held
    await manager.close()


@pytest.mark.parametrize("kind", [SummarizingConversationManager, NullConversationManager, Wandering])
async def test_another_conversation_manager_goes_on(
    kind: type[Any], memory_sessions: Sessions, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    past = all_of(await a_session_with_a_past(memory_sessions))
    removed = past["conversation_manager_state"]["removed_message_count"]
    assert removed > 0

    with caplog.at_level(logging.INFO, "segue"):
        redeployed = an_agent(memory_sessions(), conversation_manager=kind(), hooks=[approve])

    now = all_of(redeployed)
    assert {**now, "conversation_manager_state": None} == {**past, "conversation_manager_state": None}
    assert now["conversation_manager_state"]["__name__"] == kind.__name__
    assert redeployed.conversation_manager.removed_message_count == removed
    dropped = [record for record in caplog.records if "conversation manager" in record.message]
    assert [record.__dict__["dropped"] for record in dropped] == ([] if kind is Wandering else ["model_call_count"])
    redeployed.conversation_manager.removed_message_count += 1
    await redeployed._session_manager.close()

    rolled_back = an_agent(memory_sessions(), hooks=[approve])

    assert rolled_back.conversation_manager.removed_message_count == removed + 1
    assert {**all_of(rolled_back), "conversation_manager_state": None} == {**past, "conversation_manager_state": None}


async def test_strands_refuses_another_conversation_manager(tmp_path: Path) -> None:
    """The reason for the test above; once Strands accepts one, look at how."""
    await an_agent(FileSessionManager("talk", storage_dir=str(tmp_path)), "Hello").invoke_async("Hi")

    with pytest.raises(ValueError, match="Invalid conversation manager"):
        an_agent(
            FileSessionManager("talk", storage_dir=str(tmp_path)), conversation_manager=SummarizingConversationManager()
        )


# Going back.


async def test_going_back_to_where_strands_kept_nothing_resets_what_it_keeps(memory_sessions: Sessions) -> None:
    voice = BidiAgent(model=ScriptedModel(), session_manager=memory_sessions(), agent_id="default")
    await voice.start()
    await voice.send("Hi")
    await voice.stop()
    manager = memory_sessions()
    await manager.open()
    point = (await manager.points())[-1]
    assert manager.history.agents["default"].internal == {}
    agent = an_agent(manager, tool_call("delete", "x", key="X"), "Hello", hooks=[approve], system_prompt="Be brief")
    built = all_of(agent)
    agent._model_state = {"response_id": "r-1"}
    assert (await agent.invoke_async("Delete X")).stop_reason == "interrupt"
    agent.conversation_manager.removed_message_count = 7

    await manager.rewind(point)

    assert all_of(agent) == built
    assert (await agent.invoke_async("Hello?")).stop_reason == "end_turn"
    await manager.close()
    heir = an_agent(memory_sessions(), hooks=[approve])
    assert all_of(heir) == all_of(agent)
    assert not heir._interrupt_state.activated


async def test_a_pause_is_gone_back_to_and_resumed(memory_sessions: Sessions) -> None:
    manager = memory_sessions()
    await manager.open()
    agent = an_agent(manager, tool_call("delete", "x", key="X"), "Done", "Done again", hooks=[approve])
    result = await agent.invoke_async("Delete X")
    point = (await manager.points())[-1]
    answer = [{"interruptResponse": {"interruptId": result.interrupts[0].id, "response": "yes"}}]
    await agent.invoke_async(answer)
    resumed = [message["content"] for message in agent.messages]

    await manager.rewind(point)
    await agent.invoke_async(answer)

    assert [message["content"] for message in agent.messages] == [*resumed[:-1], [{"text": "Done again"}]]
    await manager.close()
    assert an_agent(memory_sessions()).messages == agent.messages


@pytest.mark.parametrize("mode", ConcurrentInvocationMode)
async def test_a_turn_is_not_rewound_while_it_runs(memory_sessions: Sessions, mode: ConcurrentInvocationMode) -> None:
    manager = memory_sessions()
    await manager.open()
    going, go_on = asyncio.Event(), asyncio.Event()

    @tool
    async def wait() -> str:
        """Wait."""
        going.set()
        await go_on.wait()
        return "waited"

    agent = Agent(
        model=FakeModel(["Hello", tool_call("wait", "w"), "Done"]),
        tools=[wait],
        session_manager=manager,
        callback_handler=None,
        agent_id="default",
        concurrent_invocation_mode=mode,
    )
    await agent.invoke_async("Hi")
    point = (await manager.points())[-1]
    turn = asyncio.create_task(agent.invoke_async("Wait"))
    await going.wait()
    await manager.flush()
    before = manager.position

    with pytest.raises(RuntimeError, match="in the middle of a turn"):
        await manager.rewind(point)

    assert manager.position == before
    go_on.set()
    assert (await turn).stop_reason == "end_turn"
    await manager.rewind(point)
    assert [message["content"][0]["text"] for message in agent.messages] == ["Hi", "Hello"]
    assert (await agent.invoke_async("Again")).stop_reason == "end_turn"
    await manager.close()


async def test_a_turn_whose_hook_failed_is_over(memory_sessions: Sessions) -> None:
    manager = memory_sessions()
    await manager.open()

    def fail(event: AfterInvocationEvent) -> None:
        raise ValueError("a hook of the user")

    agent = an_agent(manager, "Hello", concurrent_invocation_mode="unsafe_reentrant")
    await agent.invoke_async("Hi")
    point = (await manager.points())[-1]
    agent.hooks.add_callback(AfterInvocationEvent, fail)
    with pytest.raises(ValueError, match="a hook of the user"):
        await agent.invoke_async("Hi again")

    await manager.rewind(point)

    assert len(agent.messages) == 2
    await manager.close()


async def test_a_background_task_keeps_a_session_where_it_is(memory_sessions: Sessions) -> None:
    manager = memory_sessions()
    await manager.open()
    release = asyncio.Event()

    @tool
    async def slow() -> str:
        """Take long."""
        await release.wait()
        return "slow"

    agent = Agent(
        model=FakeModel(["Hello", tool_call("slow", "s"), "It runs"]),
        tools=[slow],
        session_manager=manager,
        callback_handler=None,
        agent_id="default",
        background_tasks={"always": ["slow"], "wait_for_completion": False},
    )
    await agent.invoke_async("Hi")
    point = (await manager.points())[-1]
    await agent.invoke_async("Be slow")
    await manager.flush()
    before = manager.position

    with pytest.raises(RuntimeError, match="background tasks"):
        await manager.rewind(point)

    await manager.flush()
    assert manager.position == before
    release.set()
    await agent._background_tasks._manager.wait_for_idle()
    await manager.close()


async def test_a_rewind_that_an_agent_cannot_follow_changes_no_agent_and_no_session(
    memory_sessions: Sessions,
) -> None:
    manager = memory_sessions()
    await manager.open()
    one = an_agent(manager, "Hello", "Hello again")
    other = Agent(
        model=FakeModel(["Hi"]),
        session_manager=manager,
        callback_handler=None,
        agent_id="other",
        conversation_manager=(stubborn := Wandering()),
    )
    await one.invoke_async("Hi")
    point = (await manager.points())[-1]
    await one.invoke_async("Hi again")
    await other.invoke_async("Hi")
    await manager.flush()
    had = all_of(one), all_of(other)
    restores = iter([False, True])

    def restore(state: dict[str, Any]) -> Any:
        if not next(restores, True):
            raise ValueError("no")

    stubborn.restore_from_session = restore  # type: ignore[method-assign]
    with pytest.raises(ValueError, match="no"):
        await manager.rewind(point)

    assert (all_of(one), all_of(other)) == had
    await one.invoke_async("And again")
    await manager.close()
    assert "rewind" not in [record.kind for record in await stored(memory_sessions)]
    assert an_agent(memory_sessions()).messages == one.messages


# Graphs and Swarms.


class PowerCut(FakeModel):
    """The process ends when this model is asked."""

    def __init__(self, end: Callable[[], None]) -> None:
        super().__init__()
        self._end = end

    async def stream(self, *args: Any, **options: Any) -> Any:
        self._end()
        raise RuntimeError("power cut")
        yield  # a generator, as the interface wants it


def a_node(name: str, model: FakeModel, *hooks: Any) -> Agent:
    return Agent(name=name, agent_id=name, model=model, callback_handler=None, tools=[delete], hooks=list(hooks))


def a_graph(manager: Any, first: FakeModel, second: FakeModel, *hooks: Any) -> Any:
    builder = GraphBuilder()
    builder.add_node(a_node("first", first), "first")
    builder.add_node(a_node("second", second, *hooks), "second")
    builder.add_edge("first", "second")
    builder.set_entry_point("first")
    builder.set_session_manager(manager)
    builder.set_max_node_executions(5)
    return builder.build()


def a_swarm(manager: Any, first: FakeModel, second: FakeModel, *hooks: Any) -> Any:
    first._replies.insert(0, tool_call("handoff_to_agent", "h", agent_name="second", message="Go on"))
    return Swarm([a_node("first", first), a_node("second", second, *hooks)], session_manager=manager)


def asked(multi_agent: Any) -> list[str]:
    """Return the first node's input in this object, if it had any."""
    return [str(messages) for messages in multi_agent.nodes["first"].executor.model.asked]


class Processes:
    """Managers of one session, each in a process of its own."""

    def __init__(self, memory_sessions: Sessions | None, folder: Path) -> None:
        self._memory_sessions = memory_sessions
        self._folder = folder
        self._manager: Any = None

    def manager(self) -> Any:
        if self._memory_sessions is not None:
            self._manager = self._memory_sessions(probe=certainly_dead)
        else:
            self._manager = FileSessionManager("talk", storage_dir=str(self._folder))
        return self._manager

    def end(self) -> None:
        """End the process: what it still does is not stored."""
        if self._memory_sessions is not None:
            crash(self._manager)
        else:
            self._folder = Path(shutil.copytree(self._folder, self._folder.with_name(self._folder.name + "+")))


@pytest.fixture(params=["segue", "strands"])
def processes(request: pytest.FixtureRequest, memory_sessions: Sessions, tmp_path: Path) -> Processes:
    """Segue's, and Strands' own: Graphs and Swarms have to behave the same."""
    return Processes(memory_sessions if request.param == "segue" else None, tmp_path / "talk")


@pytest.mark.parametrize("build", [a_graph, a_swarm])
async def test_one_built_anew_on_the_same_manager_runs_its_new_task(build: Any, processes: Processes) -> None:
    with pytest.raises((SessionFenced, RuntimeError)):
        result = await build(processes.manager(), FakeModel(["First"]), PowerCut(processes.end)).invoke_async(
            "The old task"
        )
        assert result.status is Status.FAILED
        raise RuntimeError("a Swarm says so")
    manager = processes.manager()
    gone_on = build(manager, FakeModel(["First"]), FakeModel(["Second"]))
    result = await gone_on.invoke_async("The old task")
    assert result.status is Status.COMPLETED
    assert asked(gone_on) == []

    anew = build(manager, FakeModel(["First anew"]), FakeModel(["Second anew"]))
    result = await anew.invoke_async("The new task")

    assert result.status is Status.COMPLETED
    assert "The new task" in asked(anew)[0]
    assert "The old task" not in str(anew.nodes["second"].executor.model.asked)
    processes.end()


def another(build: Any, manager: Any) -> Any:
    """One of other nodes, under the same default id."""
    if build is a_swarm:
        return Swarm([a_node("third", FakeModel())], session_manager=manager)
    builder = GraphBuilder()
    builder.add_node(a_node("third", FakeModel()), "third")
    builder.set_session_manager(manager)
    builder.set_max_node_executions(5)
    return builder.build()


@pytest.mark.slow
@pytest.mark.parametrize("build", [a_graph, a_swarm])
async def test_two_that_live_under_one_id_are_told_of(
    build: Any, memory_sessions: Sessions, caplog: pytest.LogCaptureFixture
) -> None:
    manager = memory_sessions()
    await manager.open()
    first = build(manager, FakeModel(["First"]), FakeModel(["Second"]))

    with pytest.raises(MultiAgentIdUsedTwice, match="give each its own") as told:
        another(build, manager)

    assert (told.value.multi_agent_id, told.value.session_key) == (first.id, manager.session_key)
    assert isinstance(told.value, ValueError)
    again = pickle.loads(pickle.dumps(told.value))
    assert (str(again), vars(again)) == (str(told.value), vars(told.value))
    assert "share one state" not in caplog.text
    anew = build(manager, FakeModel(["First"]), FakeModel(["Second"]))  # of the same nodes: it may stand for the first
    assert f"live under the id {first.id!r} and share one state" in caplog.text
    del first, anew, told, again
    assert another(build, manager).nodes.keys() == {"third"}, "a dropped one hinders no other"
    await manager.close()


@pytest.mark.parametrize("build", [a_graph, a_swarm])
async def test_one_that_waits_for_an_answer_gets_it_in_another_process(build: Any, processes: Processes) -> None:
    call = tool_call("delete", "x", key="X")
    first = build(processes.manager(), FakeModel(["First"]), FakeModel([call]), approve)
    result = await first.invoke_async("Delete X")
    assert result.status is Status.INTERRUPTED
    processes.end()

    heir = build(processes.manager(), FakeModel(["First"]), FakeModel(["Second"]), approve)
    answer = [{"interruptResponse": {"interruptId": each.id, "response": "yes"}} for each in result.interrupts]
    result = await heir.invoke_async(answer)

    assert result.status is Status.COMPLETED
    assert asked(heir) == []
    (shown,) = heir.nodes["second"].executor.model.asked
    assert str(shown).count("'toolResult'") == 1
    assert "X is gone" in str(shown)
    processes.end()


async def test_a_graph_goes_back_with_its_session(memory_sessions: Sessions) -> None:
    manager = memory_sessions()
    await manager.open()
    graph = a_graph(manager, FakeModel(["First", "First anew"]), FakeModel(["Second"]))
    point = (await manager.points())[-1]
    await graph.invoke_async("The task")

    await manager.rewind(point)

    assert graph.state.status is Status.PENDING
    built = a_graph(manager, FakeModel(["First"]), FakeModel(["Second"]))
    assert built.state.status is Status.PENDING
    await manager.close()


async def test_a_graph_in_the_middle_of_its_task_is_not_rewound(memory_sessions: Sessions) -> None:
    manager = memory_sessions()
    await manager.open()
    refused: list[str] = []

    class Rewinding(FakeModel):
        async def stream(self, *args: Any, **options: Any) -> Any:
            try:
                await manager.rewind((await manager.points())[0])
            except RuntimeError as error:
                refused.append(str(error))
            async for event in super().stream(*args, **options):
                yield event

    graph = a_graph(manager, FakeModel(["First"]), Rewinding(["Second"]))
    assert (await graph.invoke_async("The task")).status is Status.COMPLETED

    (text,) = refused
    assert "in the middle of a task" in text
    await manager.close()


# Opening.


async def test_a_session_that_cannot_be_added_up_is_released(
    memory_sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    await a_session_with_a_past(memory_sessions)
    before = await stored(memory_sessions)

    def too_deep(*_: Any) -> Any:
        raise RecursionError

    with monkeypatch.context() as patch:
        patch.setattr("segue.session.acquisition.history_at", too_deep)
        with pytest.raises(RecursionError):
            await memory_sessions().open()

    assert await stored(memory_sessions) == before, "and it can be opened by the next one"
