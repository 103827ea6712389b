"""Turns: typed, spoken, and spoken over."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Final

from segue.client import Client
from segue.wire.frames import AudioOutput, BargeIn, Transcript
from smoke.call import calling, is_answer, words
from smoke.report import State
from smoke.speech import RECORDING, question
from smoke.visit import Outcome, Step, Visit, timed

GREETING: Final = "Say hello"
OFFLINE: Final = f"You said: {GREETING}"
"""The offline model's answer; no other gives it."""
LONG_ANSWER: Final = "Please count to 60."


async def typed(visit: Visit) -> Outcome:
    """A typed turn, acknowledged as durable."""
    call = visit.open_call
    seconds, answer = await call.ask(GREETING, visit.pace.answer_seconds)
    visit.offline = answer == OFFLINE
    await call.client.flush(visit.pace.answer_seconds)
    model = "the offline model" if visit.offline else "a model"
    return timed("answer", seconds, 10.0, f"{seconds * 1000:.0f} ms, {model} says {answer[:60]!r}; durable")


async def typed_for_the_text_function(visit: Visit) -> Outcome:
    """A typed turn of a client that prefers text, in a session of its own."""
    client = Client(visit.url, session=f"{visit.session}-text", token=visit.token, modality="text")
    async with calling(client) as call:
        seconds, answer = await call.ask(GREETING, visit.pace.answer_seconds)
        await call.client.flush(visit.pace.answer_seconds)
    return timed("answer", seconds, 15.0, f"{seconds * 1000:.0f} ms, {answer[:60]!r}; durable")


async def spoken(visit: Visit, recording: Path = RECORDING) -> Outcome:
    """A spoken question, heard in words and answered in speech."""
    call = visit.open_call
    if call.rate is None:
        return Outcome(came="the session has no audio", state=State.SKIPPED)
    await call.silence()
    heard_before = len(call.heard)
    async with call.speaking(question(call.rate, offline=visit.offline, recording=recording)) as ended:
        spoken_at = await ended
        first_at, _ = await call.first(
            lambda frame: isinstance(frame, AudioOutput), visit.pace.answer_seconds, heard_before
        )
        _, question_frame = await call.first(
            lambda frame: isinstance(frame, Transcript) and frame.final and frame.role == "user",
            visit.pace.answer_seconds,
            heard_before,
        )
        _, answer = await call.first(is_answer, visit.pace.answer_seconds, heard_before)
    seconds = max(0.0, first_at - spoken_at)
    came = (
        f"heard {words(question_frame)[:60]!r}, first sound after {seconds * 1000:.0f} ms, says {words(answer)[:60]!r}"
    )
    return timed("first_sound", seconds, 3.0, came)


async def spoken_over(visit: Visit, recording: Path = RECORDING) -> Outcome:
    """A barge-in: the agent is spoken over in a long answer."""
    call = visit.open_call
    if call.rate is None:
        return Outcome(came="the session has no audio", state=State.SKIPPED)
    await call.silence()
    heard_before = len(call.heard)
    await call.client.send_text(LONG_ANSWER)
    await call.first(lambda frame: isinstance(frame, AudioOutput), visit.pace.answer_seconds, heard_before)
    await asyncio.sleep(visit.pace.listening_seconds)
    heard_before, began = len(call.heard), time.monotonic()
    async with call.speaking(question(call.rate, offline=visit.offline, recording=recording)):
        at, _ = await call.first(lambda frame: isinstance(frame, BargeIn), visit.pace.answer_seconds, heard_before)
        heard_before = len(call.heard)
        await call.first(is_answer, visit.pace.answer_seconds, heard_before)
    seconds = at - began
    return timed("barge_in", seconds, 2.0, f"silent {seconds * 1000:.0f} ms after the caller began")


TYPED = Step("typed turn", "an answer within 10 s, and the input durable", "docs/deploy.md#the-first-call", typed)
TEXT_FUNCTION = Step(
    "typed turn, modality text",
    "an answer within 15 s, and the input durable",
    "docs/protocol.md",
    typed_for_the_text_function,
)
SPOKEN = Step(
    "spoken turn",
    "the words, and the first sound within 3 s of the last word (a real model costs some cents)",
    "docs/providers.md",
    spoken,
)
BARGE_IN = Step("barge-in", "the agent falls silent within 2 s", "docs/protocol.md", spoken_over)
