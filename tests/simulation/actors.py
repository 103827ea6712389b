"""Actors of the simulation: writers, stalls, crashes, releases, readers.

Each actor is a coroutine outside all processes, like an operating system or an operator; what it starts in a
process is stopped and killed with the process.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

from segue.errors import SessionFenced, SessionHeld, SessionNotFound, StorageRefused, StorageUnavailable
from segue.lease.holder_watch import Probe
from segue.lease.item import GuardItem
from tests.simulation.author import Author, read
from tests.simulation.loop import Process
from tests.simulation.truth import HOUR_SECONDS, Owner
from tests.simulation.world import Actor, World

_TROUBLE = (StorageUnavailable, StorageRefused)
_NAPS_SECONDS = (0.0, 0.0, 0.015625, 0.0625, 0.5, 3.0, 3.5)
_LONG_NAP_SECONDS = 90.0

SETTLING = 0.3
"""Part of the seeds in which input is settled."""


class Script:
    """A process's work with the session, until it has written its messages.

    Attributes:
        closing: Chance that it releases after a write.
        redacting: Chance that it redacts a message, its own or an earlier holder's.
        waiting: Chance that it waits for its records to be durable.
        settling: Chance that it settles input before a write, and once more each time.
    """

    def __init__(self, world: World, process: Process, dice: random.Random, probe: Probe | None = None) -> None:
        self.closing = dice.choice((0.0, 0.1, 0.5))
        self.redacting = dice.choice((0.0, 0.0, 0.15))
        self.waiting = dice.choice((0.3, 0.7, 1.0))
        self.deleting = 0.0
        # Drawn apart, so that the seeds in which nothing is settled mean what they always meant.
        self._apart = random.Random(f"{world.seed}/{process.name}/settling")
        self.settling = 0.5 if random.Random(f"{world.seed}/settling").random() < SETTLING else 0.0
        self.preparing = False
        self._world, self._process, self._dice, self._probe = world, process, dice, probe
        self._authors = 0

    async def write(self, count: int) -> None:
        """Write ``count`` messages, with a new author after each loss, and release."""
        while count > 0:
            self._authors += 1
            author = Author(self._world, self._process, f"{self._process.name}:{self._authors}")
            try:
                if self.preparing:
                    await self._prepare(author)
                await self._open(author)
                while count > 0:
                    count -= await self._write_some(author)
                await self._through_trouble(author.close)
            except SessionFenced:
                self._world.ledger.fenced(author.owner)
                count -= 1
            await self._nap()

    async def _prepare(self, author: Author) -> None:
        try:
            await self._through_trouble(author.prepare)
        except SessionNotFound:
            return
        await self._nap()
        if self._dice.random() < 0.7:
            author.append(1)  # the agent is built, and begins
        await self._nap()

    async def _open(self, author: Author) -> None:
        async def bounded() -> None:
            try:
                async with asyncio.timeout(self._dice.choice((None, None, None, 0.25, 1.0))):
                    await author.open(self._probe, self._dice.choice((0.0, 2.0, 15.0)))
            except TimeoutError:
                self._world.fair = False  # it may have been granted just then, and have no holder
                raise

        await self._through_trouble(bounded)

    async def _write_some(self, author: Author) -> int:
        dice = self._dice
        await self._settle_some(author)
        count = dice.choice((1, 1, 1, 2, 4))
        author.append(count)
        if dice.random() < self.redacting:
            author.redact(dice.choice(author.known))
        if dice.random() < self.waiting:
            await self._through_trouble(lambda: author.durable(dice.choice((None, None, 1.0))))
        await self._nap()
        if dice.random() < self.closing:
            closing = asyncio.ensure_future(self._through_trouble(author.close))
            if dice.random() < 0.3:
                await self._nap()
                author.append(1)  # during the release
            await closing
            await self._nap()
        if dice.random() < self.deleting:
            await self._delete(author)
        return count

    async def _settle_some(self, author: Author) -> None:
        """Settle input of a client or two, at once or a while before the next record."""
        apart = self._apart
        while apart.random() < self.settling:
            author.settle(apart.choice(("a", "b")))
            await self._process.clock.sleep(apart.choice((0.0, 0.0, 0.0625, 1.0, 3.0)))

    async def _delete(self, author: Author) -> None:
        """Delete, and again as long as storage does not answer; or give up, and go on writing."""
        while True:
            try:
                await author.session.delete()
                return self._world.ledger.deleted(author.owner)
            except SessionFenced:
                self._world.ledger.deletion_refused(author.owner)
                raise
            except (*_TROUBLE, SessionHeld, TimeoutError):
                if self._dice.random() < 0.3:
                    return None
                await self._process.clock.sleep(self._dice.choice((0.25, 1.0, 4.0)))

    async def _through_trouble(self, work: Callable[[], Awaitable[object]]) -> None:
        while True:
            try:
                await work()
            except (*_TROUBLE, SessionHeld, TimeoutError):
                await self._process.clock.sleep(self._dice.choice((0.25, 1.0, 4.0)))
            else:
                return

    async def _nap(self) -> None:
        expires = self._world.retention_s < _LONG_NAP_SECONDS and self._dice.random() < 0.1
        await self._process.clock.sleep(_LONG_NAP_SECONDS if expires else self._dice.choice(_NAPS_SECONDS))


def _dice(world: World, name: str) -> random.Random:
    return random.Random(f"{world.seed}/{name}")


async def writer(world: World, name: str) -> None:
    """Writes, and is neither stopped nor killed, except by injected faults."""
    dice = _dice(world, name)
    process = world.process(name)
    await asyncio.sleep(dice.choice(_NAPS_SECONDS))
    await process.start(Script(world, process, dice).write(dice.randint(6, 16)))


async def releaser(world: World, name: str) -> None:
    """Release again and again, and write in between."""
    dice = _dice(world, name)
    process = world.process(name)
    script = Script(world, process, dice)
    script.closing = 0.8
    await process.start(script.write(dice.randint(6, 16)))


async def zombie(world: World, name: str) -> None:
    """Is stopped past its lease again and again, and goes on as if nothing had been."""
    dice = _dice(world, name)
    process = world.process(name)
    world.fair = False
    task = process.start(Script(world, process, dice).write(dice.randint(6, 16)))
    for _ in range(6):
        await asyncio.wait([task], timeout=dice.choice((0.03125, 0.25, 1.0, 4.0)))
        if not task.done() and not process.stopped:
            process.stop(dice.choice((3.0, 10.0, 11.0, 25.0)))
        await asyncio.wait([task], timeout=12.0)
    await task


async def crasher(world: World, name: str) -> None:
    """Dies again and again, with requests under way, and is started anew."""
    dice = _dice(world, name)
    world.fair = False
    for number in range(4):
        process = world.process(f"{name}.{number}")
        task = process.start(Script(world, process, dice).write(dice.randint(4, 10)))
        await asyncio.wait([task], timeout=dice.choice((0.125, 0.5, 1.5, 5.0, 20.0)))
        if task.done():
            return
        process.kill()


async def successor(world: World, name: str) -> None:
    """Reads ahead of holding, builds on it, and is fenced if the session has gone on: the other half of a handoff."""
    dice = _dice(world, name)
    process = world.process(name)
    script = Script(world, process, dice)
    script.preparing, script.closing = True, 0.3
    await asyncio.sleep(dice.choice(_NAPS_SECONDS))
    await process.start(script.write(dice.randint(6, 16)))


async def usurper(world: World, name: str) -> None:
    """Takes over from the living: its evidence is wrong half of the time, and its clock runs too fast."""
    dice = _dice(world, name)
    world.fair = False
    process = world.process(name, rate=dice.choice((0.5, 1.0, 4.0, 16.0)))

    async def evidence(item: GuardItem) -> bool:
        await process.clock.sleep(dice.choice((0.0, 0.25)))
        return dice.random() < 0.5

    await asyncio.sleep(dice.choice(_NAPS_SECONDS))
    await process.start(Script(world, process, dice, evidence).write(dice.randint(4, 10)))


async def deleter(world: World, name: str) -> None:
    """End the session now and then; the next writer begins another incarnation."""
    dice = _dice(world, name)
    process = world.process(name)
    script = Script(world, process, dice)
    script.deleting = 0.3
    await asyncio.sleep(dice.choice(_NAPS_SECONDS))
    await process.start(script.write(dice.randint(3, 8)))


async def ttl(world: World, name: str) -> None:
    """Is DynamoDB, which removes what has expired by its own clock."""
    dice = _dice(world, name)
    for _ in range(8):
        await asyncio.sleep(dice.choice((20.0, 90.0, 1.25 * HOUR_SECONDS)))
        world.ledger.removed_by_ttl()


async def observer(world: World, name: str) -> None:
    """Reads without the lease."""
    dice = _dice(world, name)
    process, owner = world.process(name), Owner(name)

    async def look() -> None:
        for _ in range(8):
            try:
                await read(world, process, owner)
            except (SessionNotFound, *_TROUBLE):
                pass
            await process.clock.sleep(dice.choice((0.0625, 0.25, 2.0)))

    await process.start(look())


def cast(world: World) -> list[Actor]:
    """Choose who acts in this run."""
    lead: list[Actor] = [writer, writer, releaser, zombie, zombie, crasher, crasher, usurper]
    extras: list[Actor] = [observer, observer, deleter]
    dice = world.dice
    least = 1
    if world.table.faults.fault_free and not world.bucket.faults.fault_free:
        lead, least = [writer, writer, releaser], 2  # whatever the bucket does, none of them may lose its lease
    chosen = dice.choices(lead, k=dice.randint(least, 4)) + dice.sample(extras, k=dice.choice((0, 1, 1)))
    # Drawn apart, so that the seeds in which there is none mean what they always meant.
    chosen += [successor] * (_dice(world, "successors").random() < 0.25)
    return chosen + [ttl] * (world.ledger.tells_time and _dice(world, "ttl").random() < 0.5)
