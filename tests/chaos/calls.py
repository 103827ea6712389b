"""Some calls at once, an adversary, and the account at the end."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from local import deployment as deployed
from local.demo import account
from local.demo.caller import Caller
from local.demo.frames import Frames
from local.demo.listener import Listener
from local.deployment import Deployment
from local.settings import PRINCIPAL
from segue.client import Client
from tests.chaos.fleet import Fleet
from tests.chaos.relays import SocketRelay
from tests.chaos.weather import Sky, Weather

ANSWER_SECONDS: Final = 90.0
"""Far longer than anything takes: what is not answered by then never will be."""

PAUSE_SECONDS: Final = 0.5
SUSPENDED_SECONDS: Final = (0.5, 10.0)
"""Shorter and longer than a lease."""


@dataclass(frozen=True)
class Plan:
    """What is to happen.

    Attributes:
        calls: How many sessions at once.
        redeploys: How often all workers are replaced.
        kills: How often the worker of some call gets SIGKILL.
        stops: How often the worker of some call gets SIGSTOP, and later SIGCONT.
        lines: The least number of lines that each call says.
        weather: On the clients' sockets.
    """

    calls: int
    redeploys: int
    kills: int
    stops: int
    lines: int
    weather: Weather


@dataclass
class Outcome:
    """What came of it.

    Attributes:
        problems: Everything that should not have been, in words.
        lines: Lines that were said and answered.
        frames: Frames that were sent.
        received: Frames that arrived.
        gaps: Seconds from a `moved` to the next `ready`, for each planned handoff that a client saw.
        connections: How many sockets there were in all.
    """

    problems: list[str] = field(default_factory=list)
    lines: int = 0
    frames: int = 0
    received: int = 0
    gaps: list[float] = field(default_factory=list)
    connections: int = 0


async def play(
    plan: Plan,
    deployment: Deployment,
    fleet: Fleet,
    model_log: Path,
    dice: random.Random,
    tell: Callable[[str], None],
) -> Outcome:
    """Talk on all calls until the adversary has done all that was planned."""
    outcome = Outcome()
    over = asyncio.Event()
    calls = [Call(f"call-{dice.randbytes(4).hex()}", deployment, plan, dice) for _ in range(plan.calls)]
    talking = [asyncio.create_task(call.talk(over)) for call in calls]
    adversary = asyncio.create_task(_adversary(plan, deployment, fleet, calls, dice, tell))
    try:
        await asyncio.wait({adversary, *talking}, return_when=asyncio.FIRST_EXCEPTION)
        over.set()
        if not adversary.done():  # a call has failed
            adversary.cancel()
        for call, ended in zip(calls, await asyncio.gather(*talking, return_exceptions=True), strict=True):
            if isinstance(ended, BaseException):
                outcome.problems.append(f"{call.session}: {type(ended).__name__} {ended}")
        with contextlib.suppress(asyncio.CancelledError):
            await adversary
    finally:
        for task in (adversary, *talking):
            task.cancel()
    for call in calls:
        await call.settle(deployment, model_log, outcome)
    return outcome


async def _adversary(
    plan: Plan,
    deployment: Deployment,
    fleet: Fleet,
    calls: list[Call],
    dice: random.Random,
    tell: Callable[[str], None],
) -> None:
    for call in calls:
        await call.connected.wait()
    deeds: list[str] = ["redeploy"] * plan.redeploys + ["kill"] * plan.kills + ["stop"] * plan.stops
    dice.shuffle(deeds)
    for number, deed in enumerate(deeds, 1):
        await asyncio.sleep(dice.uniform(0.0, 2 * PAUSE_SECONDS))
        session = dice.choice(calls).session
        holder = await asyncio.to_thread(deployed.session_holder, deployment, session, PRINCIPAL)
        work: Awaitable[None]
        if deed == "redeploy":
            tell(f"{number}/{len(deeds)} redeploy")
            work = fleet.redeploy()
        elif holder is None:
            tell(f"{number}/{len(deeds)} {deed}: nobody holds {session} just now")
            continue
        elif deed == "kill":
            tell(f"{number}/{len(deeds)} SIGKILL {holder}")
            work = fleet.kill(holder)
        else:
            seconds = dice.uniform(*SUSPENDED_SECONDS)
            tell(f"{number}/{len(deeds)} SIGSTOP {holder} for {seconds:.1f} s")
            work = fleet.suspend(holder, seconds)
        await work


class Call:
    """One caller in one session.

    Attributes:
        session: Its id.
        connected: Set when somebody answered the first time.
    """

    def __init__(self, session: str, deployment: Deployment, plan: Plan, dice: random.Random) -> None:
        self.session = session
        self.connected = asyncio.Event()
        self._plan = plan
        self._dice = random.Random(dice.random())
        self._relay = SocketRelay(deployment.websocket_url, Sky(plan.weather, self._dice))
        self._client: Client | None = None
        self._listener: Listener | None = None
        self._caller: Caller | None = None

    async def talk(self, over: asyncio.Event) -> None:
        """Say one line after another until it is over.

        Raises:
            TimeoutError: Something was not answered.
        """
        async with self._relay:
            client = self._client = Client(self._relay.url, session=self.session)
            async with client:
                self.connected.set()
                listener = self._listener = Listener(client)
                caller = self._caller = Caller(client, listener)
                works = (listener.listen(), caller.microphone.run(), self._converse(caller, listener, over))
                tasks = [asyncio.create_task(work) for work in works]
                try:
                    # The first two never end by themselves: whatever ends first ends the call, well or badly.
                    ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                    for task in ended:
                        task.result()
                finally:
                    for task in tasks:
                        task.cancel()
                    await asyncio.gather(*tasks, return_exceptions=True)

    async def _converse(self, caller: Caller, listener: Listener, over: asyncio.Event) -> None:
        await self._say_lines(caller, over)
        carried = [number for said in caller.said for number in said.frames]
        await listener.all_acknowledged(carried, ANSWER_SECONDS)

    async def _say_lines(self, caller: Caller, over: asyncio.Event) -> None:
        number = 0
        while not (over.is_set() and number >= self._plan.lines):
            number += 1
            text = f"{self.session} line {number}"
            spoken = self._dice.random() < 0.7
            await caller.say(text, f"You said: {text}", ANSWER_SECONDS, spoken=spoken)

    async def settle(self, deployment: Deployment, model_log: Path, outcome: Outcome) -> None:
        """Hold what was said against what was heard, journalled and shown."""
        if self._caller is None or self._listener is None or self._client is None:
            outcome.problems.append(f"{self.session}: never connected")
            return
        found = await account.read(deployment, self.session)
        frames = Frames(self._caller, self._listener, model_log, found.spoken)
        outcome.problems += [f"{self.session}: lost: {what}" for what in frames.lost]
        outcome.problems += [f"{self.session}: doubled: {what}" for what in frames.doubled]
        epochs = [epoch for _, epoch, _ in found.commits]
        if epochs != sorted(epochs):
            outcome.problems.append(f"{self.session}: epochs fell: {epochs}")
        outcome.lines += sum(said.answer is not None for said in self._caller.said)
        outcome.frames += sum(row.sent for row in frames.rows)
        outcome.received += sum(self._listener.count.values())
        outcome.connections += self._client.connection
        for moved in self._listener.moves:
            after = next((at for at, _ in self._listener.readies if at >= moved), None)
            if after is not None:
                outcome.gaps.append(after - moved)
