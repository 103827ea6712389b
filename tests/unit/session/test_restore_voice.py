"""A BidiAgent's transcripts are there again after a restore."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from strands.bidi import BidiAgent
from strands.bidi.models import ConnectionTimeoutError
from strands.bidi.types.events import (
    BidiBargeInEvent,
    BidiResponseStartEvent,
    BidiResponseStopEvent,
    BidiTranscriptDeltaEvent,
    BidiTranscriptStartEvent,
    BidiTranscriptStopEvent,
)
from strands.types.content import TextBlock
from strands.types.media import ImageBlock

from segue import SessionFenced
from tests.support.crash import certainly_dead, crash
from tests.support.scripted_model import ScriptedModel, answered, spoken, until
from tests.support.sessions import manager_of

Sessions = Callable[..., Any]


@pytest.fixture
def restored(s3_sessions: Sessions) -> Callable[..., Any]:
    """Builds the agent anew, as another process would."""

    async def restore(session_id: str = "talk", **options: Any) -> BidiAgent:
        manager = s3_sessions(session_id, **options)
        await manager.open()
        return BidiAgent(model=ScriptedModel(), session_manager=manager)

    return restore


@pytest.fixture
async def talk(s3_sessions: Sessions) -> AsyncIterator[BidiAgent]:
    """A started agent in a new session."""
    manager = s3_sessions()
    await manager.open()
    agent = BidiAgent(model=ScriptedModel(), session_manager=manager)
    await agent.start()
    yield agent
    with contextlib.suppress(SessionFenced, RuntimeError):  # a test may have let it crash
        await agent.stop()


async def test_a_transcript_streamed_in_pieces_is_equal_after_a_restore(talk: BidiAgent, restored: Any) -> None:
    await talk.send("My name is Alice")
    talk.model.emit(answered("Hello Alice, how are you today?"))
    await until(talk, "bidi_response_stop")
    await talk.stop()

    again = await restored()

    assert again.messages == talk.messages
    assert [message["content"] for message in again.messages] == [
        [{"text": "My name is Alice"}],
        [{"text": "Hello Alice, how are you today?"}],
    ]


async def test_interleaved_transcripts_keep_the_order_in_which_they_began(talk: BidiAgent, restored: Any) -> None:
    heard, said = "What's the weather in Berlin?", "Let me see, one moment."
    talk.model.emit(
        [
            BidiTranscriptStartEvent("user", "u1"),
            BidiTranscriptDeltaEvent(heard[:10], "user", "u1"),
            BidiResponseStartEvent("r1"),
            BidiTranscriptStartEvent("assistant", "a1"),
            BidiTranscriptDeltaEvent(said[:5], "assistant", "a1"),
            BidiTranscriptDeltaEvent(heard[10:], "user", "u1"),
            BidiTranscriptDeltaEvent(said[5:], "assistant", "a1"),
            BidiTranscriptStopEvent("assistant", "a1"),  # the answer is complete before the question
            BidiTranscriptStartEvent("user", "u2"),
            BidiTranscriptStopEvent("user", "u1"),
            BidiTranscriptDeltaEvent("Thanks", "user", "u2"),
            BidiTranscriptStopEvent("user", "u2"),
            BidiResponseStopEvent("r1"),
        ]
    )
    await until(talk, "bidi_response_stop")
    await talk.stop()

    again = await restored()

    assert again.messages == talk.messages
    assert [(m["role"], m["content"][0]["text"]) for m in again.messages] == [
        ("user", heard),
        ("assistant", said),
        ("user", "Thanks"),
    ]


async def test_each_finished_transcript_is_durable_before_it_is_shown(
    s3_sessions: Sessions, stage: Any, talk: BidiAgent
) -> None:
    manager = manager_of(talk)
    talk.model.emit(answered("Durable at once."))
    async for event in talk.receive():
        if event.get("type") == "bidi_transcript_block":
            break

    assert manager.head == manager.position
    assert manager.record_of(talk.messages[0]["tracking_id"]) < manager.head


async def test_speech_before_a_crash_is_restored_without_placeholders(
    talk: BidiAgent, s3_sessions: Sessions, restored: Any
) -> None:
    await talk.send("Tell me a story")
    talk.model.emit([BidiResponseStartEvent("r1"), *spoken("Once upon a time", content_id="a1")])
    talk.model.emit([BidiTranscriptStartEvent("assistant", "a2"), BidiTranscriptDeltaEvent("there", "assistant", "a2")])
    await until(talk, "bidi_transcript_start", times=2)
    assert len(talk.messages) == 3
    await manager_of(talk).durable()
    crash(manager_of(talk))

    again = await restored(probe=certainly_dead)

    assert [m["content"][0]["text"] for m in again.messages] == ["Tell me a story", "Once upon a time"]


async def test_a_transcript_that_a_stop_cuts_off_is_equal_after_a_restore(talk: BidiAgent, restored: Any) -> None:
    talk.model.emit([BidiTranscriptStartEvent("assistant", "a1"), BidiTranscriptDeltaEvent("I wan", "assistant", "a1")])
    await until(talk, "bidi_transcript_delta")
    await talk.stop()

    again = await restored()

    assert again.messages == talk.messages
    assert again.messages[0]["metadata"]["custom"]["bidi"]["status"] == "incomplete"


async def test_a_barge_in_keeps_what_was_said_before_it(talk: BidiAgent, restored: Any) -> None:
    talk.model.emit([BidiResponseStartEvent("r1"), *spoken("As I was say", content_id="a1")])
    talk.model.emit([BidiBargeInEvent(), *spoken("Stop", role="user", content_id="u1")])
    talk.model.emit([BidiResponseStopEvent("r1")])
    await until(talk, "bidi_response_stop")
    await talk.stop()

    assert (await restored()).messages == talk.messages


async def test_images_and_several_blocks_in_one_message_are_equal_after_a_restore(
    talk: BidiAgent, restored: Any
) -> None:
    picture = bytes(range(256)) * 4
    await talk.send([ImageBlock(format="jpeg", source={"bytes": picture}), TextBlock("What is this?")])
    await talk.stop()

    again = await restored()

    assert again.messages == talk.messages
    assert again.messages[0]["content"][0]["image"]["source"]["bytes"] == picture


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    ["Grüße, 世界 🌍", 'quotes " and \\ and \u0000 and \u2028', "x" * 300_000],
    ids=["unicode", "control", "long"],
)
async def test_any_text_is_equal_after_a_restore(talk: BidiAgent, restored: Any, text: str) -> None:
    await talk.send(text)
    await talk.stop()

    assert (await restored()).messages == talk.messages


async def test_half_a_surrogate_pair_does_not_end_the_conversation(talk: BidiAgent, restored: Any) -> None:
    # A provider that cuts its deltas between UTF-16 units gives these; UTF-8 has no form for them.
    talk.model.emit(answered("Hi \ud83d\ude00 and \ud83d!", content_id="a1"))
    await until(talk, "bidi_response_stop")
    await talk.stop()

    again = await restored()

    assert [m["content"][0]["text"] for m in again.messages] == ["Hi \U0001f600 and \ufffd!"]


async def test_a_connection_timeout_restarts_with_the_full_history_and_is_counted(
    talk: BidiAgent, restored: Any
) -> None:
    await talk.send("My name is Alice")
    talk.model.emit(answered("Hello Alice"))
    await until(talk, "bidi_response_stop")
    talk.model.emit([ConnectionTimeoutError("8 minutes")])
    receiving = asyncio.ensure_future(until(talk, "bidi_connection_restart"))
    await receiving
    talk.model.emit(answered("Still here", content_id="a2", response_id="r2"))
    await until(talk, "bidi_response_stop")

    assert len(talk.model.started_with) == 2
    texts = [message["content"][0]["text"] for message in talk.model.started_with[1]]
    assert texts == ["My name is Alice", "Hello Alice"]
    await talk.stop()
    again = await restored()
    assert again.messages == talk.messages
    connection = manager_of(again).history.agents["default"].connection
    assert connection["restarts"] == 1
    assert connection["provider"] == "ScriptedModel"
    assert connection["model_id"] == "scripted"
    assert connection["audio"]["output"] == {"sample_rate": 24000}


async def test_a_restored_agent_gives_its_model_the_history(talk: BidiAgent, restored: Any) -> None:
    await talk.send("My name is Alice")
    await talk.stop()

    again = await restored()
    await again.start()

    assert [m["content"] for m in again.model.started_with[0]] == [[{"text": "My name is Alice"}]]
    await again.stop()


@pytest.mark.slow
async def test_many_restores_on_end_change_nothing(talk: BidiAgent, restored: Any) -> None:
    await talk.send("One")
    talk.model.emit(answered("Two"))
    await until(talk, "bidi_response_stop")
    await talk.stop()
    heads = []
    for _ in range(3):
        again = await restored()
        assert again.messages == talk.messages
        await manager_of(again).close()
        heads.append(manager_of(again).head)

    assert len(set(heads)) == 1, "a restore writes nothing"


async def test_messages_that_an_agent_brings_are_recorded(s3_sessions: Sessions, restored: Any) -> None:
    manager = s3_sessions()
    await manager.open()
    agent = BidiAgent(
        model=ScriptedModel(), session_manager=manager, messages=[{"role": "user", "content": [{"text": "Before"}]}]
    )
    await manager.close()

    assert (await restored()).messages == agent.messages


@pytest.mark.slow
async def test_the_sessions_messages_win_over_those_the_agent_brings(talk: BidiAgent, s3_sessions: Sessions) -> None:
    await talk.send("In the session")
    await talk.stop()
    manager = s3_sessions()
    await manager.open()

    agent = BidiAgent(
        model=ScriptedModel(), session_manager=manager, messages=[{"role": "user", "content": [{"text": "Brought"}]}]
    )

    assert [m["content"] for m in agent.messages] == [[{"text": "In the session"}]]


async def test_an_incomplete_user_transcript_is_not_restored(memory_sessions: Sessions) -> None:
    # Its audio is sent again; a record that says "unavailable" would stand beside the transcript that comes then.
    manager = memory_sessions()
    await manager.open()
    agent = BidiAgent(model=ScriptedModel(), session_manager=manager)
    await agent.start()
    await agent.send("Before")
    agent.model.emit(spoken("I was just say", role="user", content_id="u1")[:2])
    await until(agent, "bidi_transcript_delta")
    await agent.stop()
    assert agent.messages[-1]["metadata"]["custom"]["bidi"]["status"] == "incomplete"

    again = memory_sessions()
    await again.open()
    heir = BidiAgent(model=ScriptedModel(), session_manager=again)

    assert [message["content"] for message in heir.messages] == [[{"text": "Before"}]]
