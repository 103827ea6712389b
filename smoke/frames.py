"""Frames on a bare WebSocket: ``hello`` to ``ready``, stray messages, echoes, and coming back after a lost one."""

from __future__ import annotations

import asyncio
import secrets
import time
from typing import Final

from segue.wire.frames import (
    AudioInput,
    Hello,
    OutputAck,
    Ping,
    Pong,
    Ready,
    Received,
    TextInput,
    TextOutput,
    Transcript,
)
from smoke.call import is_answer, is_direct
from smoke.report import State, in_words, percentiles
from smoke.visit import Outcome, Pace, Step, Visit, in_time
from smoke.wire import Wire, open_wire

UNANSWERED_FRAMES: Final = 10
PINGS: Final = 60
ROUND_FRAMES: Final = 16
"""So many frames are answered with ``received`` at once (docs/protocol.md)."""
SILENCE_SECONDS: Final = 0.02


async def _ready(visit: Visit) -> Outcome:
    async with open_wire(visit.url, visit.token) as wire:
        began = time.monotonic()
        at, ready = await _greet(wire, visit)
    seconds = at - began
    audio = (
        f"hears {ready.audio.input.rate} and speaks {ready.audio.output.rate} samples a second"
        if ready.audio
        else "no audio"
    )
    return Outcome(
        came=f"{seconds * 1000:.0f} ms, {audio}, {ready.history} messages before",
        state=in_time(seconds, 10.0),
        figures={"ready": round(seconds * 1000, 1)},
    )


async def _strays(visit: Visit) -> Outcome:
    async with open_wire(visit.url, visit.token) as wire:
        _, ready = await _greet(wire, visit)
        strays_before = len(wire.strays)
        for _ in range(UNANSWERED_FRAMES):
            await wire.send(OutputAck(epoch=ready.epoch or 0, seq=ready.seq or 1))
        await asyncio.sleep(visit.pace.stray_seconds)
        strays = wire.strays[strays_before:]
    came = f"{len(strays)} messages for {UNANSWERED_FRAMES} frames"
    if strays:
        came += f", the first: {strays[0][:80]!r}"
    state = State.WELL if not strays else State.KNOWN if visit.emulated else State.DIFFERS
    return Outcome(came=came, state=state, figures={"strays": len(strays)})


async def _echoes(visit: Visit) -> Outcome:
    times = []
    async with open_wire(visit.url, visit.token) as wire:
        await _greet(wire, visit)
        for _ in range(PINGS):
            place, began = len(wire.frames), time.monotonic()
            await wire.send(Ping())
            at, _pong = await wire.first(Pong, visit.pace.answer_seconds, after=place)
            times.append(at - began)
            await asyncio.sleep(visit.pace.ping_pause_seconds)
    figures = percentiles(times)
    return Outcome(
        came=f"{in_words(figures)} ({PINGS} pings)", state=in_time(figures["p99"] / 1000, 1), figures=figures
    )


async def _echoes_of_the_worker(visit: Visit) -> Outcome:
    times = []
    async with open_wire(visit.url, visit.token) as wire:
        _, ready = await _greet(wire, visit)
        if ready.audio is None:
            return Outcome(came="the session has no audio", state=State.SKIPPED)
        silence = bytes(2 * int(ready.audio.input.rate * SILENCE_SECONDS))
        for number in range(visit.pace.rounds):
            last_seq = (number + 1) * ROUND_FRAMES
            began = time.monotonic()
            for seq in range(last_seq - ROUND_FRAMES + 1, last_seq + 1):
                audio = AudioInput.from_pcm(silence)
                await wire.send(AudioInput(audio=audio.audio, seq=seq))
            at, _received = await wire.first(
                Received,
                visit.pace.answer_seconds,
                lambda frame, last_seq=last_seq: frame.upto >= last_seq,  # type: ignore[misc]
            )
            times.append(at - began)
            await asyncio.sleep(ROUND_FRAMES * SILENCE_SECONDS)
    figures = percentiles(times)
    came = f"{in_words(figures)} ({visit.pace.rounds} times {ROUND_FRAMES} frames)"
    return Outcome(came=came, state=in_time(figures["p90"] / 1000, 1.5), figures=figures)


async def _answer_after_loss(visit: Visit) -> Outcome:
    """Ask, lose the connection before the answer, come back on another, and be shown the answer once."""
    client_id = secrets.token_hex(8)
    text = TextInput(text="Say that I am back", seq=1)
    async with open_wire(visit.url, visit.token) as wire:
        _, ready = await _greet(wire, visit, client_id=client_id)
        last_record = ready.head - 1
        await wire.send(text)
        await wire.first(Received, visit.pace.answer_seconds)
        wire.cut()
    began = time.monotonic()
    async with open_wire(visit.url, visit.token) as wire:
        _, ready = await _greet(wire, visit, client_id=client_id, connection=2, last_record=last_record)
        if ready.known.upto < 1:
            await wire.send(text)
        answered_at, _ = await wire.first(
            Transcript | TextOutput,  # type: ignore[arg-type]  # isinstance takes it
            visit.pace.answer_seconds,
            lambda frame: is_answer(frame) and (frame.record or 0) > last_record,
        )
        await asyncio.sleep(visit.pace.repeat_seconds)
        answers = [frame.record for _, frame in wire.frames if is_answer(frame)]  # type: ignore[union-attr]
    seconds = answered_at - began
    is_repeated = len(answers) != len(set(answers))
    return Outcome(
        came=f"the answer {'twice' if is_repeated else 'once'}, {seconds * 1000:.0f} ms after the connection was lost",
        state=State.DIFFERS if is_repeated else State.WELL,
        figures={"back": round(seconds * 1000, 1)},
    )


async def _greet(
    wire: Wire, visit: Visit, *, client_id: str | None = None, connection: int = 1, last_record: int | None = None
) -> tuple[float, Ready]:
    """Say hello, again and again, until the session is ready."""
    hello = Hello(
        session=visit.session,
        client_id=client_id or secrets.token_hex(8),
        connection=connection,
        last_record=last_record,
    )
    async with asyncio.timeout(visit.pace.ready_seconds):
        while True:
            await wire.send(hello)
            try:
                at, ready = await wire.first(Ready, visit.pace.hello_seconds)
            except TimeoutError:
                continue
            return at, (await _wait_until_settled(wire, ready, visit.pace) if is_direct(ready) else ready)


async def _wait_until_settled(wire: Wire, ready: Ready, pace: Pace) -> Ready:
    """Wait until the session has followed its socket, if it does: its next holder says ``ready`` again."""
    while True:
        place = len(wire.frames)
        try:
            _, ready = await wire.first(Ready, pace.follow_seconds, after=place)
        except TimeoutError:
            return ready


STEPS = (
    Step("hello to ready", "ready within 10 s", "docs/deploy.md#the-first-call", _ready, needed=True),
    Step(
        "frames without an answer",
        "no message comes back for them",
        "docs/first-deployment.md#a-message-for-every-frame",
        _strays,
    ),
    Step("echo of the gateway", "p99 of ping to pong within 1 s", "docs/benchmarks.md", _echoes),
    Step(
        "echo of the worker",
        f"p90 of {ROUND_FRAMES} frames to `received` within 1.5 s",
        "docs/benchmarks.md",
        _echoes_of_the_worker,
    ),
    Step(
        "a lost connection",
        "the answer comes once, on the next connection",
        "docs/protocol.md",
        _answer_after_loss,
    ),
)
