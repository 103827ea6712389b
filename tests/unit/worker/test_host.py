"""Sessions that a worker holds, and the time for which it holds them."""

from __future__ import annotations

import asyncio
import threading

import pytest

from segue import SessionHeld, StorageUnavailable
from segue.wire.frames import Bye, Ready
from shared.agent_code import AgentFailed
from tests.support.memory_manager import Latch, MemorySessionManager, Unavailable
from tests.support.waiting import eventually, promptly
from tests.unit.worker.stand_ins import address, claim, delivery, hello, text, turns


async def test_a_claim_opens_a_session_and_greets_its_clients(world, clients):
    await world.host.open_session(claim("talk", address(), address("c2", "k2")))
    await eventually(lambda: clients.of("k1", Ready) and clients.of("k2", Ready))
    session = world.host.find("default/talk")
    assert session is not None
    assert session.open
    item = await world.storage.guard.read("default/talk")
    assert (item["endpoint"], item["holder"], item["route_token"]) == ("http://w1", "w1", session.route_token)


async def test_a_claim_for_a_session_held_here_only_greets(world, clients):
    await world.host.open_session(claim())
    await world.host.open_session(claim("talk", address("c2", "k2")))
    await eventually(lambda: clients.of("k2", Ready))
    assert len(world.models) == 1
    assert len(world.host.sessions) == 1


async def test_claims_for_one_session_at_the_same_time_open_it_once(world, clients):
    takes = [world.host.open_session(claim("talk", address(f"c{n}", f"k{n}"))) for n in range(5)]
    await asyncio.gather(*takes)
    await eventually(lambda: all(clients.of(f"k{n}", Ready) for n in range(5)))
    assert len(world.models) == 1


async def test_room_counts_what_is_being_opened(world):
    host = world.begin(capacity=2)
    world.storage.before = latch = Latch("acquire")
    opening = asyncio.create_task(host.open_session(claim("one")))
    await latch.reached.wait()
    assert host.room == 1
    await host.open_session(claim("two"))
    assert host.room == 0
    waiting = asyncio.create_task(host.until_room())
    await turns()
    assert not waiting.done()
    latch.go.set()
    await opening
    await host.find("default/one").stop()
    await promptly(waiting, 5)
    assert host.room == 1


@pytest.mark.parametrize(("reason", "told"), [("unreachable", ["default/talk"]), ("no-holder", []), ("handoff", [])])
async def test_a_claim_that_waits_for_a_holder_hears_that_it_does_not_answer(world, reason, told):
    suspected = []
    world.host.on_suspected = suspected.append
    world.storage.before = latch = Latch("acquire")
    takes = [asyncio.create_task(world.host.open_session(claim(reason="handoff")))]
    await latch.reached.wait()
    takes.append(asyncio.create_task(world.host.open_session(claim(reason=reason))))
    await turns()
    assert suspected == told
    latch.go.set()
    await asyncio.gather(*takes)
    assert suspected == told


@pytest.mark.slow
async def test_a_session_with_a_living_holder_is_refused(world):
    other = MemorySessionManager(storage=world.storage, holder="other")
    await other.open()
    with pytest.raises(SessionHeld, match="other"):
        await world.host.open_session(claim())
    assert world.host.sessions == ()
    assert world.host.room == 10
    await other.close()


async def test_a_session_of_a_dead_holder_is_taken_at_once(world, clients):
    other = MemorySessionManager(storage=world.storage, holder="other", endpoint="http://other")
    await other.open()
    asked = []

    async def dead(item):
        asked.append(item.endpoint)
        return True

    world.probe = dead
    await world.host.open_session(claim())
    assert asked == ["http://other"]
    assert world.host.find("default/talk").epoch == other.epoch + 1


async def test_storage_that_does_not_answer_leaves_nothing_behind(world):
    world.storage.before = Unavailable("read")
    with pytest.raises(StorageUnavailable):
        await world.host.open_session(claim())
    assert world.host.room == 10


async def test_an_agent_that_does_not_start_leaves_the_session_free(world, clients):
    world.fail_start = RuntimeError("no such model")
    with pytest.raises(RuntimeError, match="no such model"):
        await world.host.open_session(claim())
    assert world.host.sessions == ()
    assert "acquire_id" not in await world.storage.guard.read("default/talk")
    world.fail_start = None
    await world.host.open_session(claim())
    assert world.host.find("default/talk").open


