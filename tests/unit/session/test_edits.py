"""Edits of an agent's messages are in its session: between turns, in hooks, in long histories."""

from __future__ import annotations

import copy
import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from strands.bidi import BidiAgent
from strands.bidi.hooks.events import BidiAgentStopEvent

import segue.strands.recording.held_messages
from segue import RecordTooLarge
from segue.journal.records import MAX_RECORD_BYTES
from tests.support.crash import crash
from tests.unit.session.edits import Build, Sessions, restored, said, turn, voice_agent

Edit = Callable[[Any], None]


def append(agent: Any) -> None:
    agent.messages.append(said("appended"))


def clear(agent: Any) -> None:
    agent.messages.clear()


def begin_anew(agent: Any) -> None:
    agent.messages = [said("another")]


def change_inside(agent: Any) -> None:
    agent.messages[0]["content"][0]["text"] = "changed"


def change_deep_inside(agent: Any) -> None:
    agent.messages[1].setdefault("metadata", {})["custom"] = {"rating": {"stars": 5}}


def take_another(agent: Any) -> None:
    agent.messages[1] = {**agent.messages[1], "content": [{"text": "another"}]}


def insert(agent: Any) -> None:
    agent.messages.insert(1, said("inserted", "assistant"))


def undo(agent: Any) -> None:
    del agent.messages[-2:]


def take_out(agent: Any) -> None:
    del agent.messages[1]


def turn_round(agent: Any) -> None:
    agent.messages.reverse()


def repeat(agent: Any) -> None:
    agent.messages.append(agent.messages[0])


def empty(agent: Any) -> None:
    agent.messages[1]["content"].clear()


def name_anew(agent: Any) -> None:
    agent.messages[1]["tracking_id"] = "mine"


def forget_the_name(agent: Any) -> None:
    del agent.messages[1]["tracking_id"]


def load_a_snapshot(agent: Any) -> None:
    snapshot = agent.take_snapshot(include=["messages"])
    snapshot.data["messages"] = [said("loaded", "assistant"), *snapshot.data["messages"][1:]]
    agent.load_snapshot(snapshot)
    agent.messages[1]["content"][0]["text"] = "changed after that"


EDITS = [
    append,
    clear,
    begin_anew,
    change_inside,
    change_deep_inside,
    take_another,
    insert,
    undo,
    take_out,
    turn_round,
    repeat,
    empty,
    name_anew,
    forget_the_name,
    load_a_snapshot,
]


async def ready_for(edit: Edit, agent: Any) -> None:
    """Strands loads a snapshot into a stopped agent only."""
    if edit is load_a_snapshot and isinstance(agent, BidiAgent):
        await agent.stop()


async def edited_after_two_turns(memory_sessions: Sessions, build: Build, edit: Edit) -> tuple[Any, Any]:
    """A manager and its agent, whose history is edited after two turns."""
    manager = memory_sessions()
    await manager.open()
    agent = build(manager)
    await turn(agent, "one")
    await turn(agent, "two")
    await ready_for(edit, agent)
    edit(agent)
    return manager, agent


def by_name(edit: Edit) -> str:
    return edit.__name__


@pytest.mark.parametrize(
    "how",
    [
        "flush",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("close", "sync", "flush_sync", "close_sync", "leave")
        ),
    ],
)
@pytest.mark.parametrize("edit", EDITS, ids=by_name)
async def test_an_edit_between_turns_is_in_the_session(
    memory_sessions: Sessions, build: Build, edit: Edit, how: str
) -> None:
    manager, agent = await edited_after_two_turns(memory_sessions, build, edit)
    agent.state.set("edited", edit.__name__)
    if how == "sync":
        manager.sync_agent(agent)
        await manager.durable()
    elif how.endswith("_sync"):
        getattr(manager, how)()
    else:
        await getattr(manager, how)()
    crash(manager)

    heir = await restored(memory_sessions, build)
    assert heir.messages == [message for message in agent.messages if message["content"]]
    assert heir.state.get("edited") == edit.__name__


@pytest.mark.slow
@pytest.mark.parametrize("edit", EDITS, ids=by_name)
async def test_a_turn_goes_on_from_an_edit(memory_sessions: Sessions, build: Build, edit: Edit) -> None:
    manager, agent = await edited_after_two_turns(memory_sessions, build, edit)
    await turn(agent, "three")
    crash(manager)

    heir = await restored(memory_sessions, build)
    assert heir.messages == [message for message in agent.messages if message["content"]]
    assert [message["content"][0]["text"] for message in heir.messages][-2:] == ["three", "You said: three"]


