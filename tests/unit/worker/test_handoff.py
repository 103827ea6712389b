"""A planned handoff: the successor is ready before the predecessor releases."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import ClientSession
from strands.bidi.types.events import BidiResponseStartEvent, BidiResponseStopEvent

from segue.wire.claims import Prepared
from segue.wire.delivery import FRAMES_PATH, ROUTE_TOKEN_HEADER, encode_delivery
from segue.wire.frames import Ready
from shared.background import first_of
from shared.ingress.outcomes import Gone, outcome_of
from tests.support.memory_manager import Latch, kind_of
from tests.support.scripted_model import spoken
from tests.support.waiting import eventually, promptly
from tests.unit.worker.handoffs import Worker, conversation, drain, posted
from tests.unit.worker.stand_ins import address, claim, delivery, text
from worker.hosting.handoff import STARTS, Handoff


async def test_between_the_release_and_ready_there_is_one_read_and_one_write(world, old, new, storage):
    await conversation(world, old, "one", "two")
    requests: list[str] = []

    async def after(operation, what):
        requests.append(kind_of(what) if operation == "write" else operation)

    storage.after = after
    await drain(old, new)
    await eventually(lambda: len(world.clients.of("k1", Ready)) == 2)
    released = requests.index("release")
    assert requests[released : released + 3] == ["release", "read", "acquire"]
    assert "get" in requests[:released], "the successor has read before"
    assert old.queue.sent == []
    said = [message["content"][0]["text"] for message in world.models[1].started_with[0]]
    assert said == ["one", "Yes, one", "two", "Yes, two"]
    assert len(world.models) == 2
    assert world.clients.kinds("k1").count("Moved") == 1
    ready = world.clients.of("k1", Ready)[1]
    assert (ready.known.upto, ready.history) == (2, 4)
    new.session.deliver(delivery(text("three", 3)))
    await eventually(lambda: world.models[1].texts == ["three"])


@pytest.mark.parametrize("ready", [True, False], ids=["ready", "none"])
async def test_frames_in_the_gap_are_refused_with_whether_a_successor_is_ready(world, old, new, ready):
    """The gateway claims no session whose successor acquires it next."""
    await conversation(world, old, "one")
    token = old.session.route_token
    latch = Latch("release")
    world.storage.before = latch
    draining = asyncio.create_task(drain(old, *([new] if ready else [])))
    await latch.reached.wait()
    async with ClientSession() as http:
        frame = encode_delivery(delivery(text("two", 2)))
        answer = await http.post(f"{old.endpoint}{FRAMES_PATH}", data=frame, headers={ROUTE_TOKEN_HEADER: token})
        told = [outcome_of(answer.status, await answer.read())]
        latch.go.set()
        await draining
        await eventually(lambda: old.session is None)
        answer = await http.post(f"{old.endpoint}{FRAMES_PATH}", data=frame, headers={ROUTE_TOKEN_HEADER: token})
        told.append(outcome_of(answer.status, await answer.read()))
    assert told == [Gone("handoff", to_successor=ready)] * 2, "also once it has ended, and may not be acquired yet"


async def test_the_predecessors_model_is_stopped_only_after_the_successor_speaks(world, old, new):
    first = await conversation(world, old, "one")
    stopping = asyncio.Event()
    stop = first.stop

    async def slow() -> None:
        await stopping.wait()
        await stop()

    first.stop = slow
    draining = asyncio.create_task(drain(old, new))
    await eventually(lambda: new.session and new.session.open)
    assert not stopping.is_set()
    stopping.set()
    await draining
    assert old.host.sessions == ()


async def test_input_during_the_successors_preparation_is_in_its_history(world, old, new):
    await conversation(world, old, "one")
    world.storage.before = latch = Latch("get")
    draining = asyncio.create_task(drain(old, new))
    await latch.reached.wait()
    old.session.deliver(delivery(text("two", 2)))
    await eventually(lambda: "two" in world.models[0].texts)
    latch.go.set()
    world.models[0].emit([BidiResponseStartEvent("r"), *spoken("Yes"), BidiResponseStopEvent("r")])
    await draining
    await eventually(lambda: len(world.clients.of("k1", Ready)) == 2)
    assert len(new.posted) == 2, "the successor made the session ready once more"
    said = [message["content"][0]["text"] for message in world.models[-1].started_with[0]]
    assert said == ["one", "Yes, one", "two", "Yes"]
    await eventually(lambda: [model.stops for model in world.models[1:-1]] == [1])


async def test_a_transcript_during_the_release_does_not_end_the_handoff(world, old, new):
    """The model goes on while the lease is given back: its record is refused, and the session is passed on."""
    await conversation(world, old, "one")
    latch = Latch("release")
    world.storage.before = latch
    draining = asyncio.create_task(drain(old, new))
    await latch.reached.wait()
    world.models[0].emit(spoken("and then", role="user", content_id="late"))
    await asyncio.sleep(0.05)
    latch.go.set()
    await draining
    await eventually(lambda: len(world.clients.of("k1", Ready)) == 2)
    assert new.session.open


async def test_a_preparation_under_way_is_given_up_when_the_session_is_claimed(world, old, new):
    """Its predecessor died meanwhile: what would be ready a moment later is of no use, and costs a connection."""
    await conversation(world, old, "one")
    world.storage.before = latch = Latch("get")
    preparing = asyncio.create_task(new.host.prepare(claim(reason="handoff")))
    await latch.reached.wait()
    world.probe = _dead
    await new.host.open_session(claim(reason="unreachable"))
    latch.go.set()
    await asyncio.wait({preparing})
    assert new.session.open
    assert new.host.standbys.keys == set()
    assert sum(model.running for model in world.models[1:]) == 1


async def test_a_conversation_without_a_pause_is_handed_over_too(world, old, new, monkeypatch):
    """The caller speaks again each time that the successor is ready: it begins anew in the gap."""
    await conversation(world, old, "one")
    session = old.session
    prepare = new.claims.prepare

    async def spoken_meanwhile(one: Any) -> Prepared:
        prepared = await prepare(one)
        session._manager.record_input("c1", (900 + prepared.head,))
        return prepared

    new.claims.prepare = spoken_meanwhile
    await drain(old, new)
    await eventually(lambda: len(world.clients.of("k1", Ready)) == 2)
    assert len(new.posted) == STARTS
    assert new.session.open
    assert old.queue.sent == []


async def test_a_successor_that_refuses_is_passed_by(world, old, new):
    full = await Worker(world, "full", "3").begin()
    try:
        full.claims.stop()
        await conversation(world, old, "one")
        await drain(old, full, new)
        await eventually(lambda: new.session and new.session.open)
        assert full.session is None
    finally:
        await full.end()


async def test_a_successor_that_refuses_the_second_time_is_replaced_by_another(world, old, new):
    await conversation(world, old, "one")
    third = await Worker(world, "third", "1").begin()
    prepare = new.claims.prepare

    async def once(one: Any) -> Prepared:
        prepared = await prepare(one)
        old.session._manager.record_input("c1", (901,))  # so that it has to be made ready once more
        new.claims.stop()
        return prepared

    new.claims.prepare = once
    try:
        await drain(old, new, third)
        await eventually(lambda: third.session and third.session.open)
        assert third.posted == [True], "the third worker was ready before the release"
        assert old.queue.sent == []
    finally:
        await third.end()


async def test_a_successor_that_does_not_take_what_it_has_ready_is_replaced_by_another(world, old, new):
    await conversation(world, old, "one")
    third = await Worker(world, "third", "1").begin()
    new.claims.offer_claim = lambda _: (_ for _ in ()).throw(RuntimeError("dead"))
    try:
        await drain(old, new, third)
        await eventually(lambda: third.session and third.session.open)
        assert old.queue.sent == [], "a worker that hangs may have asked the queue before"
    finally:
        await third.end()


async def test_a_session_that_follows_waits_for_no_worker_once_its_own_drains(world, old):
    await conversation(world, old)
    asked, draining = asyncio.Event(), asyncio.Event()

    class Slow:
        async def prepare(self, _claim: Any, _again: Any = None) -> None:
            asked.set()
            await asyncio.Event().wait()

        async def offer_claim(self, _peer: Any, _claim: Any) -> bool:
            raise AssertionError

        async def find_holder(self, _claim: Any, *, avoid: str | None = None) -> None:
            raise AssertionError(avoid)

    async def bounded(work: Any, seconds: float) -> None:
        await first_of(work, draining.wait(), timeout=seconds)

    following = asyncio.create_task(
        Handoff(old.session, Slow(), old.queue, bounded, worker_id=old.name).hand_over_if_ready()
    )
    await asked.wait()
    draining.set()
    assert await promptly(following) is False
    assert old.session.open


async def test_without_another_worker_the_claim_goes_into_the_queue(world, old):
    await conversation(world, old, "one")
    await drain(old)
    assert old.queue.sent == [claim("talk", address(), reason="handoff")]


async def test_a_successor_that_dies_when_it_is_ready_is_replaced_by_the_queue(world, old, new):
    await conversation(world, old, "one")
    prepare = new.claims.prepare

    async def last_words(one: Any) -> Prepared:
        prepared = await prepare(one)
        asyncio.get_running_loop().call_soon(new._listener._runner.server.close)
        for site in list(new._listener._runner.sites):
            asyncio.get_running_loop().create_task(site.stop())
        return prepared

    new.claims.prepare = last_words
    offer = new.claims.offer_claim
    new.claims.offer_claim = lambda _: (_ for _ in ()).throw(RuntimeError("dead"))
    await drain(old, new)
    assert [one.reason for one in old.queue.sent] == ["handoff"]
    assert old.queue.sent[0].from_worker is None
    new.claims.offer_claim = offer


async def test_a_predecessor_that_dies_leaves_a_successor_that_is_ready(world, old, new, storage):
    """The gateway finds it dead and claims: what is ready is used."""
    await conversation(world, old, "one")
    prepared = await new.host.prepare(claim(reason="handoff"))
    assert prepared.head == old.session.position
    world.probe = _dead
    await new.host.standbys.clear()
    await new.host.prepare(claim(reason="handoff"))
    storage.requests.clear()
    await new.host.open_session(claim(reason="unreachable"))
    assert new.session.open
    assert "get" not in [operation for operation, _ in storage.requests]


async def _dead(_: Any) -> bool:
    return True


async def test_a_prepared_session_that_is_never_taken_is_discarded(world, old, caplog):
    new = await Worker(world, "new", "2", ready_seconds=0.05).begin()
    await conversation(world, old, "one")
    room = new.host.room
    await new.host.prepare(claim(reason="handoff"))
    assert new.host.room == room - 1 or "a prepared session was not taken" in caplog.text
    await eventually(lambda: world.models[-1].stops)
    assert new.host.room == room
    assert old.session.open
    await new.end()


async def test_a_worker_that_leaves_makes_nothing_ready_and_throws_away_what_is(world, old, new):
    await conversation(world, old, "one")
    await new.host.prepare(claim(reason="handoff"))
    await drain(new)
    assert world.models[-1].stops == 1
    async with ClientSession() as http:
        assert await posted(http, new, claim(), prepare=True) == 409
        assert await posted(http, new, claim()) == 409


async def test_a_session_that_could_not_follow_deals_with_silence_as_before(world, old):
    await conversation(world, old)

    class Broken:
        async def prepare(self, _claim: Any, _again: Any = None) -> None:
            assert old.session._handing_over
            raise RuntimeError("the registry cannot be read")

        async def offer_claim(self, _peer: Any, _claim: Any) -> bool:
            raise AssertionError

        async def find_holder(self, _claim: Any, *, avoid: str | None = None) -> None:
            raise AssertionError(avoid)

    async def bounded(work: Any, seconds: float) -> None:
        await asyncio.wait_for(work, seconds)

    with pytest.raises(RuntimeError):
        await Handoff(old.session, Broken(), old.queue, bounded, worker_id=old.name).hand_over_if_ready()
    assert not old.session._handing_over
