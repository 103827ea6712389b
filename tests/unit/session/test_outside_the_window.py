"""Messages that a restore did not give to the agent are part of the session, whatever is done to those that it did."""

from __future__ import annotations

import pytest
from strands.agent.conversation_manager import SlidingWindowConversationManager

from tests.support.sessions import manager_of
from tests.unit.session.edits import Build, Sessions, text_agent
from tests.unit.session.outside_messages import closed, exchange, opened, said


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
