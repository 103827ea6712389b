"""Messages that a restore did not give to the agent are part of the session, whatever is done to those that it did."""

from __future__ import annotations

import asyncio
import copy
from typing import Any
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strands import Agent
from strands.agent.conversation_manager import SlidingWindowConversationManager
from strands.bidi import BidiAgent

import segue.history.order
from segue.admin.fork import fork
from segue.clock import SystemClock
from segue.history.agent_history import AgentHistory
from segue.history.fold import fold
from segue.history.messages import messages_of
from segue.history.order import LONG, SessionOrder
from segue.history.pauses import FitHistory
from segue.history.points import read_at
from segue.history.repair import RepairReport
from segue.journal.records import Record, encode_record
from segue.lease.item import ESCAPES_SCHEMA, FIRST_SCHEMA, GuardItem
from segue.strands.recording.recorder import AgentRecorder
from tests.support.fake_model import FakeModel
from tests.support.memory_manager import MemoryStorage
from tests.support.scripted_model import ScriptedModel
from tests.support.sessions import manager_of
from tests.unit.session.edits import Build, Sessions, text_agent


def said(text: str, role: str = "user", **more: Any) -> dict[str, Any]:
    return {"role": role, "content": [{"text": text}], "tracking_id": text, **more}


def exchange(*numbers: int) -> list[dict[str, Any]]:
    return [message for number in numbers for message in (said(f"Q{number}"), said(f"A{number}", "assistant"))]


async def opened(sessions: Sessions, build: Build, **options: Any) -> Any:
    limits = {name: options.pop(name) for name in ("max_messages", "max_bytes") if name in options}
    manager = sessions(**limits)
    await manager.open()
    return build(manager, **options)


async def closed(agent: Any) -> None:
    await manager_of(agent).close()


async def kept(sessions: Sessions, build: Build) -> list[str]:
    """The ids of all that the session has."""
    agent = await opened(sessions, build)
    await closed(agent)
    return [message["tracking_id"] for message in manager_of(agent).history.agents["default"].messages]


@pytest.mark.parametrize("limit", [{"max_messages": 2}, {"max_messages": 4}, {"max_bytes": 300}], ids=str)
async def test_an_undo_does_not_make_a_shortened_history_the_real_one(
    memory_sessions: Sessions, build: Build, limit: dict[str, int]
) -> None:
    await closed(await opened(memory_sessions, build, messages=exchange(1, 2, 3)))
    agent = await opened(memory_sessions, build, **limit)
    assert len(agent.messages) < 6

    del agent.messages[-2:]
    await closed(agent)

    assert await kept(memory_sessions, build) == ["Q1", "A1", "Q2", "A2"]


@pytest.mark.parametrize("how", ["clear", "replace", "edit", "append", "insert"])
async def test_other_edits_leave_what_lies_outside_alone_too(memory_sessions: Sessions, build: Build, how: str) -> None:
    await closed(await opened(memory_sessions, build, messages=exchange(1, 2, 3)))
    agent = await opened(memory_sessions, build, max_messages=2)

    match how:
        case "clear":
            agent.messages.clear()
        case "replace":
            agent.messages = [said("other")]
        case "edit":
            agent.messages[0]["content"][0]["text"] = "edited"
        case "append":
            agent.messages.append(said("other"))
        case _:
            agent.messages.insert(0, said("other"))
    await closed(agent)

    window = {
        "clear": [],
        "replace": ["other"],
        "edit": ["Q3", "A3"],
        "append": ["Q3", "A3", "other"],
        "insert": ["other", "Q3", "A3"],
    }
    assert await kept(memory_sessions, build) == ["Q1", "A1", "Q2", "A2", *window[how]]


async def test_a_message_that_returns_into_the_window_is_restored_once(memory_sessions: Sessions, build: Build) -> None:
    await closed(await opened(memory_sessions, build, messages=exchange(1, 2, 3)))
    agent = await opened(memory_sessions, build, max_messages=2)

    agent.messages[:0] = exchange(1, 2)[2:]
    agent.messages[0]["content"][0]["text"] = "edited"
    await closed(agent)

    again = await opened(memory_sessions, build)
    assert again.messages == exchange(1)[:2] + agent.messages


async def test_turns_and_a_conversation_manager_take_nothing_from_outside(memory_sessions: Sessions) -> None:
    await closed(await opened(memory_sessions, text_agent, messages=exchange(*range(20))))
    agent = await opened(
        memory_sessions,
        text_agent,
        max_messages=2,
        conversation_manager=SlidingWindowConversationManager(window_size=4),
    )
    for number in range(5):
        await agent.invoke_async(f"new {number}")
    await closed(agent)

    ids = await kept(memory_sessions, text_agent)
    assert ids[:38] == [message["tracking_id"] for message in exchange(*range(19))]
    assert ids[38:] == [message["tracking_id"] for message in agent.messages]


