"""The offline model in the hands of a real agent."""

from __future__ import annotations

import asyncio
import copy
from typing import Any

import pytest
from strands import tool
from strands.bidi.types import BidiMessage
from strands.bidi.types.events import (
    BidiAudioDeltaEvent,
    BidiBargeInEvent,
    BidiConnectionRestartEvent,
    BidiConnectionStartEvent,
    BidiResponseStartEvent,
    BidiResponseStopEvent,
    BidiToolUseBlocksEvent,
    BidiTranscriptBlockEvent,
    BidiTranscriptStartEvent,
    BidiUsageEvent,
)
from strands.types.content import TextBlock

from segue.testing.offline import HistoryRejected, OfflineVoiceModel, speak
from segue.testing.offline.tones import words_in_time
from tests.support.waiting import within


def said(agent: Any) -> list[tuple[str, str]]:
    texts = [(message["role"], block.get("text")) for message in agent.messages for block in message["content"]]
    return [(role, text) for role, text in texts if text is not None]


@tool
def city_time(city: str) -> str:
    """Tell the time in a city.

    Args:
        city: The city.
    """
    if city == "Atlantis":
        raise LookupError("sunk")
    return f"It is noon in {city}."


async def test_typed_words_are_answered_in_speech(converse: Any) -> None:
    talk = await converse()
    assert await talk.ask("My name is Alice") == "Hello Alice, nice to meet you."
    assert talk.heard_by_ear() == ["Hello Alice, nice to meet you."]
    assert said(talk.agent) == [("user", "My name is Alice"), ("assistant", "Hello Alice, nice to meet you.")]
    kinds = talk.kinds()
    assert kinds[:4] == ["connection_start", "response_start", "audio_start", "audio_delta"]
    assert kinds[-5:] == [
        "audio_stop",
        "transcript_stop/assistant",
        "transcript_block/assistant",
        "usage",
        "response_stop",
    ]
    assert not any(kind.endswith("/user") for kind in kinds)
    deltas = [event for event in talk.events if isinstance(event, BidiAudioDeltaEvent)]
    assert all(len(event.audio) <= 4 * 3200 // 3 + 4 for event in deltas)
    assert (deltas[0].sample_rate, deltas[0].channels, deltas[0].format) == (16000, 1, "pcm")
    (usage,) = [event for event in talk.events if isinstance(event, BidiUsageEvent)]
    assert usage.total_tokens == usage.input_tokens + usage.output_tokens > 0


async def test_words_come_in_step_with_their_audio(converse: Any) -> None:
    talk = await converse()
    await talk.ask("Repeat after me: one two three four five six")
    kinds = talk.kinds()
    # Folded, the two alternate: no word is told long before or after it sounds.
    assert kinds.count("transcript_delta/assistant") == 6
    assert kinds.count("audio_delta") >= 6


async def test_spoken_words_are_transcribed_and_answered(converse: Any) -> None:
    talk = await converse()
    assert await talk.ask_aloud("My name is Alice") == "Hello Alice, nice to meet you."
    assert await talk.ask_aloud("What's my name?") == "Your name is Alice."
    assert talk.kinds()[:5] == [
        "connection_start",
        "transcript_start/user",
        "transcript_delta/user",
        "transcript_stop/user",
        "transcript_block/user",
    ]
    assert said(talk.agent) == [
        ("user", "My name is Alice"),
        ("assistant", "Hello Alice, nice to meet you."),
        ("user", "What's my name?"),
        ("assistant", "Your name is Alice."),
    ]
    assert talk.heard_by_ear() == ["Hello Alice, nice to meet you.", "Your name is Alice."]
    assert [(heard.kind, heard.text) for heard in talk.agent.model.heard] == [
        ("speech", "My name is Alice"),
        ("speech", "What's my name?"),
    ]


async def test_the_users_transcript_begins_with_the_speech(converse: Any) -> None:
    talk = await converse()
    pcm = speak("My name is Alice")
    await talk.tell(pcm[:9600])
    await talk.until(BidiTranscriptStartEvent, role="user")
    assert talk.agent.messages[-1]["content"] == []
    await talk.tell(pcm[9600:])
    assert await talk.says() == "Hello Alice, nice to meet you."


@pytest.mark.parametrize("damaged", [speak("My name is Alice")[:9600] + speak("My name is Alice")[12800:], speak(" ")])
async def test_damaged_speech_is_a_turn_that_says_so(converse: Any, damaged: bytes) -> None:
    talk = await converse()
    await talk.tell(damaged)
    assert await talk.says() == "Sorry, I did not catch that."
    assert said(talk.agent)[0] == ("user", "[inaudible]")
    assert [(heard.kind, heard.text) for heard in talk.agent.model.heard] == [("garbled", None)]


async def test_offline_model_takes_other_audio_rates(converse: Any) -> None:
    talk = await converse(OfflineVoiceModel(pace=0, input_rate=8000, output_rate=24000))
    await talk.tell(speak("Hello", 8000), chunk_bytes=1600)
    assert await talk.says() == "Hello."
    assert talk.audio() == speak("Hello.", 24000)
    assert talk.agent.model.get_audio_config()["output"] == {"sample_rate": 24000, "channels": 1, "format": "pcm"}


async def test_a_tool_is_asked_for_and_its_result_spoken(converse: Any) -> None:
    talk = await converse(tools=[city_time])
    assert await talk.ask("What time is it in Paris?") == "It is noon in Paris."
    (asked,) = [event for event in talk.events if isinstance(event, BidiToolUseBlocksEvent)]
    assert [(use["name"], use["input"]) for use in asked.tool_uses] == [("city_time", {"city": "Paris"})]
    kinds = [next(iter(block)) for message in talk.agent.messages for block in message["content"]]
    assert kinds == ["text", "toolUse", "toolResult", "toolUse", "toolResult", "text"]
    assert [heard.kind for heard in talk.agent.model.heard] == ["text", "tool_result"]
    assert "sunk" in await talk.ask("What time is it in Atlantis?")


async def test_a_tool_result_waits_until_nothing_is_being_said(converse: Any, held_sleep: Any) -> None:
    go_on = asyncio.Event()

    @tool
    async def slow_clock() -> str:
        """Tell the time, in a while."""
        await go_on.wait()
        return "It is late."

    sleep = held_sleep(2)
    talk = await converse(OfflineVoiceModel(pace=1, sleep=sleep), tools=[slow_clock])
    await talk.agent.send("What time is it?")
    await talk.until(BidiResponseStopEvent)
    await talk.agent.send("Count to 3")
    await sleep.holding.wait()
    go_on.set()
    async with within(20):
        while len(talk.agent.model.heard) < 3:
            await asyncio.sleep(0)
    sleep.release()
    assert [await talk.says(), await talk.says()] == ["1, 2, 3.", "It is late."]


@pytest.mark.parametrize("aloud", [False, True])
async def test_input_that_begins_interrupts_an_answer(converse: Any, held_sleep: Any, aloud: bool) -> None:
    sleep = held_sleep(10)
    talk = await converse(OfflineVoiceModel(pace=1, sleep=sleep))
    await talk.agent.send("Count to 50")
    await sleep.holding.wait()
    if aloud:
        await talk.tell(speak("Hello")[:9600])
    else:
        await talk.agent.send("Hello")
    await talk.until(BidiBargeInEvent)
    cut = await talk.until(BidiTranscriptBlockEvent, role="assistant")
    await talk.until(BidiResponseStopEvent)
    before = len(talk.audio())
    assert before >= 13 * 3200  # three pieces that need no waiting, ten that did, and more if the machine was slow
    assert before % 3200 == 0
    count_to_50 = f"{', '.join(str(number) for number in range(1, 51))}."
    heard = "".join(word for word, until in words_in_time(count_to_50) if until <= before / 32000)
    assert heard.startswith("1, 2, 3, 4, 5, 6, 7, 8,")
    assert cut.transcript == heard.strip()
    sleep.release()
    if aloud:
        await talk.tell(speak("Hello")[9600:])
    assert await talk.says() == "Hello."
    assert talk.audio()[before:] == speak("Hello.")
    assert ("assistant", cut.transcript) in said(talk.agent)
    assert await talk.ask("How many messages do you remember?") == "I remember 4 messages."


async def test_an_answer_cut_before_its_first_word_leaves_no_message(converse: Any, held_sleep: Any) -> None:
    sleep = held_sleep(0)
    talk = await converse(OfflineVoiceModel(pace=1, sleep=sleep))
    await talk.agent.send("Repeat after me: Mississippi")
    await sleep.holding.wait()
    sleep.release()
    assert await talk.ask("Hello") == "Hello."
    assert said(talk.agent) == [("user", "Repeat after me: Mississippi"), ("user", "Hello"), ("assistant", "Hello.")]


async def test_the_offline_model_speaks_in_real_time(converse: Any, held_sleep: Any) -> None:
    sleep, clock = held_sleep(1000), asyncio.get_running_loop().time
    slept: list[tuple[float, float]] = []

    async def noted(seconds: float) -> None:
        slept.append((clock(), clock() + seconds))
        await sleep(seconds)

    talk = await converse(OfflineVoiceModel(pace=1, sleep=noted))
    asked = clock()
    await talk.ask("Count to 9")
    seconds = len(talk.audio()) / 32000
    # This sleep takes no time, and the speech begins before the first. It ends in its own time, less a lead of 0.2 s.
    (begun, _), (_, last) = slept[0], slept[-1]
    assert sorted(until for _, until in slept) == [until for _, until in slept]
    assert asked + seconds - 0.5 < last <= begun + seconds - 0.2


@pytest.mark.parametrize("aloud", [False, True])
async def test_a_dropped_line_is_restarted_with_the_history(converse: Any, aloud: bool) -> None:
    talk = await converse()
    await talk.ask("My name is Alice")
    if aloud:
        await talk.tell(speak("Drop the line"))
    else:
        await talk.agent.send("Drop the line")
    restart = await talk.until(BidiConnectionRestartEvent)
    assert restart.reason == "timeout"
    await talk.until(BidiConnectionStartEvent)
    assert await talk.ask("What's my name?") == "Your name is Alice."
    # Alice, its answer and the unanswered request; the new connection does not answer that one.
    assert await talk.ask("How many messages do you remember?") == "I remember 5 messages."
    assert talk.error is None


async def test_a_connection_ends_at_its_limit(converse: Any) -> None:
    limits, waits = asyncio.Semaphore(0), []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        await limits.acquire()

    talk = await converse(OfflineVoiceModel(pace=0, limit_s=480.0, sleep=sleep))
    await talk.ask("My name is Alice")
    assert waits == [480.0]
    limits.release()
    restart = await talk.until(BidiConnectionRestartEvent)
    assert "limit of 480.0" in str(restart.timeout_error)
    await talk.until(BidiConnectionStartEvent)
    assert await talk.ask("What's my name?") == "Your name is Alice."
    assert waits == [480.0, 480.0]


async def test_agent_restarts_the_offline_model_ahead_of_its_limit(converse: Any) -> None:
    connection: Any = {"restart_after_s": 0.05}
    talk = await converse(OfflineVoiceModel(pace=0, connection=connection))
    await talk.ask("My name is Alice")
    assert (await talk.until(BidiConnectionRestartEvent)).reason == "scheduled"
    await talk.until(BidiConnectionStartEvent)
    assert await talk.ask("What's my name?") == "Your name is Alice."


async def test_a_restart_in_the_middle_of_the_users_speech(converse: Any) -> None:
    talk = await converse()
    pcm = speak("My name is Alice")
    await talk.tell(pcm[:9600])
    await talk.until(BidiTranscriptStartEvent, role="user")
    pending = copy.deepcopy(talk.agent.messages)
    await talk.agent.send("Drop the line")
    await talk.until(BidiConnectionRestartEvent)
    await talk.until(BidiConnectionStartEvent)
    # The new connection did not hear the beginning; said again, all is well.
    assert await talk.ask_aloud("My name is Alice") == "Hello Alice, nice to meet you."
    assert said(talk.agent)[0] == ("user", "[Transcript unavailable.]")
    # Such a placeholder is no history to begin with, though.
    with pytest.raises(HistoryRejected, match="placeholder"):
        await OfflineVoiceModel().start(messages=pending)


async def test_the_offline_model_goes_on_where_another_agent_stopped(converse: Any) -> None:
    first = await converse(tools=[city_time])
    await first.ask_aloud("My name is Alice")
    await first.ask("What time is it in Rome?")
    await first.agent.stop()
    second = await converse(tools=[city_time], messages=copy.deepcopy(first.agent.messages))
    assert await second.ask_aloud("What's my name?") == "Your name is Alice."
    assert await second.ask("How many messages do you remember?") == "I remember 6 messages."


async def test_the_offline_model_sees_only_the_messages_that_it_is_given(converse: Any) -> None:
    talk = await converse(messages=[])
    talk.agent.messages.append({"role": "user", "content": [{"text": "My name is Alice"}]})
    assert await talk.ask("What's my name?") == "I don't know your name."


async def test_offline_model_tells_its_system_prompt(converse: Any) -> None:
    talk = await converse(system_prompt="Be brief.")
    assert await talk.ask("What are your instructions?") == "My instructions are: Be brief."


async def test_a_slow_reader_slows_the_offline_model_down() -> None:
    model = OfflineVoiceModel(pace=0)
    await model.start()
    reader = model.receive()
    await model.send(BidiMessage([TextBlock("Count to 100")]))
    events = [await anext(reader), await anext(reader)]
    for _ in range(50):
        await asyncio.sleep(0)
    await model.stop()
    events += [event async for event in reader]
    assert [event["type"] for event in events] == ["bidi_connection_start", "bidi_response_start"]


async def test_two_answers_have_different_response_ids(converse: Any) -> None:
    talk = await converse()
    await talk.ask("Hello")
    await talk.ask("Hello")
    starts = [event.response_id for event in talk.events if isinstance(event, BidiResponseStartEvent)]
    assert len(set(starts)) == 2
