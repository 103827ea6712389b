"""Forty sessions in one process while S3 hangs, or DynamoDB is slow: none loses its lease, no record is lost.

The hang lasts for some leases here. The real thing, a minute with a default lease:

    SEGUE_TEST_HANG_S=60 .venv/bin/python -m pytest -n0 --no-cov -s tests/integration/test_storage_hangs.py
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from strands.bidi import BidiAgent

from segue import GuardedS3SessionManager, LeaseSettings, SessionHeld, StorageUnavailable
from segue.lease.item import GuardItem
from segue.session.runtime import STORAGE_THREADS, Runtime
from tests.chaos.faults import NO_FAULTS, FaultInjector, FaultRates
from tests.chaos.relays import HttpRelay
from tests.support.scripted_model import ScriptedModel
from tests.support.stage import Stage
from tests.support.waiting import eventually

pytestmark = [pytest.mark.emulator, pytest.mark.timeout(600)]

SESSIONS = 40
ACTIVE = 30
"""Number of sessions that have something to say during the hang. The others are idle."""

REAL_HANG_SECONDS = float(os.environ.get("SEGUE_TEST_HANG_S", "0"))
LEASE = LeaseSettings() if REAL_HANG_SECONDS else LeaseSettings(duration=6.0, heartbeat=1.8, margin=1.0)
SLOW_SECONDS = 2.0
"""Seconds that an answer of a slow DynamoDB takes at most: a hundred times as many as on any other day."""

HANG_SECONDS = REAL_HANG_SECONDS or 2.5 * LEASE.duration


@dataclass
class Talker:
    """One session, and all that it was told is saved."""

    name: str
    manager: GuardedS3SessionManager
    agent: BidiAgent
    saved: list[str] = field(default_factory=list)
    lost: list[float] = field(default_factory=list)

    async def say(self) -> None:
        """Say one thing more; returns when it is durable."""
        words = f"{self.name} says {len(self.saved)}"
        await self.agent.send(words)
        self.saved.append(words)

    async def talk(self, until: asyncio.Event) -> None:
        while not until.is_set():
            await self.say()
            await asyncio.sleep(random.uniform(0.5, 1.5))


class Stores:
    """Both stores behind relays of their own, as a process that uses the default endpoints sees them."""

    def __init__(self, stage: Stage, s3: HttpRelay, dynamodb: HttpRelay) -> None:
        self.s3 = s3
        self.dynamodb = dynamodb
        self._names = {"bucket": stage.bucket, "lock_table": stage.lock_table}
        self._direct = {**self._names, "endpoint_url": stage.endpoint_url}

    def manager(self, name: str, **options: Any) -> GuardedS3SessionManager:
        return GuardedS3SessionManager(name, **{"lease": LEASE, "acquire_timeout": 0.0, **self._names, **options})

    async def talker(self, name: str, **options: Any) -> Talker:
        manager = self.manager(name, **options)
        await manager.open()
        agent = BidiAgent(model=ScriptedModel(), session_manager=manager)
        await manager.flush()
        await agent.start()
        talker = Talker(name, manager, agent)
        manager.on_lost(lambda: talker.lost.append(time.monotonic()))
        return talker

    async def kept(self, name: str) -> list[str]:
        """Return what a successor restores."""
        async with GuardedS3SessionManager(name, **self._direct, lease=LEASE) as manager:
            agent = BidiAgent(model=ScriptedModel(), session_manager=manager)
            return [message["content"][0]["text"] for message in agent.messages]

    async def item(self, name: str) -> GuardItem:
        guard = (await Runtime.shared().run(self.manager(name)._stores())).guard
        attributes = await Runtime.shared().run(guard.read(f"default/{name}"))
        assert attributes is not None
        return GuardItem.parse(attributes)


@pytest.fixture
async def stores(emulated: Stage, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stores]:
    assert emulated.endpoint_url is not None
    late = FaultRates(late=1.0, longest_s=SLOW_SECONDS)
    async with (
        HttpRelay(emulated.endpoint_url, FaultInjector(NO_FAULTS, random.Random(1))) as s3,
        HttpRelay(emulated.endpoint_url, FaultInjector(late, random.Random(2))) as slow,
    ):
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3.url)
        monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", emulated.endpoint_url)
        yield Stores(emulated, s3, slow)


async def rivals(stores: Stores, names: list[str]) -> list[str]:
    """Try to take sessions over for longer than their lease. Returns those that could be."""

    async def attempt(name: str) -> str | None:
        try:
            await stores.manager(name, acquire_timeout=1.5 * LEASE.duration).open()
        except (SessionHeld, StorageUnavailable):
            return None
        return name

    return [name for name in await asyncio.gather(*map(attempt, names)) if name is not None]


async def test_a_hang_of_s3_loses_no_lease_and_no_record(stores: Stores) -> None:
    earlier = await asyncio.gather(*(stores.talker(f"earlier-{number}") for number in range(4)))
    for talker in earlier:
        await talker.say()
        await talker.agent.stop()
    talkers = await asyncio.gather(*(stores.talker(f"talk-{number}") for number in range(SESSIONS)))
    await asyncio.gather(*(talker.say() for talker in talkers))
    held = {talker.name: (await stores.item(talker.name)).acquire_id for talker in talkers}
    over = asyncio.Event()
    talking = [asyncio.create_task(talker.talk(over)) for talker in talkers[:ACTIVE]]

    stores.s3.partition()
    began = time.monotonic()
    before = [len(talker.saved) for talker in talkers]
    # Their restores take what threads there are for objects; the last commits and heartbeats are not to wait for them.
    opening = [asyncio.create_task(open_somehow(stores, talker.name)) for talker in earlier]
    await eventually(lambda: stores.s3.swallowed >= min(STORAGE_THREADS, ACTIVE), 30.0)
    taken = asyncio.create_task(rivals(stores, [talkers[0].name, talkers[-1].name]))
    while time.monotonic() < began + HANG_SECONDS:
        await asyncio.sleep(0.25)
        assert all(talker.manager.lease_is_fresh() for talker in talkers), f"after {time.monotonic() - began:.0f} s"
    assert await taken == []
    during = [len(talker.saved) for talker in talkers]
    assert sum(during) - sum(before) <= ACTIVE, "nothing is said to be saved that cannot be: but what was under way"

    stores.s3.heal()
    await eventually(
        lambda: all(len(one.saved) > count for one, count in zip(talkers[:ACTIVE], during, strict=False)), 120.0
    )
    over.set()
    await asyncio.gather(*talking)
    print(
        f"\nS3 was away for {HANG_SECONDS:g} s, {stores.s3.swallowed} requests hung; the last went on after "
        f"{time.monotonic() - began - HANG_SECONDS:.1f} s"
    )
    assert {talker.name: (await stores.item(talker.name)).acquire_id for talker in talkers} == held
    assert [talker.name for talker in talkers if talker.lost] == []
    await asyncio.gather(*opening)
    await asyncio.gather(*(talker.agent.stop() for talker in talkers))
    for talker in (*talkers, *earlier):
        assert await stores.kept(talker.name) == talker.saved


async def open_somehow(stores: Stores, name: str) -> None:
    """Open a session that has to be read, as often as it takes, and close it."""
    for _ in itertools.count():
        manager = stores.manager(name)
        try:
            await manager.open()
        except StorageUnavailable:
            await asyncio.sleep(0.5)
        else:
            await manager.close()
            return


async def test_a_slow_dynamodb_loses_no_lease_and_no_record(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", stores.dynamodb.url)
    slow = await asyncio.gather(*(stores.talker(f"slow-{number}", lease=LeaseSettings()) for number in range(SESSIONS)))
    over = asyncio.Event()
    talking = [asyncio.create_task(talker.talk(over)) for talker in slow[:ACTIVE]]

    began = time.monotonic()
    while time.monotonic() < began + 2.5 * LeaseSettings().duration:
        await asyncio.sleep(0.25)
        assert all(talker.manager.lease_is_fresh() for talker in slow), f"after {time.monotonic() - began:.0f} s"

    over.set()
    await asyncio.gather(*talking)
    assert [talker.name for talker in slow if talker.lost] == []
    await asyncio.gather(*(talker.agent.stop() for talker in slow))
    for talker in slow:
        assert await stores.kept(talker.name) == talker.saved