async def test_messages_that_a_repair_drops_or_adds_are_not_recorded_as_edits(
    memory_sessions: Sessions, build: Build
) -> None:
    use = {"toolUse": {"toolUseId": "t1", "name": "look", "input": {}}}
    lost = {"toolResult": {"toolUseId": "t0", "status": "success", "content": []}}
    history = [
        said("silence", "user", content=[{"text": " "}]),
        *exchange(1),
        said("orphan", "user", content=[lost]),
        said("crashed", "assistant", content=[use]),
        *exchange(2, 3),
    ]
    before = [message["tracking_id"] for message in history]
    await closed(await opened(memory_sessions, build, messages=history))
    agent = await opened(memory_sessions, build)
    assert len(agent.messages) == len(history) - 2 + 1

    del agent.messages[-2:]
    await closed(agent)

    assert await kept(memory_sessions, build) == before[:-2]
    again = await opened(memory_sessions, build)
    assert [{**message, "tracking_id": None} for message in again.messages] == [
        {**message, "tracking_id": None} for message in agent.messages
    ]


async def test_a_made_up_result_that_is_edited_becomes_the_sessions(memory_sessions: Sessions, build: Build) -> None:
    use = {"toolUse": {"toolUseId": "t1", "name": "look", "input": {}}}
    history = [said("crashed", "assistant", content=[use]), *exchange(1)]
    await closed(await opened(memory_sessions, build, messages=history))
    agent = await opened(memory_sessions, build)

    agent.messages[1]["content"][0]["toolResult"]["content"] = [{"text": "It was lost."}]
    await closed(agent)

    again = await opened(memory_sessions, build)
    assert again.messages == agent.messages
    assert manager_of(again).report["default"].interrupted == ()


async def test_a_message_outside_is_redacted_as_what_it_is(memory_sessions: Sessions, build: Build) -> None:
    await closed(await opened(memory_sessions, build, messages=exchange(1, 2)))
    agent = await opened(memory_sessions, build, max_messages=2)

    await manager_of(agent).redact("A1")
    await closed(agent)

    assert (await opened(memory_sessions, build)).messages[1] == said(
        "A1", "assistant", content=[{"text": "[redacted]"}]
    )


_CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["add", "remove", "return", "move", "edit", "append", "more", "redact"]),
        st.integers(0, 50),
        st.booleans(),
    ),
    min_size=3,
    max_size=25,
)


class _World:
    """An agent that was given a part of a session's ten messages."""

    def __init__(self, voice: bool, outside: set[int]) -> None:
        self.agent: Any = BidiAgent(model=ScriptedModel()) if voice else Agent(model=FakeModel(), callback_handler=None)
        self.records = [Record(kind="message", data={"message": said(f"m{number}")}) for number in range(10)]
        self.unheld = [f"m{number}" for number in sorted(outside)]
        self.away: list[Any] = []
        self.made = 0
        stored = self.stored()
        held = [message for number, message in enumerate(messages_of(stored)) if number not in outside]
        self.recorder = AgentRecorder(self.agent, stored, self.append)
        self.recorder.restore(FitHistory(held, {}, RepairReport()), stored, with_prompt=False)

    def append(self, *more: Record) -> int:
        self.records.extend(copy.deepcopy(more))
        return len(self.records)

    def stored(self) -> AgentHistory:
        return fold(self.records).agents["default"]

    def new(self) -> dict[str, Any]:
        self.made += 1
        return said(f"n{self.made}")

    def change(self, what: str, number: int) -> None:
        messages = self.agent.messages
        if what == "add":
            messages.append(self.new())
            self.recorder.message(messages[-1], None)
        elif what == "more":
            messages.insert(number % (len(messages) + 1), self.new())
        elif what == "append":
            self.recorder.append(self.new(), None)
            self.unheld.append(f"n{self.made}")
        elif what == "return" and self.away:
            messages.insert(number % (len(messages) + 1), self.away.pop(number % len(self.away)))
        elif messages:
            self.change_one(what, number % len(messages))

    def change_one(self, what: str, place: int) -> None:
        messages = self.agent.messages
        if what == "remove":
            self.away.append(messages.pop(place))
        elif what == "move":
            messages.append(messages.pop(place))
        elif what == "edit":
            messages[place]["content"][0]["text"] += "!"
        elif what == "redact":
            self.recorder.redact(messages[place]["tracking_id"], "gone")


