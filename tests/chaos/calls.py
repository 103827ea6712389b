"""Some calls at once, an adversary, and the account at the end."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from local import deployment as deployed
from local.demo import account
from local.demo.caller import Caller
from local.demo.frames import Frames, read_log
from local.demo.listener import Listener
from local.deployment import Deployment
from local.issuer import principal
from segue.client import Client
from tests.chaos.fleet import Fleet
from tests.chaos.relays import SocketRelay
from tests.chaos.weather import Sky, Weather

ANSWER_SECONDS: Final = 90.0
"""Far longer than anything takes: what is not answered by then never will be."""

LONGEST_PAUSE_SECONDS: Final = 1.0

CAUGHT_UP_FRAMES: Final = 80
"""Unacknowledged: what is being said and the silence before it. Each deed makes a call send that once more, and one
function of the emulator carries it for all: deeds that came faster would measure only that."""

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
        answers: Seconds from a line's last frame to its answer.
        killed: Seconds from the SIGKILL of a call's worker to the next `ready` that the call heard, unless the
            adversary did something else meanwhile.
        stopped: The same for SIGSTOP, where it lasted long enough.
        connections: How many sockets there were in all.
    """

    problems: list[str] = field(default_factory=list)
    lines: int = 0
    frames: int = 0
    received: int = 0
    gaps: list[float] = field(default_factory=list)
    answers: list[float] = field(default_factory=list)
    killed: list[float] = field(default_factory=list)
    stopped: list[float] = field(default_factory=list)
    connections: int = 0


@dataclass(frozen=True)
class Place:
    """Where it happens.

    Attributes:
        deployment: What is deployed.
        token: Makes what lets a client in.
        fleet: The workers.
        model_log: What their models heard.
        dice: Decides everything.
    """

    deployment: Deployment
    token: Callable[[], str]
    fleet: Fleet
    model_log: Path
    dice: random.Random


async def play(plan: Plan, place: Place, tell: Callable[[str], None]) -> Outcome:
    """Talk on all calls until the adversary has done all that was planned."""
    over = asyncio.Event()
    calls = [Call(f"call-{place.dice.randbytes(4).hex()}", place, plan) for _ in range(plan.calls)]
    adversary = Adversary(plan, place, calls, tell)
    talking = [asyncio.create_task(call.talk(over)) for call in calls]
    doing = asyncio.create_task(adversary.run())
    outcome = Outcome()
    try:
        # A call that ends before the adversary has failed.
        await asyncio.wait({doing, *talking}, return_when=asyncio.FIRST_COMPLETED)
        over.set()
        if doing.done():
            doing.result()
        for call, ended in zip(calls, await asyncio.gather(*talking, return_exceptions=True), strict=True):
            if isinstance(ended, BaseException):
                outcome.problems.append(f"{call.session}: {type(ended).__name__} {ended}")
    finally:
        for task in (doing, *talking):
            task.cancel()
        await asyncio.gather(doing, *talking, return_exceptions=True)
    for call in calls:
        await call.settle(outcome)
    for loss in adversary.losses:
        pause = loss.pause
        if pause is not None and not any(loss.at < began < loss.at + pause for began in adversary.began):
            (outcome.killed if loss.deed == "kill" else outcome.stopped).append(pause)
    return outcome


@dataclass(frozen=True)
class Loss:
    """A call whose worker was taken from it.

    Attributes:
        call: Which.
        deed: How: "kill" or "stop".
        at: When, on the monotonic clock.
        epoch: The worker's.
    """

    call: Call
    deed: str
    at: float
    epoch: int

    @property
    def pause(self) -> float | None:
        """Seconds until the next worker said `ready`; None if the same one went on."""
        readies = self.call.listener.readies if self.call.listener else []
        return next((at - self.at for at, ready in readies if (ready.epoch or 0) > self.epoch), None)


