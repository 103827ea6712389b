"""Many sessions open in one process, none of them saying anything: what keeping their leases costs.

python -m benchmarks.sessions.idle_sessions '<Task as JSON>'      prints a Crowd as JSON
"""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import time
from itertools import pairwise
from typing import Any

import msgspec
from strands.bidi import BidiAgent

from benchmarks.measuring.figures import Crowd, Spread
from benchmarks.measuring.memory import resident_kb
from benchmarks.measuring.metering import Meter
from benchmarks.measuring.stalls import StallMeter, run
from benchmarks.sessions.managers import Place
from segue import GuardedS3SessionManager
from segue.session.runtime import Runtime
from tests.support.scripted_model import ScriptedModel

_OPENING = 64
"""Sessions that are being opened at once."""


class Task(msgspec.Struct, kw_only=True):
    """Number of sessions, duration and place."""

    place: Place
    delay_s: float
    sessions: int
    seconds: float


class _Beats:
    """Watch that notes each renewal of a lease that goes over the wire, and how late its heartbeat was begun."""

    def __init__(self, meter: Meter) -> None:
        self.at: dict[str, list[float]] = {}
        self.late: list[float] = []
        self._schedule = Runtime.shared().heartbeats
        meter.session.events.register("before-send.dynamodb.UpdateItem", self._sent)

    def clear(self) -> None:
        self.at.clear()
        self.late.clear()

    def _sent(self, request: Any, **_: Any) -> None:
        key = msgspec.json.decode(request.body)["Key"]["session_key"]["S"]
        self.at.setdefault(key, []).append(time.monotonic())
        self.late.append(self._schedule.lateness * 1e3)


async def measure(task: Task, stalls: StallMeter) -> Crowd:
    """Open all sessions, then watch for a while."""
    meter = Meter(task.delay_s)
    beats = _Beats(meter)
    gate = asyncio.Semaphore(_OPENING)

    async def open_session(number: int) -> tuple[GuardedS3SessionManager, BidiAgent]:
        async with gate:
            manager = GuardedS3SessionManager(
                f"one-of-many-{number}",
                bucket=task.place.bucket,
                lock_table=task.place.lock_table,
                boto_session=meter.session,
                acquire_timeout=60.0,
            )
            await manager.open()
            agent = BidiAgent(model=ScriptedModel(), session_manager=manager)
            await manager.flush()
            return manager, agent

    warm, _ = await open_session(-1)
    await warm.close()
    gc.collect()
    memory_before, start = resident_kb(), time.perf_counter()
    crowd = await asyncio.gather(*(open_session(number) for number in range(task.sessions)))
    open_s = time.perf_counter() - start
    gc.collect()
    memory = resident_kb() - memory_before

    heartbeat_s = crowd[0][0].settings.lease.heartbeat
    await asyncio.sleep(heartbeat_s)  # all have settled into their rhythm
    beats.clear()
    await stalls.begin()
    cpu, start = time.process_time(), time.perf_counter()
    await asyncio.sleep(task.seconds)
    seconds = time.perf_counter() - start
    cpu = (time.process_time() - cpu) / seconds
    figures = Crowd(
        sessions=task.sessions,
        seconds=seconds,
        open_s=open_s,
        cpu=cpu,
        kb_each=memory / task.sessions,
        threads=threading.active_count(),
        beats=len(beats.late),
        late=Spread.of(beats.late),
        interval=Spread.of([after - at for times in beats.at.values() for at, after in pairwise(times)]),
        stall=Spread.of(stalls.lates),
        heartbeat_s=heartbeat_s,
        lease_s=crowd[0][0].settings.lease.duration,
        lost=sum(not manager.lease_is_fresh() for manager, _ in crowd),
    )
    meter.delay_s = 0.0
    await asyncio.gather(*(manager.close() for manager, _ in crowd))
    return figures


def main(arguments: list[str]) -> None:
    """Measure what the one argument says, and print what was found."""
    task = msgspec.json.decode(arguments[0], type=Task)
    print(msgspec.json.encode(run(lambda stalls: measure(task, stalls))).decode())


if __name__ == "__main__":
    main(sys.argv[1:])
