"""A worker that stood still may have been taken for dead: it renews a session's lease before it speaks again."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest

from segue.session.runtime import Runtime
from segue.wire.frames import AudioOutput
from tests.support.waiting import eventually
from tests.unit.worker.stand_ins import speech, taken_over, turns
from worker.conversation import lease_hold
from worker.hosting.holder_probe import ATTEMPTS
from worker.hosting.peer_health import ANSWER_TIMEOUT_SECONDS
from worker.telemetry.blocked_loop import BLOCKED_SECONDS, STANDSTILL_SECONDS, BlockedLoopWatch, standstills


@pytest.fixture
def stood_still(monkeypatch):
    """Let the process have stood still until now; the loop of these tests is not watched."""

    def until_now() -> None:
        ended = Runtime.shared().clock.now()
        monkeypatch.setattr(standstills, "watch", SimpleNamespace(standstill_ended_at=lambda: ended))

    return until_now


@pytest.fixture
def renewals(monkeypatch):
    """Counts the renewals that a manager is asked for."""
    asked = []

    def count(manager):
        renew = manager.renew_lease

        async def renew_lease():
            asked.append(1)
            return await renew()

        monkeypatch.setattr(manager, "renew_lease", renew_lease)
        return asked

    return count


async def test_a_session_that_was_taken_over_meanwhile_is_silent(host, clients, storage, stood_still):
    """Long before the lease ends, by which alone this process would go on."""
    hosting = await host()
    other = await taken_over(storage)
    stood_still()
    assert hosting.manager.lease_is_fresh()
    hosting.model.emit([speech()])
    await eventually(hosting.session.ended.is_set)
    assert clients.kinds("k1") == ["Ready"]
    assert hosting.session.lost
    assert other.lease_is_fresh()
    await other.close()


async def test_a_session_that_is_still_held_goes_on_after_one_renewal(host, clients, stood_still, renewals):
    hosting = await host()
    asked = renewals(hosting.manager)
    hosting.model.emit([speech()])
    await eventually(lambda: len(clients.of("k1", AudioOutput)) == 1)
    assert asked == []
    stood_still()
    for count in (2, 3):
        hosting.model.emit([speech()])
        await eventually(lambda count=count: len(clients.of("k1", AudioOutput)) == count)
    assert asked == [1]


async def test_nothing_is_said_until_storage_confirms_the_lease(host, clients, stood_still, monkeypatch):
    hosting = await host()
    monkeypatch.setattr(lease_hold, "RENEW_AGAIN_SECONDS", 0.0)
    renew, refused = hosting.manager.renew_lease, []

    async def unanswered() -> bool:
        refused.append(1)
        return await renew() if len(refused) == 3 else False

    monkeypatch.setattr(hosting.manager, "renew_lease", unanswered)
    stood_still()
    hosting.model.emit([speech()])
    await eventually(lambda: clients.of("k1", AudioOutput))
    assert len(refused) == 3


async def test_a_renewal_of_a_lost_session_is_not_confirmed(host, storage):
    hosting = await host()
    other = await taken_over(storage)
    assert not await hosting.manager.renew_lease()
    await eventually(hosting.session.ended.is_set)
    assert not await hosting.manager.renew_lease()
    await other.close()


async def test_a_standstill_ends_when_the_loop_goes_on_and_is_remembered():
    now = [0.0]
    watch = BlockedLoopWatch(None, look_seconds=0.1, clock=lambda: now[0])

    def turn(at):
        now[0] = at
        watch._turn()
        watch.stop()

    turn(0.1)
    assert watch.standstill_ended_at() == -math.inf
    now[0] = 0.2 + STANDSTILL_SECONDS + 0.1
    assert watch.standstill_ended_at() == now[0], "what asks runs before the loop's next turn"
    turn(2.0)
    turn(2.1)
    assert watch.standstill_ended_at() == 2.0
    await turns()


def test_a_standstill_is_noticed_before_a_prober_calls_the_worker_hung():
    assert STANDSTILL_SECONDS < ATTEMPTS * ANSWER_TIMEOUT_SECONDS
    assert BLOCKED_SECONDS <= 0.5, "what callers hear is told of"


def test_without_a_watch_no_standstill_is_known():
    assert standstills.latest() == -math.inf