@pytest.mark.slow
@pytest.mark.parametrize("voice", [False, True], ids=["text", "voice"])
@settings(deadline=None)
@given(changes=_CHANGES, outside=st.sets(st.integers(0, 9)))
def test_session_has_the_agents_messages_and_those_outside_the_window_after_any_changes(
    voice: bool, changes: Any, outside: set[int]
) -> None:
    world = _World(voice, outside)
    for what, number, noticed in [*changes, ("nothing", 0, True)]:
        world.change(what, number)
        if noticed:
            world.recorder.reconcile()
            now = world.stored()
            ids = [message["tracking_id"] for message in now.messages]
            assert [message for message in now.messages if message["tracking_id"] not in world.unheld] == (
                world.agent.messages
            )
            assert sorted(one for one in ids if one in world.unheld) == sorted(world.unheld)
            assert now.numbers == world.recorder.numbers
    if not {"move", "return"} & {what for what, _, _ in changes}:  # else it may have followed one that was moved
        assert [one for one in ids if one in world.unheld] == world.unheld


def test_a_message_outside_the_window_keeps_its_predecessor() -> None:
    order = SessionOrder("abcdef")
    assert order.window(["a", "d", "f"], {"b", "c", "e"}) is None
    assert order.window(["d", "f"], {"b", "c", "e"}) == {"keep": list("bcdef")}
    assert order.window(["f", "d"], {"b", "c", "e"}) == {"keep": list("bcfde")}
    assert order.window([], {"b", "c", "e"}) == {"keep": list("bce")}


_LENGTH = 2 * LONG
"""Messages outside, so many that the ids of all that stay are not written again."""


async def long_session(sessions: Sessions, **options: Any) -> Any:
    """An agent that holds the last turn of a long session, and takes the oldest out with every turn."""
    await closed(await opened(sessions, text_agent, messages=exchange(*range(_LENGTH // 2))))
    trimming = SlidingWindowConversationManager(window_size=4)
    return await opened(sessions, text_agent, max_messages=2, conversation_manager=trimming, **options)


async def test_a_window_record_of_a_long_session_names_only_the_dropped_messages(
    memory_sessions: Sessions, storage: MemoryStorage
) -> None:
    agent = await long_session(memory_sessions)
    assert GuardItem.parse(storage.guard.items["default/talk"]).schema == FIRST_SCHEMA
    for number in range(5):
        await agent.invoke_async(f"new {number}")
    await closed(agent)
    manager = memory_sessions()
    await manager.open()
    journal = await asyncio.to_thread(manager._runtime.run_sync, manager._session.read())
    windows = [record.data for record in journal.records if record.kind == "window"]

    assert [list(window) for window in windows] == [["drop"]] * len(windows)
    assert windows
    assert max(len(encode_record(Record(kind="window", data=window))) for window in windows) < 200
    assert GuardItem.parse(storage.guard.items["default/talk"]).schema == ESCAPES_SCHEMA
    ids = [message["tracking_id"] for message in manager.history.agents["default"].messages]
    assert ids[: _LENGTH - 2] == [message["tracking_id"] for message in exchange(*range(_LENGTH // 2 - 1))]
    assert ids[_LENGTH - 2 :] == [message["tracking_id"] for message in agent.messages]
    await manager.close()


@pytest.mark.slow
async def test_messages_dropped_from_a_long_sessions_window_can_return(memory_sessions: Sessions) -> None:
    agent = await long_session(memory_sessions)
    whole = copy.deepcopy(agent.messages)
    del agent.messages[:]
    await manager_of(agent).flush()
    agent.messages = [*whole, said("more")]
    await closed(agent)

    again = await opened(memory_sessions, text_agent)
    assert again.messages == [*exchange(*range(_LENGTH // 2)), said("more")]


async def test_a_fork_of_such_a_session_is_closed_to_earlier_releases_too(
    memory_sessions: Sessions, storage: MemoryStorage
) -> None:
    agent = await long_session(memory_sessions)
    del agent.messages[-1]
    await closed(agent)
    await fork(storage.stores(), "default/talk", "default/copy", SystemClock())

    assert GuardItem.parse(storage.guard.items["default/copy"]).schema == ESCAPES_SCHEMA
    history = (await read_at(storage.stores(), "default/copy", SystemClock())).agents["default"]
    assert len(history.messages) == _LENGTH - 1


@pytest.mark.slow
@given(st.integers(0, 12), st.data())
def test_a_window_by_what_it_lost_and_by_what_it_kept_are_the_same(outside: int, data: Any) -> None:
    ids = [f"m{number}" for number in range(12)]
    held = data.draw(st.lists(st.sampled_from(ids[outside:]), unique=True).map(sorted)) if outside < 12 else []
    added = [Record(kind="message", data={"message": said(one)}) for one in ids]
    found = []
    for long in (0, LONG):
        with mock.patch.object(segue.history.order, "LONG", long):
            window = SessionOrder(ids).window([one for one in ids if one in held], set(ids[:outside]))
        records = [*added, *([] if window is None else [Record(kind="window", data=window)])]
        found.append([message["tracking_id"] for message in fold(records).agents["default"].messages])
    assert found[0] == found[1]