async def test_an_edit_is_in_the_session_with_the_message_after_it(memory_sessions: Sessions) -> None:
    manager = memory_sessions()
    await manager.open()
    agent = voice_agent(manager)
    await turn(agent, "one")

    agent.messages.clear()
    await agent.send("two")
    crash(manager)

    assert [m["content"] for m in (await restored(memory_sessions, voice_agent)).messages] == [[{"text": "two"}]]


@pytest.mark.slow
@pytest.mark.parametrize("edit", EDITS[:-1], ids=by_name)
async def test_edits_of_a_stop_hook_are_kept(memory_sessions: Sessions, edit: Edit) -> None:
    manager = memory_sessions()
    await manager.open()
    agent = voice_agent(manager)
    agent.add_hook(lambda event: edit(event.agent), BidiAgentStopEvent)
    await turn(agent, "one")
    await turn(agent, "two")
    await agent.stop()

    heir = await restored(memory_sessions, voice_agent)
    assert heir.messages == [message for message in agent.messages if message["content"]]


@pytest.mark.slow
@pytest.mark.parametrize("place", [0, 5, 300, -1])
async def test_an_old_message_of_a_long_history_is_compared_too(
    memory_sessions: Sessions, build: Build, place: int
) -> None:
    manager = memory_sessions()
    await manager.open()
    build(manager, messages=[said(f"m{number}") for number in range(2 * segue.strands.recording.held_messages.STEP)])
    await manager.close()
    manager = memory_sessions()
    await manager.open()
    agent = build(manager)

    agent.messages[place]["content"][0]["text"] = "changed"
    await manager.close()

    heir = await restored(memory_sessions, build)
    assert heir.messages == agent.messages
    assert heir.messages[place]["content"] == [{"text": "changed"}]


async def test_unedited_messages_write_no_record(memory_sessions: Sessions, build: Build) -> None:
    manager = memory_sessions()
    await manager.open()
    agent = build(
        manager, messages=[said(f"m{number}") for number in range(2 * segue.strands.recording.held_messages.STEP)]
    )
    await turn(agent, "one")
    await manager.close()
    head = manager.position
    await manager.flush()
    manager.sync_agent(agent)
    manager.append_message(agent.messages[-1], agent)
    agent.messages = [dict(message) for message in agent.messages]
    await manager.close()
    assert manager.position == head

    manager = memory_sessions()
    await manager.open()
    build(manager)
    head = manager.position
    await manager.flush()
    assert manager.position == head


@pytest.mark.slow
async def test_an_oversize_edit_is_reported_once_and_keeps_nothing_else_from_being_saved(
    memory_sessions: Sessions, build: Build
) -> None:
    manager = memory_sessions()
    await manager.open()
    agent = build(manager)
    await turn(agent, "one")

    agent.messages[0]["content"][0]["text"] = "x" * (MAX_RECORD_BYTES + 1)
    agent.messages.insert(1, said("y" * (MAX_RECORD_BYTES + 1)))
    agent.messages.append(said("small"))
    agent.messages[2]["content"][0]["text"] = "small too"
    agent.state.set("saved", 1)
    with pytest.raises(RecordTooLarge):
        await manager.flush()
    await manager.flush()
    del agent.messages[1]
    agent.messages[0]["content"][0]["text"] = "one"
    await manager.close()

    heir = await restored(memory_sessions, build)
    assert heir.messages == agent.messages
    assert heir.state.get("saved") == 1


@pytest.mark.parametrize("edit", [append, clear, change_inside, undo], ids=by_name)
async def test_an_edit_of_an_agent_that_is_gone_is_in_the_session(
    memory_sessions: Sessions, build: Build, edit: Edit
) -> None:
    manager = memory_sessions()
    await manager.open()
    agent = build(manager)
    await turn(agent, "one")
    if isinstance(agent, BidiAgent):
        await agent.stop()
    edit(agent)
    expected = [copy.deepcopy(message["content"]) for message in agent.messages]
    reference = weakref.ref(agent)
    del agent
    gc.collect()
    assert reference() is None, "the agent must be freed for this test"
    await manager.close()

    assert [m["content"] for m in (await restored(memory_sessions, build)).messages] == expected
