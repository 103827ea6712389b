"""SIGTERM: every session is passed on, in the right order and in bounded time."""

from __future__ import annotations

import asyncio

import pytest
from strands.bidi.types.events import BidiBargeInEvent, BidiResponseStartEvent, BidiResponseStopEvent

from segue.wire import frames
from segue.wire.frames import Bye, Ready, Transcript
from tests.support.memory_manager import Latch, MemorySessionManager, kind_of
from tests.support.scripted_model import spoken
from tests.support.waiting import PATIENCE_SECONDS, eventually, promptly
from tests.unit.worker.stand_ins import FakeQueue, address, audio, claim, delivery, text, turns
from worker.conversation.session import HostedSession, SessionMoved
from worker.hosting.claims import ClaimTaker
from worker.hosting.drain import Drain, DrainTimes
from worker.hosting.handoff import Handoff
from worker.hosting.host import Host


class Leaving:
    """A host with one or more sessions, about to be drained; notes what happens in order."""

    def __init__(self, world) -> None:
        self.world = world
        self.happened: list[str] = []
        self.hurry = asyncio.Event()
        self.queue = FakeQueue()
        self.claims = ClaimTaker(self.queue, world.host)
        self.limit()
        world.storage.after = self._after
        world.clients.on_delivered = self._delivered
        sent = self.queue.send

        async def send(one):
            self.happened.append(f"claim {one.session_id}")
            await sent(one)

        self.queue.send = send

    def limit(self, **times: float) -> None:
        """Have it drained within time limits."""
        self.drain = Drain(self.world.host, self.claims, self.queue, self.hurry, times=DrainTimes(**times))

    async def _after(self, operation, what) -> None:
        if operation == "write" and kind_of(what) == "release":
            self.happened.append(f"release {what.session_key.partition('/')[2]}")

    def _delivered(self, frame) -> None:
        if isinstance(frame, Transcript) and frame.final:
            self.happened.append(f"say {frame.text}")

    async def hold(self, session_id="talk", *who):
        await self.world.host.open_session(claim(session_id, *who))
        session = self.world.host.find(f"default/{session_id}")
        refuse = session.refuse_frames

        def refusing():
            if session.open:
                self.happened.append(f"refuse {session_id}")
            refuse()

        session.refuse_frames = refusing
        return session


@pytest.fixture
async def leaving(world):
    made = Leaving(world)
    made.claims.start()
    yield made
    made.claims.stop()
    await promptly(made.claims.stopped(), 5)


async def test_frames_are_refused_before_the_release_and_the_claim_comes_last(leaving, world):
    session = await leaving.hold("talk", address(), address("c2", "k2"))
    await promptly(leaving.drain.run(), 10)
    assert leaving.happened == ["refuse talk", "release talk", "claim talk"]
    assert leaving.queue.sent == [claim("talk", address(), address("c2", "k2"), reason="handoff")]
    assert session.ended.is_set()
    assert world.host.sessions == ()


async def test_a_successor_goes_on_where_it_was(leaving, world, clients):
    session = await leaving.hold()
    session.deliver(delivery(text("My name is Alice", 1)))
    await eventually(lambda: world.models[0].texts)
    world.models[0].emit([BidiResponseStartEvent("r"), *spoken("Hello Alice."), BidiResponseStopEvent("r")])
    await promptly(leaving.drain.run(), 10)
    assert len(clients.of("k1", frames.Moved)) == 1
    world.begin()
    await world.host.open_session(leaving.queue.sent[0])
    await eventually(lambda: len(clients.of("k1", Ready)) == 2)
    greeting = clients.of("k1", Ready)[1]
    assert greeting.epoch > clients.of("k1", Ready)[0].epoch
    assert (greeting.known.upto, greeting.history) == (1, 2)
    said = [[block["text"] for block in message["content"]] for message in world.models[1].started_with[0]]
    assert said == [["My name is Alice"], ["Hello Alice."]]


async def test_a_response_is_finished_before_the_session_goes(leaving, world, clients):
    session = await leaving.hold()
    world.models[0].emit([BidiResponseStartEvent("r"), *spoken("One")])
    await eventually(lambda: leaving.happened == ["say One"])
    draining = asyncio.create_task(leaving.drain.run())
    await eventually(lambda: leaving.happened[-1] == "refuse talk")
    with pytest.raises(SessionMoved):
        session.deliver(delivery(text("too late", 1)))
    await turns()
    world.models[0].emit([*spoken("Two", content_id="c2"), BidiResponseStopEvent("r")])
    await promptly(draining, 10)
    assert leaving.happened == ["say One", "refuse talk", "say Two", "release talk", "claim talk"]


