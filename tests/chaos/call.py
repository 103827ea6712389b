"""One caller in one session, and the outcome of all that was said."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from dataclasses import replace
from enum import Enum, auto
from typing import Final

from local.demo import stored_content
from local.demo.caller import Caller
from local.demo.frames import Frames, read_log
from local.demo.listener import Listener
from local.timeouts import patient
from segue.client import Client, ClientSettings
from tests.chaos.faults import FaultInjector
from tests.chaos.plan import Outcome, Place, Plan
from tests.chaos.relays import SocketRelay
from tests.chaos.wire import Wire
from tests.support.waiting import within

ANSWER_SECONDS: Final = 90.0
"""Far longer than anything takes: what is not answered by then never will be. A busy machine is given more."""

CAUGHT_UP_FRAMES: Final = 110
"""Unacknowledged frames: those being spoken, and up to eight seconds of silence before them. Each fault makes a call
send them once more, and one function of the emulator carries them for all calls. Faults in quicker succession would
measure only that."""

PLAIN: Final = ClientSettings(ready_timeout=90.0)
"""The first connection of all waits for cold starts of the deployment's functions, which are no part of the chaos."""

RENEWAL_SECONDS: Final = 6.0
"""Lifetime of a connection that is replaced by one that is opened beside it, instead of every two hours. A busy machine
gets more: each renewal sends again what is unacknowledged, and where that took longer than until the next one, one
function of the emulator would carry nothing else."""


class Kind(Enum):
    """Kind of a call: how it differs from a plain one."""

    ACCOMPANIED = auto()
    """A second client listens in the same session."""
    RENEWING = auto()
    PLAIN = auto()


