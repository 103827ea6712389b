"""Edits beside redactions, and beside what was appended to the session itself."""

from __future__ import annotations

import copy

import pytest
from strands.types.exceptions import SessionException

from segue import RecordTooLarge
from segue.journal.blocks import unpack
from segue.journal.records import MAX_RECORD_BYTES
from tests.support.memory_manager import MemoryStorage
from tests.unit.session.edits import Build, Sessions, restored, said, turn

SECRET = "the number is 4111"


@pytest.mark.slow
@pytest.mark.parametrize("tracking_id", [None, "not that of any message"])
@pytest.mark.parametrize("later", [0, 1])
async def test_a_new_message_redacts_the_latest_one(
    memory_sessions: Sessions, storage: MemoryStorage, build: Build, tracking_id: str | None, later: int
) -> None:
    manager = memory_sessions()
    await manager.open()
    agent = build(manager)
    await turn(agent, "one")
    agent.messages.append(said(SECRET))
    if later:
        await manager.flush()
    instead = said("nothing", "assistant", **({"tracking_id": tracking_id} if tracking_id else {}))
    given = copy.deepcopy(instead)

    manager.redact_latest_message(instead, agent)
    await manager.flush()
    await turn(agent, "two")
    await manager.close()

    assert instead == given
    assert not [key for key, body in storage.objects.objects.items() if SECRET.encode() in unpack(body)]
    heir = await restored(memory_sessions, build)
    assert heir.messages == agent.messages
    assert heir.messages[2]["content"] == [{"text": "nothing"}]
    assert len(heir.messages) == 5


async def test_a_redaction_of_nothing_is_an_error(memory_sessions: Sessions, build: Build) -> None:
    manager = memory_sessions()
    await manager.open()
    agent = build(manager)
    with pytest.raises(SessionException, match="no message to redact"):
        manager.redact_latest_message(said("nothing"), agent)


@pytest.mark.slow
async def test_redaction_of_an_unrecorded_message_changes_no_other(memory_sessions: Sessions, build: Build) -> None:
    manager = memory_sessions()
    await manager.open()
    agent = build(manager)
    await turn(agent, "one")
    agent.messages.append(said("x" * (MAX_RECORD_BYTES + 1), tracking_id="large"))
    with pytest.raises(RecordTooLarge):
        await manager.flush()

    manager.redact_latest_message(said("nothing", tracking_id="large"), agent)
    await manager.close()

    heir = await restored(memory_sessions, build)
    assert [m["content"][0]["text"] for m in heir.messages] == ["one", "You said: one"]


@pytest.mark.slow
@pytest.mark.parametrize("tracking_id", [None, "mine"])
@pytest.mark.parametrize("held", ["never", "before", "after"])
async def test_a_message_that_was_appended_to_the_session_is_not_dropped_by_a_turn(
    memory_sessions: Sessions, build: Build, tracking_id: str | None, held: str
) -> None:
    manager = memory_sessions()
    await manager.open()
    agent = build(manager)
    await turn(agent, "one")
    note = said("noted", "assistant", **({"tracking_id": tracking_id} if tracking_id else {}))
    if held == "before":
        agent.messages.append(note)
    manager.append_message(note, agent)
    if held == "after":
        agent.messages.append(note)
    await turn(agent, "two")
    await turn(agent, "three")
    await manager.close()

    heir = await restored(memory_sessions, build)
    texts = [message["content"][0]["text"] for message in heir.messages]
    assert texts == ["one", "You said: one", "noted", "two", "You said: two", "three", "You said: three"]
    if held != "never":
        assert heir.messages == agent.messages


async def test_an_undo_leaves_what_was_appended_to_the_session_alone(memory_sessions: Sessions, build: Build) -> None:
    manager = memory_sessions()
    await manager.open()
    agent = build(manager)
    await turn(agent, "one")
    manager.append_message(said("noted", "assistant"), agent)
    await turn(agent, "two")

    del agent.messages[-2:]
    await manager.close()

    heir = await restored(memory_sessions, build)
    assert [m["content"][0]["text"] for m in heir.messages] == ["one", "You said: one", "noted"]