class Adversary:
    """Does what was planned, in an order of its own, to calls that are connected.

    Attributes:
        began: When each deed did, on the monotonic clock.
        losses: Calls whose workers it killed or stopped.
    """

    def __init__(self, plan: Plan, place: Place, calls: list[Call], tell: Callable[[str], None]) -> None:
        self.began: list[float] = []
        self.losses: list[Loss] = []
        self._place = place
        self._calls = calls
        self._tell = tell
        self._deeds = ["redeploy"] * plan.redeploys + ["kill"] * plan.kills + ["stop"] * plan.stops
        place.dice.shuffle(self._deeds)

    async def run(self) -> None:
        """Do all of it."""
        for call in self._calls:
            await call.connected.wait()
        for number, deed in enumerate(self._deeds, 1):
            await asyncio.sleep(self._place.dice.uniform(0.0, LONGEST_PAUSE_SECONDS))
            await asyncio.gather(*(call.caught_up() for call in self._calls))
            self._tell(f"{number}/{len(self._deeds)} {deed}")
            self.began.append(time.monotonic())
            if deed == "redeploy":
                await self._place.fleet.redeploy()
            else:
                await self._take_worker(deed, self._place.dice.choice(self._calls))

    async def _take_worker(self, deed: str, call: Call) -> None:
        fleet, epoch = self._place.fleet, call.epoch
        holder = await asyncio.to_thread(deployed.session_holder, self._place.deployment, call.session, principal())
        if holder is None:
            self._tell(f"nobody holds {call.session} just now")
            return
        if not fleet.has(holder):
            self._tell(f"{holder} is dead already, and {call.session} not taken over")
            return
        self.losses.append(Loss(call, deed, time.monotonic(), epoch))
        if deed == "kill":
            await fleet.kill(holder)
        else:
            await fleet.suspend(holder, self._place.dice.uniform(*SUSPENDED_SECONDS))


class Call:
    """One caller in one session.

    Attributes:
        session: Its id.
        connected: Set when somebody answered the first time.
        listener: What it hears; None until then.
    """

    def __init__(self, session: str, place: Place, plan: Plan) -> None:
        self.session = session
        self.connected = asyncio.Event()
        self.listener: Listener | None = None
        self._place = place
        self._plan = plan
        self._dice = random.Random(place.dice.random())
        sky, log = Sky(plan.weather, self._dice), place.model_log.with_name(f"{session}.jsonl")
        self._relay = SocketRelay(place.deployment.websocket_url, sky, log)
        self._client: Client | None = None
        self._caller: Caller | None = None

    async def talk(self, over: asyncio.Event) -> None:
        """Say one line after another until it is over.

        Raises:
            TimeoutError: Something was not answered.
        """
        async with self._relay:
            client = self._client = Client(self._relay.url, session=self.session, token=self._place.token)
            async with client:
                self.connected.set()
                listener = self.listener = Listener(client)
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

    async def caught_up(self) -> None:
        """Wait, bounded, until no more than usual is unacknowledged."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ANSWER_SECONDS):
                while self._client is None or self._client.unacknowledged > CAUGHT_UP_FRAMES:
                    await asyncio.sleep(0.1)

    @property
    def epoch(self) -> int:
        """The epoch of the worker that was heard last."""
        return (self._client.epoch or 0) if self._client else 0

    async def settle(self, outcome: Outcome) -> None:
        """Hold what was said against what was heard, journalled and shown."""
        if self._caller is None or self.listener is None or self._client is None:
            outcome.problems.append(f"{self.session}: never connected")
            return
        found = await account.read(self._place.deployment, self.session)
        frames = Frames(self._caller, self.listener, read_log(self._place.model_log), found.spoken)
        outcome.problems += [f"{self.session}: lost: {what}" for what in frames.lost]
        outcome.problems += [f"{self.session}: doubled: {what}" for what in frames.doubled]
        epochs = [epoch for _, epoch, _ in found.commits]
        if epochs != sorted(epochs):
            outcome.problems.append(f"{self.session}: epochs fell: {epochs}")
        outcome.lines += sum(said.answer is not None for said in self._caller.said)
        outcome.answers += [said.answer.at - said.ended for said in self._caller.said if said.answer]
        outcome.frames += sum(row.sent for row in frames.rows)
        outcome.received += sum(self.listener.count.values())
        outcome.connections += self._client.connection
        for moved in self.listener.moves:
            after = next((at for at, _ in self.listener.readies if at >= moved), None)
            if after is not None:
                outcome.gaps.append(after - moved)