async def test_building_an_agent_does_not_hold_up_the_loop(world):
    building, go = threading.Event(), threading.Event()
    build = world.build_agent

    def slow(manager):
        building.set()
        assert go.wait(5)
        return build(manager)

    world.build_agent = slow
    taking = asyncio.create_task(world.host.open_session(claim()))
    await eventually(building.is_set)
    go.set()
    await taking
    assert world.host.find("default/talk").open


async def test_an_agent_that_cannot_be_built_leaves_the_session_free(world, clients):
    def broken(_):
        raise ValueError("a mistake in agent.py")

    world.build_agent = broken
    with pytest.raises(AgentFailed) as failed:
        await world.host.open_session(claim())
    assert "mistake" in str(failed.value.__cause__)
    assert world.host.sessions == ()
    assert "acquire_id" not in await world.storage.guard.read("default/talk")


async def test_a_claim_whose_key_is_not_its_own_is_refused(world):
    forged = claim()
    forged = type(forged)(
        session_key="victim/talk", session_id="talk", principal="default", reason="no-holder", clients=()
    )
    with pytest.raises(ValueError, match="does not belong"):
        await world.host.open_session(forged)
    assert await world.storage.guard.read("victim/talk") is None


async def test_a_session_whose_clients_are_gone_lingers_and_ends(world, clients):
    host = world.begin(linger_seconds=0.05)
    await host.open_session(claim())
    session = host.find("default/talk")
    session.deliver(delivery(Bye()))
    await promptly(session.ended.wait(), 5)
    assert host.sessions == ()
    assert "acquire_id" not in await world.storage.guard.read("default/talk")


async def test_a_client_that_comes_back_in_time_keeps_its_session(world, clients):
    host = world.begin(linger_seconds=30.0)
    await host.open_session(claim())
    session = host.find("default/talk")
    session.deliver(delivery(Bye()))
    timer = host._linger_timers["default/talk"]
    session.deliver(delivery(hello(connection=2), connection_id="k2", counter=2))
    assert timer.cancelled()
    host._end(session)  # a timer that went off at the same moment
    await turns()
    assert session.open


async def test_a_claim_without_clients_lingers_too(world):
    host = world.begin(linger_seconds=0.05)
    await host.open_session(
        type(claim())(
            session_key="default/talk", session_id="talk", principal="default", reason="unreachable", clients=()
        )
    )
    await eventually(lambda: host.sessions == ())


async def test_a_claim_that_meets_a_session_on_its_way_out_opens_it_anew(world, clients):
    await world.host.open_session(claim())
    first = world.host.find("default/talk")
    first.deliver(delivery(text("hi", 1)))
    world.storage.before = latch = Latch("release")
    ending = asyncio.create_task(first.stop())
    await latch.reached.wait()
    again = asyncio.create_task(world.host.open_session(claim("talk", address("c2", "k2"))))
    await turns()
    assert not again.done()
    latch.go.set()
    await asyncio.gather(ending, again)
    second = world.host.find("default/talk")
    assert second is not first
    assert second.epoch > first.epoch
    await eventually(lambda: clients.of("k2", Ready))


async def room_for_one(world, **options):
    """A host that has room for the one session that there is."""
    await world.host.open_session(claim())
    await world.host.find("default/talk").stop()
    return world.begin(capacity=1, **options)


async def prepared_until(world, ends, is_over=lambda: False):
    """Wait for the room that a preparation takes up, let it end, and see that there is room.

    ``is_over`` tells that it has ended by itself, as one that is kept for a moment only does on a busy machine.
    """
    waiting = asyncio.create_task(world.host.until_room())
    await turns()
    assert not waiting.done() or is_over()
    await ends()
    await promptly(waiting, 5)
    assert world.host.room == 1


async def test_a_preparation_that_expires_makes_room_again(world, caplog):
    host = await room_for_one(world, ready_seconds=0.05)
    await host.prepare(claim(reason="handoff"))

    async def expired() -> None:
        await eventually(lambda: not host.standbys.keys)

    await prepared_until(world, expired, is_over=lambda: "a prepared session was not taken" in caplog.text)


async def test_a_preparation_that_fails_makes_room_again(world):
    host = await room_for_one(world)
    world.fail_start = RuntimeError("no such model")
    world.storage.before = latch = Latch("read")
    preparing = asyncio.create_task(host.prepare(claim(reason="handoff")))
    await latch.reached.wait()

    async def failed() -> None:
        latch.go.set()
        with pytest.raises(RuntimeError):
            await preparing

    await prepared_until(world, failed)


async def test_preparations_that_are_thrown_away_make_room_again(world):
    host = await room_for_one(world)
    await host.prepare(claim(reason="handoff"))

    async def left() -> None:
        await host.standbys.clear()

    await prepared_until(world, left)
