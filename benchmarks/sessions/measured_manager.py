"""One manager at one length of history, in a process of its own: one manager's garbage is not another's pause.

python -m benchmarks.sessions.measured_manager '<Task as JSON>'      prints a Cell as JSON
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from itertools import islice
from typing import Any

import msgspec
from strands.bidi import BidiAgent

from benchmarks.measuring import memory
from benchmarks.measuring.figures import STALL_MS, Cell, Load, Restore, Spread
from benchmarks.measuring.metering import Meter
from benchmarks.measuring.stalls import StallMeter, Window, run
from benchmarks.sessions import bare_reads
from benchmarks.sessions.conversations import own_size, texts
from benchmarks.sessions.managers import Place, Session, TimedModel, session
from tests.support.scripted_model import answered, until

WARM = "warm"
"""A session of two messages in every place: what is loaded and connected once is not part of any figure."""

_PACE_SECONDS = 0.08
"""Least time between two messages: a little more than a commit takes. All managers see as much of the machine's
own noise for each message."""


class Task(msgspec.Struct, kw_only=True):
    """A measurement to make.

    Attributes:
        manager: Its name.
        length: Messages in the history.
        place: Where its sessions are.
        delay_s: Seconds added to each request.
        messages: How many messages to add in each part.
        restores: How often to restore, if that takes less than ``_LONG_SECONDS``.
    """

    manager: str
    length: int
    place: Place
    delay_s: float
    messages: int
    restores: int


_LONG_SECONDS = 3.0


async def measure(task: Task, stalls: StallMeter) -> Cell:
    """Restore, then talk."""
    meter = Meter()
    warm = session(task.manager, WARM, task.place, meter)
    await _talk_once(await warm.open(TimedModel()))
    await warm.close()
    gc.collect()

    meter.delay_s = task.delay_s
    restore, opened, agent = await _restored(task, meter, stalls)
    cell = Cell(manager=task.manager, length=task.length, restore=restore)
    talk = _Talk(agent, opened, meter, stalls)
    await agent.start()
    cell.texts = await talk.paced(task.messages, _say)
    cell.turns = await talk.paced(task.messages // 2, _turn)
    cell.burst = await talk.burst(task.messages)
    await agent.stop()
    return cell


async def _talk_once(agent: BidiAgent) -> None:
    await agent.start()
    await agent.send("Hello.")
    await agent.stop()


async def _restored(task: Task, meter: Meter, stalls: StallMeter) -> tuple[Restore | None, Session, BidiAgent]:
    took_ms: list[float] = []
    windows: list[Window] = []
    peak, reads, traffic, agent = 0.0, meter.reads(), meter.take(), None
    while True:
        measured = session(task.manager, f"history-{task.length}", task.place, meter)
        gc.collect()
        memory.forget_peak()
        memory_before = memory.resident_kb()
        await stalls.begin()
        start = time.perf_counter()
        agent = await measured.open(TimedModel())
        took_ms.append((time.perf_counter() - start) * 1e3)
        windows.append(await stalls.end())
        if len(took_ms) == 1:
            peak, reads, traffic = (memory.peak_kb() - memory_before) / 1024, meter.reads(), meter.take()
        if len(took_ms) >= task.restores or sum(took_ms) > _LONG_SECONDS * 1e3:
            break
        await measured.close()
    with_content = sum(bool(message["content"]) for message in agent.messages)
    if task.manager == "none":
        return None, measured, agent
    restore = Restore(
        ms=statistics.median(took_ms),
        stall=statistics.median(window.stall for window in windows),
        count=len(took_ms),
        peak_mb=peak,
        messages=with_content,
        traffic=traffic,
        bare_ms=None
        if task.manager == "s3"
        else await asyncio.to_thread(bare_reads.read, reads, task.delay_s, len(took_ms)),
    )
    return restore, measured, agent


class _Talk:
    """Adds messages to a conversation, and looks at the loop meanwhile."""

    def __init__(self, agent: BidiAgent, measured: Session, meter: Meter, stalls: StallMeter) -> None:
        self._agent = agent
        self._model: Any = agent.model
        self._session = measured
        self._meter = meter
        self._stalls = stalls
        self._texts = texts("talk")

    async def paced(self, count: int, say: Callable[[_Talk], Awaitable[float]]) -> Load:
        """One exchange at a time, each durable before the next, and each followed by as long without one."""
        self._meter.take()
        messages_before, windows, idle, to_model = len(self._agent.messages), [], [], []
        began = time.perf_counter()
        for _ in range(count):
            await self._stalls.begin()
            start = time.perf_counter()
            to_model.append(await say(self))
            await self._session.saved()
            windows.append(await self._stalls.end())
            await asyncio.sleep(max(0.0, start + _PACE_SECONDS - time.perf_counter()))
            took = time.perf_counter() - start
            await self._stalls.begin()
            await asyncio.sleep(took)
            idle.append((await self._stalls.end()).stall)
        load = self._load(messages_before, windows, to_model, time.perf_counter() - began)
        load.idle = Spread.of(idle)
        load.over = sum(window.stall > STALL_MS for window in windows), sum(stall > STALL_MS for stall in idle)
        return load

    async def burst(self, count: int) -> Load:
        """All at once: what storage cannot keep up with."""
        self._meter.take()
        messages_before, to_model = len(self._agent.messages), []

        async def say(text: str) -> None:
            start = time.perf_counter()
            await self._agent.send(text)
            to_model.append((time.perf_counter() - start) * 1e3)

        await self._stalls.begin()
        start = time.perf_counter()
        await asyncio.gather(*(say(text) for _, text in islice(self._texts, count)))
        await self._session.saved()
        window = await self._stalls.end()
        seconds = time.perf_counter() - start
        each = Window(stall=window.stall, turn=window.turn, busy=window.busy / count)
        return self._load(messages_before, [each], to_model, seconds)

    def next_text(self) -> str:
        """The next text of the conversation."""
        return next(self._texts)[1]

    @property
    def agent(self) -> BidiAgent:
        return self._agent

    @property
    def model(self) -> Any:
        return self._model

    def _load(self, messages_before: int, windows: list[Window], to_model: list[float], seconds: float) -> Load:
        added = self._agent.messages[messages_before:]
        return Load(
            messages=len(added),
            own_bytes=sum(map(own_size, added)),
            stall=Spread.of([window.stall for window in windows]),
            turn=Spread.of([window.turn for window in windows]),
            busy=Spread.of([window.busy for window in windows]),
            to_model=Spread.of(to_model),
            seconds=seconds,
            traffic=self._meter.take(),
        )


async def _say(talk: _Talk) -> float:
    """A text message; returns ms until the model has it."""
    text = talk.next_text()
    start = time.perf_counter()
    await talk.agent.send(text)
    return float(talk.model.sent_at - start) * 1e3


async def _turn(talk: _Talk) -> float:
    """A text message and the transcript that answers it, in pieces."""
    took = await _say(talk)
    text = talk.next_text()
    content_id = f"c{len(talk.agent.messages)}"
    talk.model.emit(answered(text, response_id=content_id, content_id=content_id))
    await until(talk.agent, "bidi_response_stop")
    return took


def main(arguments: list[str]) -> None:
    """Measure what the one argument says, and print what was found."""
    task = msgspec.json.decode(arguments[0], type=Task)
    print(msgspec.json.encode(run(lambda stalls: measure(task, stalls))).decode())


if __name__ == "__main__":
    main(sys.argv[1:])
