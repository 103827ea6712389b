"""One manager in several threads: agents are built in one, turns run in another, a third flushes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from strands import Agent, tool
from strands.agent.conversation_manager import NullConversationManager
from strands.bidi import BidiAgent

from tests.support.fake_model import FakeModel, tool_call
from tests.support.scripted_model import ScriptedModel
from tests.support.sessions import records_of

Sessions = Callable[..., Any]

SECONDS = 10.0


def in_a_thread(work: Callable[[], Any]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


class Meanwhile(NullConversationManager):
    """Has another thread do something whenever its state is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.work: Callable[[], Any] | None = None

    def get_state(self) -> dict[str, Any]:
        work, self.work = self.work, None
        if work is not None:
            thread = in_a_thread(work)
            thread.join(SECONDS)
            assert not thread.is_alive()
        return super().get_state()


def agent_of(manager: Any, agent_id: str = "default", **options: Any) -> Agent:
    options.setdefault("model", FakeModel())
    return Agent(session_manager=manager, agent_id=agent_id, callback_handler=None, **options)


@pytest.mark.parametrize("how", ["flush_sync", "close_sync", "heartbeat"])
def test_agents_are_built_in_one_thread_while_another_flushes(memory_sessions: Sessions, how: str) -> None:
    manager = memory_sessions(durability="gate")
    meanwhile = Meanwhile()
    agents = [agent_of(manager, "first", conversation_manager=meanwhile), agent_of(manager, "second")]

    meanwhile.work = lambda: agents.append(agent_of(manager, "third"))
    manager._record_states() if how == "heartbeat" else getattr(manager, how)()

    assert len(agents) == 3
    manager.close_sync()
    heir = memory_sessions()
    heir.open_sync()
    assert set(heir.history.agents) == {"first", "second", "third"}


def test_only_one_of_two_agents_with_one_id_is_taken(memory_sessions: Sessions) -> None:
    manager = memory_sessions(durability="gate")
    manager.open_sync()
    refused: list[Exception] = []
    started = threading.Barrier(2, timeout=SECONDS)

    def build() -> None:
        started.wait()
        try:
            agent_of(manager, "same")
        except ValueError as error:
            refused.append(error)

    for thread in [in_a_thread(build) for _ in range(2)]:
        thread.join(SECONDS)

    assert len(refused) == 1
    manager.close_sync()
    heir = memory_sessions()
    heir.open_sync()
    assert heir.head == manager.head
    assert list(heir.history.agents) == ["same"]


def test_a_report_can_be_read_while_agents_are_restored(memory_sessions: Sessions) -> None:
    manager = memory_sessions()
    for name in "ab":
        agent_of(manager, name)
    manager.close_sync()
    manager = memory_sessions()
    agent_of(manager, "a")

    for _ in manager.report:
        in_a_thread(lambda: agent_of(manager, "b")).join(SECONDS)

    assert set(manager.report) == {"a", "b"}


@pytest.mark.slow
def test_two_threads_record_the_later_state_last(memory_sessions: Sessions) -> None:
    manager = memory_sessions(durability="gate")
    agent = agent_of(manager)
    manager.flush_sync()
    records = records_of(manager)
    append, first = records.append, threading.Event()
    overtaken: list[bool] = []

    def slowly(*queued: Any) -> int:
        if queued[0].kind == "state" and not first.is_set():
            first.set()
            thread = in_a_thread(change_and_flush)
            thread.join(0.3)  # it would overtake this record, if it could
            overtaken.append(not thread.is_alive())
        return int(append(*queued))

    def change_and_flush() -> None:
        agent.state.set("count", 2)
        manager.flush_sync()

    records.append = slowly
    agent.state.set("count", 1)
    manager.flush_sync()
    manager.close_sync()

    assert overtaken == [False]
    heir = memory_sessions()
    heir.open_sync()
    assert heir.history.agents["default"].state == {"count": 2}