async def test_a_response_without_end_is_cut(leaving, world):
    leaving.limit(turn_seconds=0.05)
    session = await leaving.hold()
    world.models[0].emit([BidiResponseStartEvent("r")])
    await eventually(lambda: not session.turn.at_boundary)
    await promptly(leaving.drain.run(), 10)
    assert leaving.happened == ["refuse talk", "release talk", "claim talk"]


async def test_a_second_signal_waits_for_no_turn(leaving, world):
    session = await leaving.hold()
    world.models[0].emit([BidiResponseStartEvent("r")])
    await eventually(lambda: not session.turn.at_boundary)
    draining = asyncio.create_task(leaving.drain.run())
    await eventually(lambda: leaving.happened == ["refuse talk"])
    leaving.hurry.set()
    await promptly(draining, 2)
    assert leaving.happened == ["refuse talk", "release talk", "claim talk"]


async def test_a_slow_client_holds_nothing_up_for_long(leaving, world, clients, monkeypatch):
    leaving.limit(spoken_seconds=0.05)
    monkeypatch.setattr("worker.conversation.lifecycle.FAREWELL_SECONDS", 0.05)
    await leaving.hold()
    clients.hold("k1")
    world.models[0].emit([BidiResponseStartEvent("r"), *spoken("One"), BidiResponseStopEvent("r")])
    await promptly(leaving.drain.run(), 10)
    assert leaving.happened == ["refuse talk", "release talk", "claim talk"]


async def test_a_drain_posts_the_last_answer_before_the_release(leaving, world, clients):
    session = await leaving.hold()
    await eventually(lambda: clients.of("k1", Ready))
    slow = clients.hold("k1")
    world.models[0].emit([BidiResponseStartEvent("r"), *spoken("One"), BidiResponseStopEvent("r")])
    await eventually(lambda: session.turn.at_boundary and clients.kinds("k1")[-1] == "Transcript")
    draining = asyncio.create_task(leaving.drain.run())
    await eventually(lambda: leaving.happened == ["refuse talk"])
    await turns()
    slow.set()
    await promptly(draining, 10)
    assert leaving.happened == ["refuse talk", "say One", "release talk", "claim talk"]


async def test_input_that_the_agent_was_not_given_is_left_to_the_successor(leaving, world, clients):
    session = await leaving.hold()
    world.models[0].free.clear()
    session.deliver(delivery(audio(1)))
    await turns()
    session.deliver(delivery(text("later", 2)))
    world.models[0].emit([BidiResponseStartEvent("r")])
    await eventually(lambda: not session.turn.at_boundary)
    draining = asyncio.create_task(leaving.drain.run())
    await eventually(lambda: leaving.happened == ["refuse talk"])
    world.models[0].free.set()
    await eventually(lambda: world.models[0].audio)
    await turns()
    assert world.models[0].texts == []
    leaving.hurry.set()
    await promptly(draining, 10)
    world.begin()
    await world.host.open_session(leaving.queue.sent[0])
    await eventually(lambda: len(clients.of("k1", Ready)) == 2)
    assert clients.of("k1", Ready)[1].known.upto == 0
    again = world.host.find("default/talk")
    again.deliver(delivery(audio(1)))
    again.deliver(delivery(text("later", 2)))
    await eventually(lambda: world.models[1].texts == ["later"] and len(world.models[1].audio) == 1)


async def test_a_session_without_clients_is_released_and_not_claimed(leaving, world):
    session = await leaving.hold()
    session.deliver(delivery(Bye()))
    await promptly(leaving.drain.run(), 10)
    assert leaving.happened == ["refuse talk", "release talk"]


async def test_a_session_that_was_lost_is_not_claimed(leaving, world, clients):
    async def dead(_):
        return True

    session = await leaving.hold()
    await eventually(lambda: clients.of("k1", Ready))
    clients.hold("k1")
    world.models[0].emit([BidiBargeInEvent()])
    world.models[0].emit([BidiResponseStartEvent("r")])
    await eventually(lambda: clients.under_way["k1"] and not session.turn.at_boundary)
    draining = asyncio.create_task(leaving.drain.run())
    await eventually(lambda: leaving.happened == ["refuse talk"])
    other = MemorySessionManager(storage=world.storage, holder="other", probe=dead, acquire_timeout=5.0)
    await other.open()
    world.models[0].emit(spoken("Too late"))
    await eventually(lambda: session.lost and not clients.under_way["k1"], seconds=3)
    world.models[0].emit([BidiResponseStopEvent("r")])
    await promptly(draining, 10)
    assert leaving.queue.sent == []
    assert other.lease_is_fresh()
    await other.close()