class Call:
    """One caller in one session.

    Attributes:
        session: Its id.
        connected: Set when a worker answered the first time.
        listener: What it hears; None until then.
    """

    def __init__(self, session: str, kind: Kind, url: str, place: Place, plan: Plan) -> None:
        self.session = session
        self.connected = asyncio.Event()
        self.listener: Listener | None = None
        self._kind = kind
        self._place = place
        self._plan = plan
        self._dice = random.Random(place.dice.random())
        injector, log = FaultInjector(plan.faults, self._dice), place.model_log.with_name(f"{session}.jsonl")
        self._relay = SocketRelay(url, injector, log)
        self._client: Client | None = None
        self._caller: Caller | None = None
        self._companion: tuple[Client, Listener] | None = None

    @property
    def wire(self) -> Wire:
        """Messages that came over its sockets."""
        return self._relay.wire

    async def talk(self, over: asyncio.Event) -> None:
        """Say one line after another until it is over.

        Raises:
            TimeoutError: Something was not answered.
        """
        async with contextlib.AsyncExitStack() as open_:
            await open_.enter_async_context(self._relay)
            client = self._client = await open_.enter_async_context(self._connect())
            listener = self.listener = Listener(client)
            caller = self._caller = Caller(client, listener)
            if self._kind is Kind.ACCOMPANIED:
                second = await open_.enter_async_context(self._connect())
                self._companion = second, Listener(second)
            works = [listener.listen(), caller.microphone.run(), self._converse(caller, listener, over)]
            if self._companion is not None:
                works.append(self._companion[1].listen())
            self.connected.set()
            tasks = [asyncio.create_task(work) for work in works]
            try:
                # Only the conversation ends by itself: whatever ends first ends the call, well or badly.
                ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in ended:
                    task.result()
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    def _connect(self) -> Client:
        renewing = self._kind is Kind.RENEWING
        settings = replace(PLAIN, connection_lifetime=patient(RENEWAL_SECONDS)) if renewing else PLAIN
        return Client(self._relay.url, session=self.session, token=self._place.token, settings=settings)

    async def _converse(self, caller: Caller, listener: Listener, over: asyncio.Event) -> None:
        await self._say_lines(caller, over)
        carried = [number for said in caller.said for number in said.frames]
        await listener.all_acknowledged(carried, ANSWER_SECONDS)
        if self._plan.last_silence:
            await listener.all_acknowledged(list(caller.microphone.silence), ANSWER_SECONDS)
        last = caller.said[-1].answer
        if self._companion is not None and last is not None:
            await self._companion[1].final_after(0, last.text, ANSWER_SECONDS)

    async def _say_lines(self, caller: Caller, over: asyncio.Event) -> None:
        number = 0
        while not (over.is_set() and number >= self._plan.lines and self._has_renewed):
            number += 1
            text = f"{self.session} line {number}"
            spoken = self._dice.random() < 0.7
            await caller.say(text, f"You said: {text}", ANSWER_SECONDS, spoken=spoken)
            await asyncio.sleep(self._plan.pause_s * self._dice.uniform(0.5, 1.5))

    @property
    def _has_renewed(self) -> bool:
        """True once a call that renews its connections has another than its first."""
        return self._kind is not Kind.RENEWING or self._client is None or self._client.connection > 1

    async def caught_up(self) -> None:
        """Wait, bounded, until no more than usual is unacknowledged."""
        with contextlib.suppress(TimeoutError):
            async with within(ANSWER_SECONDS):
                while self._client is None or self._client.unacknowledged > CAUGHT_UP_FRAMES:
                    await asyncio.sleep(0.1)

    async def speaking(self) -> None:
        """Wait, bounded, until the agent is in the middle of an answer."""
        with contextlib.suppress(TimeoutError):
            async with within(ANSWER_SECONDS):
                while not self.wire.speaks(time.monotonic()):
                    await asyncio.sleep(0.02)

    async def settle(self, outcome: Outcome) -> None:
        """Compare what was said with what was heard, journalled, shown and carried."""
        if self._caller is None or self.listener is None or self._client is None:
            outcome.problems.append(f"{self.session}: never connected")
            return
        found = await stored_content.read(self._place.deployment, self.session)
        frames = Frames(self._caller, self.listener, read_log(self._place.model_log), found.spoken)
        problems = [f"lost: {what}" for what in frames.lost] + [f"doubled: {what}" for what in frames.doubled]
        problems += self.wire.problems(fault_free=self._plan.fault_free)
        problems += judge_silence(self._caller, self.listener) + self._judge_companion(self.listener)
        epochs = [epoch for _, epoch, _ in found.commits]
        if epochs != sorted(epochs):
            problems.append(f"epochs fell: {epochs}")
        outcome.problems += [f"{self.session}: {problem}" for problem in problems]
        outcome.lines += sum(said.answer is not None for said in self._caller.said)
        outcome.answers += [said.answer.at - said.ended for said in self._caller.said if said.answer]
        outcome.frames += sum(row.sent for row in frames.rows)
        outcome.received += sum(self.listener.count.values())
        outcome.late += len(self.wire.late())
        self._count_connections(outcome)
        for moved in self.listener.moves:
            after = next((at for at, _ in self.listener.readies if at >= moved), None)
            if after is not None:
                outcome.moves.append((moved, after))

    def _judge_companion(self, listener: Listener) -> list[str]:
        if self._companion is None:
            return []
        shown = [[(one.role, one.record, one.text) for one in who.finals] for who in (listener, self._companion[1])]
        return [] if shown[0] == shown[1] else [f"the second client was shown {shown[1]} instead of {shown[0]}"]

    def _count_connections(self, outcome: Outcome) -> None:
        for client in (self._client, self._companion and self._companion[0]):
            if client is None:
                continue
            if self._kind is Kind.RENEWING:
                outcome.renewals += client.connection - 1
            else:
                outcome.clients += 1
                outcome.connections += client.connection


def judge_silence(caller: Caller, listener: Listener) -> list[str]:
    """Judge silence: before words it is durable with their turn; after the last it settles by age, seconds later."""
    last = max((number for said in caller.said if said.spoken for number in said.frames), default=0)
    before = (number for number in caller.microphone.silence if number < last)
    waiting = [number for number in before if not listener.acknowledged(number)]
    return [f"lost: silence was never acknowledged: {waiting}"] if waiting else []
