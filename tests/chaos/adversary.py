"""The adversary, which injects faults: it replaces, kills, stops and cuts off workers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from local.deployment.issuer import principal
from local.deployment.outputs import session_holder
from tests.chaos.call import ANSWER_SECONDS, Call
from tests.chaos.fleet import LEASE_SECONDS
from tests.chaos.plan import Outcome, Place, Plan
from tests.chaos.wire import PATH_SECONDS, UNDER_WAY
from tests.support.waiting import within

LONGEST_PAUSE_SECONDS: Final = 1.0

SUSPENDED_SECONDS: Final = (0.5, 10.0)
"""Shorter and longer than a lease."""

PARTITIONED_SECONDS: Final = (LEASE_SECONDS + 1.0, LEASE_SECONDS + 4.0)
"""Longer than a lease: another worker takes over meanwhile."""

HURRIED_SECONDS: Final = 2.0
"""In which a worker that is told a second time to end hands its sessions over, without waiting for a successor that has
them ready."""

RASH_SHARE: Final = 1 / 3
"""Share of the faults that wait neither for the calls to recover from earlier faults nor for those faults to end.
A worker is then killed while it hands over, or replaced while it is stopped, or two are away at once."""


@dataclass(frozen=True)
class Loss:
    """A call whose worker was taken from it.

    Attributes:
        call: Which.
        fault: Its kind: "kill", "stop" or "partition".
        at: When, on the monotonic clock.
        epoch: The worker's.
        seconds: For how long it was stopped or cut off.
    """

    call: Call
    fault: str
    at: float
    epoch: int
    seconds: float = 0.0

    @property
    def pause(self) -> float | None:
        """Seconds until the next worker said ``ready``; None if the same one went on."""
        readies = self.call.listener.readies if self.call.listener else []
        return next((at - self.at for at, ready in readies if (ready.epoch or 0) > self.epoch), None)

    @property
    def pause_from_hello(self) -> float | None:
        """The same from the first ``hello`` over another connection, if there was one before that ``ready``."""
        if self.pause is None:
            return None
        said = self.call.wire.first_hello(self.at, self.at + self.pause)
        return self.pause if said is None else self.at + self.pause - said

    def disturbs(self, begin: float, end: float) -> bool:
        """Tell whether the worker was taken away within some time."""
        return self.at < end and begin < self.at + self.seconds

    @property
    def problems(self) -> list[str]:
        """Violations after a partition, which lasts longer than the lease, in words."""
        if self.fault != "partition":
            return []
        found = []
        if self.pause is None:
            found.append(f"no worker took over from epoch {self.epoch}, which was cut off")
        after = self.call.wire.after(self.epoch, self.at + LEASE_SECONDS + PATH_SECONDS)
        if after > UNDER_WAY:
            found.append(f"epoch {self.epoch} was cut off and spoke {after} times when its lease had run out")
        return [f"{self.call.session}: {what}" for what in found]


class Adversary:
    """Injects the planned faults into connected calls, in a random order."""

    def __init__(self, plan: Plan, place: Place, calls: list[Call], tell: Callable[[str], None]) -> None:
        self._rash_share = RASH_SHARE if plan.mixed else 0.0
        self._place = place
        self._calls = calls
        self._tell = tell
        self._began: list[float] = []
        self._losses: list[Loss] = []
        self._faults = ["redeploy"] * plan.redeploys + ["kill"] * plan.kills + ["stop"] * plan.stops
        self._faults += ["partition"] * plan.partitions
        place.dice.shuffle(self._faults)

    async def run(self) -> None:
        """Do all of it."""
        for call in self._calls:
            await call.connected.wait()
        async with asyncio.TaskGroup() as group:
            doing: set[asyncio.Task[None]] = set()
            for number, fault in enumerate(self._faults, 1):
                await asyncio.sleep(self._place.dice.uniform(0.0, LONGEST_PAUSE_SECONDS))
                rash = self._place.dice.random() < self._rash_share
                if not rash:
                    if doing:
                        await asyncio.wait(doing)
                    await asyncio.gather(*(call.caught_up() for call in self._calls))
                self._tell(f"{number}/{len(self._faults)} {fault}{' at once' if rash else ''}")
                self._began.append(time.monotonic())
                doing.add(group.create_task(self._do(fault)))

    def settle(self, outcome: Outcome) -> None:
        """Add problems and pauses to the outcome."""
        pauses = {"kill": outcome.killed, "stop": outcome.stopped, "partition": outcome.partitioned}
        for loss in self._losses:
            outcome.problems += loss.problems
            pause = loss.pause
            if pause is not None and not any(loss.at < began < loss.at + pause for began in self._began):
                pauses[loss.fault].append(pause)
                if loss.fault == "stop":
                    outcome.stopped_from_hello.append(loss.pause_from_hello or pause)
        for moved, ready in outcome.moves:
            disturbed = any(loss.disturbs(moved, ready) for loss in self._losses)
            disturbed |= any(at < ready and moved < at + HURRIED_SECONDS for at in self._place.fleet.hurried)
            (outcome.disturbed if disturbed else outcome.gaps).append(ready - moved)

    async def _do(self, fault: str) -> None:
        if fault == "redeploy":
            await self._place.fleet.redeploy()
        else:
            await self._take_worker(fault, self._place.dice.choice(self._calls))

    async def _take_worker(self, fault: str, call: Call) -> None:
        fleet, dice = self._place.fleet, self._place.dice
        if fault == "stop":
            await call.speaking()  # so that it has something left to say when it is woken, and must not
        elif fault == "partition":
            await fleet.complete()  # else it may be over before there is another worker to take the session
        holder, epoch = await self._holder(call)
        seconds = {"stop": SUSPENDED_SECONDS, "partition": PARTITIONED_SECONDS}.get(fault)
        lasts = 0.0 if seconds is None else dice.uniform(*seconds)
        self._losses.append(Loss(call, fault, time.monotonic(), epoch, lasts))
        match fault:
            case "kill":
                await fleet.kill(holder)
            case "stop":
                await fleet.suspend(holder, lasts)
            case _:
                await fleet.partition(holder, lasts)

    async def _holder(self, call: Call) -> tuple[str, int]:
        """Wait until some worker that lives holds a call; return it with its epoch, which the call need not know yet.

        Raises:
            TimeoutError: The call is lost.
        """
        async with within(ANSWER_SECONDS):
            while True:
                held = await asyncio.to_thread(session_holder, self._place.deployment, call.session, principal())
                if held is not None and self._place.fleet.has(held[0]):
                    return held
                await asyncio.sleep(0.1)
