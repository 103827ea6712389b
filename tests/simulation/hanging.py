"""Scenes in which S3 hangs and DynamoDB is well: see docs/rfcs/0014."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from segue.errors import SessionFenced, SessionHeld, StorageUnavailable
from segue.session.heartbeat import STORAGE_TIMEOUT_SECONDS
from tests.simulation.author import Author
from tests.simulation.loop import Process
from tests.simulation.network import Network
from tests.simulation.truth import Owner
from tests.simulation.world import NO_FAULTS, World

_HANG_SECONDS = 60.0
_LONGER_SECONDS = 3 * STORAGE_TIMEOUT_SECONDS
_FOUND_OUT_SECONDS = STORAGE_TIMEOUT_SECONDS + 40.0
"""The limit, the rest of the lease, and as much again for who watches it run out."""


class S3Hangs(Network):
    """Carries everything at once, but for requests about objects while S3 hangs: their senders give up."""

    def __init__(self, world: World) -> None:
        super().__init__(world.loop, world.ledger, NO_FAULTS, random.Random(0))
        self._until = 0.0

    def hang(self, seconds: float) -> None:
        self._until = self._loop.time() + seconds

    async def request(self, sender: Owner, process: Process, what: str, apply: Callable[[], Any]) -> Any:
        if what.split(maxsplit=1)[0] in {"get", "put", "delete", "list"} and self._loop.time() < self._until:
            await process.clock.sleep(self.faults.patience)
            raise StorageUnavailable("timed out")
        return await super().request(sender, process, what, apply)


async def s3_hangs_during_a_commit(world: World, name: str) -> None:
    """A holder commits when S3 begins to hang, for a minute. Another process waits for its lease to expire."""
    network, author, holding = await _holder(world, name)
    network.hang(_HANG_SECONDS)
    await holding.start(_append(author))
    process = world.process(f"{name}.rival")
    rival = Author(world, process, f"{name}.rival")

    async def want() -> None:
        try:
            await rival.open(timeout=_HANG_SECONDS - 10.0)
        except SessionHeld:
            pass
        else:
            await rival.close()

    await process.start(want())
    await holding.start(author.durable(None))
    await holding.start(author.close())


async def way_to_s3_lost(world: World, name: str) -> None:
    """S3 hangs for one holder only, and for long. Another one gets the session, and what the first sent comes late."""
    world.fair = False
    network, author, holding = await _holder(world, name)
    network.hang(_LONGER_SECONDS)
    await holding.start(_append(author))
    process = world.process(f"{name}.heir")
    heir = Author(world, process, f"{name}.heir")

    async def succeed() -> None:
        try:
            await heir.open(timeout=_FOUND_OUT_SECONDS)
        except SessionHeld:
            world.ledger.broken("a holder without a way to S3 kept the session from one that has it")
        heir.append(1)
        await heir.durable(None)

    await process.start(succeed())
    try:
        await holding.start(author.durable(None))
    except SessionFenced:
        world.ledger.fenced(author.owner)
    else:
        world.ledger.broken("what was fenced was acknowledged")
    await process.start(heir.close())


async def _holder(world: World, name: str) -> tuple[S3Hangs, Author, Process]:
    """A process that holds the session and has committed something."""
    process, network = world.process(f"{name}.holder"), S3Hangs(world)
    author = Author(world, process, f"{name}.holder", network)

    async def write() -> None:
        await author.open()
        author.append(2)
        await author.durable(None)

    await process.start(write())
    return network, author, process


async def _append(author: Author) -> None:
    author.append(1)