async def test_all_sessions_leave_side_by_side(leaving, world):
    for number in range(6):
        session = await leaving.hold(f"s{number}", address(f"c{number}", f"k{number}"))
        world.models[number].emit([BidiResponseStartEvent("r")])
        await eventually(lambda one=session: not one.turn.at_boundary)
    draining = asyncio.create_task(leaving.drain.run())
    await eventually(lambda: sorted(leaving.happened) == [f"refuse s{number}" for number in range(6)])
    for number in range(6):
        world.models[number].emit([BidiResponseStopEvent("r")])
    await promptly(draining, 10)
    assert sorted(one.session_id for one in leaving.queue.sent) == [f"s{number}" for number in range(6)]


async def test_a_session_that_is_being_opened_is_passed_on_too(leaving, world):
    world.storage.before = latch = Latch("acquire")
    opening = asyncio.create_task(world.host.open_session(claim("late")))
    await latch.reached.wait()
    draining = asyncio.create_task(leaving.drain.run())
    await turns()
    latch.go.set()
    await promptly(asyncio.gather(opening, draining), 10)
    assert [one.session_id for one in leaving.queue.sent] == ["late"]
    assert world.host.sessions == ()


async def test_a_session_that_opens_as_the_drain_begins_is_handed_over_exactly_once(leaving, world, monkeypatch):
    for number in range(3):
        await leaving.hold(f"s{number}", address(f"c{number}", f"k{number}"))
    held, reads = world.host.sessions, []

    def growing(_: Host) -> tuple[HostedSession, ...]:
        reads.append(1)
        return held[: len(reads)]

    handed_over: list[str] = []

    async def run(handoff: Handoff) -> None:
        handed_over.append(handoff._session.key)

    with monkeypatch.context() as patch:
        patch.setattr(Host, "sessions", property(growing))
        patch.setattr(Handoff, "run", run)
        await promptly(leaving.drain.run(), 10)
    assert len(reads) >= 2
    assert sorted(handed_over) == sorted(session.key for session in held[: len(reads)])


@pytest.mark.slow
@pytest.mark.parametrize("step", ["say_moved", "stop"])
async def test_a_session_that_breaks_on_its_way_out_keeps_no_other_from_leaving(leaving, world, monkeypatch, step):
    for number in range(3):
        await leaving.hold(f"s{number}", address(f"c{number}", f"k{number}"))

    def broken() -> None:
        raise TypeError("a mistake")

    with monkeypatch.context() as patch:
        patch.setattr(world.host.find("default/s0"), step, broken)
        await promptly(leaving.drain.run(), 10)
    assert sorted(one.session_id for one in leaving.queue.sent) == ["s1", "s2"]
    left = {session.key for session in world.host.sessions}
    assert left == (set() if step == "say_moved" else {"default/s0"}), "a session that can be released is still held"


async def test_a_draining_worker_does_not_take_its_own_claim_back(leaving, world):
    await leaving.hold()
    leaving.queue.poll_seconds, polls = PATIENCE_SECONDS, len(leaving.queue.wanted)
    await eventually(lambda: len(leaving.queue.wanted) > polls)  # a poll that lasts until its own claim comes
    send = leaving.queue.send

    async def send_and_receive(one):
        await send(one)
        leaving.queue.add("{}", "own")

    leaving.queue.send = send_and_receive
    await promptly(leaving.drain.run(), 10)
    assert leaving.queue.given_back == ["own"]


@pytest.mark.slow
async def test_draining_ends_even_if_storage_does_not_answer(leaving, world):
    leaving.limit(hurried_seconds=0.2)
    await leaving.hold()
    world.storage.before = latch = Latch("release")
    draining = asyncio.create_task(leaving.drain.run())
    await latch.reached.wait()
    leaving.hurry.set()  # as when the time of the drain is over
    await promptly(draining, 5)
    assert leaving.queue.sent == []
    latch.go.set()
    await eventually(lambda: "release talk" in leaving.happened)
