"""Races that chance rarely brings about, staged: who does what, and when, follows from no dice.

A scene's processes see what no process can, such as that another's request has just been applied. Their requests go
through the same storage, ledger and checks as all others.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from segue.errors import SessionFenced
from segue.lease.item import GuardItem
from tests.simulation.author import Author, until
from tests.simulation.hanging import s3_hangs_during_a_commit, way_to_s3_lost
from tests.simulation.loop import Process
from tests.simulation.network import FaultRates, Network
from tests.simulation.scenes_of_time import (
    clock_that_jumps,
    commit_that_arrives_when_its_session_has_expired,
    deletion_that_was_given_up,
)
from tests.simulation.truth import Owner
from tests.simulation.world import NO_FAULTS, Actor, World


async def page_left_by_another_version(world: World, name: str) -> None:
    """A page is put and never committed; a successor that cuts pages later redacts what is in it.

    The old version folds two segments and dies between the page and its commit. The new one, in the middle of a
    redeploy, has no reason to touch that page yet, but the redacted content is in it.
    """
    old = await _two_committed(world, f"{name}.old")
    await old.fold()
    await until(lambda: any("/pages/" in key for key in world.ledger.objects.objects))
    old.process.kill()
    await _inherited_and_redacted(world, f"{name}.new")


async def page_on_its_way_from_another_version(world: World, name: str) -> None:
    """The same, but the page arrives only when the redaction is long over."""
    old = await _two_committed(world, f"{name}.old")
    old.network.faults = FaultRates(latencies=(30.0,))
    await old.fold()
    await until(lambda: old.network.under_way > 1)
    old.process.kill()
    await _inherited_and_redacted(world, f"{name}.new")
    await until(lambda: old.network.under_way == 0)


async def volume_on_its_way(world: World, name: str) -> None:
    """A volume arrives when its holder is dead, and a redaction of what is in it long over."""
    old = await _volume_on_its_way(world, f"{name}.old")
    await _inherited_and_redacted(world, f"{name}.new")
    await until(lambda: old.under_way == 0)


async def volume_on_its_way_that_another_version_would_not_bind(world: World, name: str) -> None:
    """The same, but before the redaction a successor, in the middle of a redeploy, left those pages unbound."""
    old = await _volume_on_its_way(world, f"{name}.old")
    process = world.process(f"{name}.new")
    process.page_limits, process.volume_limit = (2, 99), 0
    heir = Author(world, process, f"{name}.new")

    async def decide_and_redact() -> None:
        await heir.open(_dead)
        while world.ledger.item is None or not world.ledger.item.volumes:
            heir.append(1)
            await heir.durable(None)
            await process.clock.sleep(1.0)
        heir.redact(heir.known[0])
        await heir.durable(None)

    await process.start(decide_and_redact())
    await until(lambda: old.under_way == 0)


class _SlowWithVolumes(Network):
    """Carries everything at once but volumes, which take half a minute."""

    async def request(self, sender: Owner, process: Process, what: str, apply: Callable[[], Any]) -> Any:
        if "volumes/" in what:
            self.faults = FaultRates(latencies=(30.0,))
        return await super().request(sender, process, what, apply)


async def _volume_on_its_way(world: World, name: str) -> Network:
    """The network of a process that died just after it had sent the first volume."""
    world.fair = False
    process = world.process(name)
    process.page_limits, process.volume_limit = (2, 99), 10_000
    network = _SlowWithVolumes(world.loop, world.ledger, NO_FAULTS, random.Random(0))
    author = Author(world, process, name, network)

    async def write() -> None:
        await author.open()
        while not network.faults.latencies[0] > 1:
            author.append(1)
            await author.durable(None)
            await process.clock.sleep(1.0)

    await process.start(write())
    process.kill()
    return network


@dataclass
class _Old:
    process: Process
    network: Network
    author: Author

    async def fold(self) -> None:
        """Begin the commit that folds what was written."""

        async def begin() -> None:
            self.author.append(1)

        await self.process.start(begin())


async def _two_committed(world: World, name: str) -> _Old:
    """A process whose next commit folds what it has written."""
    world.fair = False
    process = world.process(name)
    process.page_limits = (2, 99)
    network = Network(world.loop, world.ledger, NO_FAULTS, random.Random(0))
    author = Author(world, process, name, network)

    async def write() -> None:
        await author.open()
        for _ in range(2):
            author.append(1)
            await author.durable(None)

    await process.start(write())
    return _Old(process, network, author)


async def _inherited_and_redacted(world: World, name: str) -> None:
    """A process that folds later takes over, and redacts the first message."""
    process = world.process(name)
    process.page_limits = (3, 99)
    heir = Author(world, process, name)

    async def inherit() -> None:
        await heir.open(_dead)
        heir.redact(heir.known[0])
        await heir.durable(None)

    await process.start(inherit())


async def taken_back_during_a_commit(world: World, name: str) -> None:
    """A former holder looks, finds all as it left it, and takes over just after its successor has committed."""
    world.fair = False
    first, second = world.process(f"{name}.first"), world.process(f"{name}.second")
    former, successor = Author(world, first, f"{name}.former"), Author(world, second, f"{name}.successor")
    acquired, read_at, committed = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def evidence(item: GuardItem) -> bool:
        read_at.set()
        await committed.wait()
        return True

    async def succeed() -> None:
        await successor.open()
        acquired.set()
        await read_at.wait()
        successor.append(1)
        await successor.durable(None)
        committed.set()

    async def come_back() -> None:
        await former.open(evidence)
        former.append(1)
        await former.close()
        second.start(succeed())
        await acquired.wait()
        former.append(1)
        try:
            await former.durable(None)
        except SessionFenced:
            world.ledger.fenced(former.owner)

    await first.start(come_back())


async def prepared_before_the_last_commit(world: World, name: str) -> None:
    """A successor reads, and builds on it; its predecessor goes on, commits once more, and releases."""
    holding, reading = world.process(f"{name}.predecessor"), world.process(f"{name}.successor")
    predecessor, heir = Author(world, holding, f"{name}.predecessor"), Author(world, reading, f"{name}.heir")

    async def write() -> None:
        predecessor.append(2)
        await predecessor.durable(None)

    async def succeed(author: Author) -> None:
        await author.open()
        author.append(1)
        await author.close()

    async def prepare_and_begin() -> None:
        await heir.prepare()
        heir.append(1)

    await holding.start(predecessor.open())
    await holding.start(write())
    await reading.start(prepare_and_begin())
    await holding.start(write())
    await holding.start(predecessor.close())
    try:
        await reading.start(succeed(heir))
    except SessionFenced:
        world.ledger.fenced(heir.owner)
    await reading.start(succeed(Author(world, reading, f"{name}.anew")))


async def _dead(item: GuardItem) -> bool:
    return True


SCENES: dict[str, Actor] = {
    "uncommitted_pages_left_alone": page_left_by_another_version,
    "next_page_not_blanked": page_on_its_way_from_another_version,
    "next_volume_not_blanked": volume_on_its_way,
    "unbound_places_not_blanked": volume_on_its_way_that_another_version_would_not_bind,
    "acquire_without_the_beat": taken_back_during_a_commit,
    "life_begun_without_the_beat": commit_that_arrives_when_its_session_has_expired,
    "tombstone_without_the_head": deletion_that_was_given_up,
    "held_life_ended_by_a_clock": clock_that_jumps,
    "built_on_what_has_gone_on": prepared_before_the_last_commit,
    "prepared_taken_for_what_was_acquired": prepared_before_the_last_commit,
    "no_heartbeat_while_a_commit_is_under_way": s3_hangs_during_a_commit,
    "heartbeats_for_a_commit_without_an_answer": way_to_s3_lost,
}
"""For each mutant that seeds find too seldom, the scene that shows it."""