@pytest.mark.slow
def test_records_appended_while_a_prepared_session_opens_keep_their_order(memory_sessions: Sessions) -> None:
    first = memory_sessions()
    BidiAgent(model=ScriptedModel(), session_manager=first)
    first.close_sync()
    manager = memory_sessions(durability="gate")
    manager._runtime.run_sync(_standby(manager))
    prepared = manager._slot.standby
    append, inside, opened = prepared.append, threading.Event(), threading.Event()

    def slowly(*records: Any) -> int:
        inside.set()
        opened.wait(0.3)  # opening would pass by, if it could
        return int(append(*records))

    prepared.__class__ = type("Slow", (type(prepared),), {"__slots__": (), "append": lambda _self, *r: slowly(*r)})
    recording = in_a_thread(lambda: manager.record_input("c", [1]))
    assert inside.wait(SECONDS)
    manager.open_sync()
    opened.set()
    recording.join(SECONDS)
    manager.record_input("c", [2])
    manager.close_sync()

    heir = memory_sessions()
    heir.open_sync()
    assert (heir.inputs["c"].upto, heir.inputs["c"].beyond) == (2, ())


async def _standby(manager: Any) -> None:
    manager._slot.prepare(await manager._read_ahead())


def test_a_flush_elsewhere_leaves_a_turn_that_runs_to_its_own_events(memory_sessions: Sessions) -> None:
    @tool
    def look() -> str:
        """Look."""
        agent.messages.append({"role": "user", "content": [{"text": "on its way"}], "tracking_id": "on-its-way"})
        flushing = in_a_thread(manager.flush_sync)
        flushing.join(SECONDS)
        seen.append((flushing.is_alive(), manager.record_of("on-its-way")))
        agent.state.set("looked", True)
        return "seen"

    manager = memory_sessions()
    seen: list[Any] = []
    agent = agent_of(manager, tools=[look], model=FakeModel([tool_call("look", "t1"), "Done."]))
    with manager.taking("client", 1):
        agent("Look")
    assert seen == [(False, None)]
    assert manager.record_of("on-its-way") is not None
    manager.close_sync()

    heir = memory_sessions()
    heir.open_sync()
    assert heir.history.agents["default"].messages == agent.messages


class Working(threading.Thread):
    """A thread that does something several times, and keeps the error that it ends with."""

    def __init__(self, work: Callable[[int], Any], goes_on: Callable[[int], bool]) -> None:
        super().__init__(daemon=True)
        self.error: Exception | None = None
        self._work, self._goes_on = work, goes_on
        self.start()

    def run(self) -> None:
        number = 0
        try:
            while self._goes_on(number):
                self._work(number)
                number += 1
        except Exception as error:  # noqa: BLE001 - the test looks at it
            self.error = error


@pytest.mark.slow
def test_concurrent_agents_and_flushes_lose_and_double_no_message(memory_sessions: Sessions) -> None:
    manager = memory_sessions(durability="gate")
    manager.open_sync()
    agents: list[Agent] = []
    done = threading.Event()

    def build_and_talk(name: str) -> Callable[[int], None]:
        def one(number: int) -> None:
            agent = agent_of(manager, f"{name}{number}")
            agents.append(agent)
            agent("Hi")
            agent.messages.append({"role": "user", "content": [{"text": "noted"}]})

        return one

    flushing = [Working(lambda _: manager.flush_sync(), lambda _: not done.is_set()) for _ in range(2)]
    working = [Working(build_and_talk(name), lambda number: number < 8) for name in "xyz"]
    for thread in working:
        thread.join(60)
    done.set()
    for thread in flushing:
        thread.join(SECONDS)
    manager.close_sync()

    assert [thread.error for thread in working + flushing] == [None] * 5
    heir = memory_sessions()
    heir.open_sync()
    assert {name: one.messages for name, one in heir.history.agents.items()} == {
        agent.agent_id: agent.messages for agent in agents
    }
    journal = heir._runtime.run_sync(heir._session.read())
    added = [record.data["message"]["tracking_id"] for record in journal.records if record.kind == "message"]
    assert len(added) == len(set(added)) == 3 * len(agents)
