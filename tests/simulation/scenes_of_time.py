"""Scenes of clocks that lie and of requests that arrive when they are not wanted any more; as in ``scenes``."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

from segue.errors import SessionHeld, StorageUnavailable
from tests.simulation.author import Author, until
from tests.simulation.loop import Process
from tests.simulation.network import FaultRates, Network
from tests.simulation.truth import Owner
from tests.simulation.world import NO_FAULTS, World


async def clock_that_jumps(world: World, name: str) -> None:
    """A machine's clock jumps by years while one process holds a session in a directory, and another wants it."""
    world.one_machine()
    holding, waiting = world.process(f"{name}.holder"), world.process(f"{name}.waiting")
    holder, other = Author(world, holding, f"{name}.holder"), Author(world, waiting, f"{name}.other")

    async def write() -> None:
        holder.append(2)
        await holder.durable(None)

    await holding.start(holder.open())
    await holding.start(write())
    waiting.clock.jump(world.retention_s * 3)
    await waiting.start(_held_by_another(other))
    await holding.start(write())
    await holding.start(holder.close())


class _SlowWrites(Network):
    """Carries everything at once but what is written to the table.

    Attributes:
        seconds: How long that takes.
    """

    seconds = 0.0
    writing = False

    async def request(self, sender: Owner, process: Process, what: str, apply: Callable[[], Any]) -> Any:
        self.writing = what.startswith("write")
        return await super().request(sender, process, what, apply)

    def _latency(self) -> float:
        return self.seconds if self.writing and self.seconds else super()._latency()


class _Waiting(Network):
    """Sends what is written to the table when a scene says so.

    Attributes:
        go: Whether it may.
    """

    go: Callable[[], bool]

    async def request(self, sender: Owner, process: Process, what: str, apply: Callable[[], Any]) -> Any:
        if what.startswith("write"):
            await until(self.go)
        return await super().request(sender, process, what, apply)


async def commit_that_arrives_when_its_session_has_expired(world: World, name: str) -> None:
    """A commit that was in flight for longer than its session is kept comes just before a new incarnation begins."""
    world.expire_after(60)
    world.fair = False
    slow, other = world.process(f"{name}.slow"), world.process(f"{name}.other")
    network = _SlowWrites(world.loop, world.ledger, NO_FAULTS, random.Random(0))
    theirs = _Waiting(world.loop, world.ledger, NO_FAULTS, random.Random(0))
    holder, heir = Author(world, slow, f"{name}.holder", network), Author(world, other, f"{name}.heir", theirs)

    async def write() -> None:
        holder.append(2)
        await holder.durable(None)

    await slow.start(holder.open())
    await slow.start(write())
    network.seconds = 70.0
    writing = slow.start(write())
    theirs.go = lambda: holder.owner.committed == len(holder.owner.appended)
    await asyncio.sleep(58.0)
    await other.start(_held_by_another(heir, timeout=30.0))
    await writing


async def deletion_that_was_given_up(world: World, name: str) -> None:
    """A deletion that is not answered is given up; its sender goes on writing, and then it arrives."""
    world.fair = False
    process = world.process(f"{name}.process")
    network = Network(world.loop, world.ledger, NO_FAULTS, random.Random(0))
    author = Author(world, process, f"{name}.author", network)

    async def write() -> None:
        author.append(2)
        await author.durable(None)

    async def give_up() -> None:
        network.faults = FaultRates(fates={"unanswered": 1.0}, latencies=(5.0,))
        try:
            await author.session.delete()
        except StorageUnavailable:
            network.faults = NO_FAULTS

    await process.start(author.open())
    await process.start(write())
    await process.start(give_up())
    await process.start(write())
    await until(lambda: network.under_way == 0)
    await process.start(write())
    await process.start(author.close())


async def _held_by_another(author: Author, timeout: float = 15.0) -> None:
    try:
        await author.open(timeout=timeout)
    except (SessionHeld, StorageUnavailable):
        return
    await author.close()
