"""A planned handoff: the successor is ready before the predecessor releases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from aiohttp import ClientSession
from strands.bidi.types.events import BidiResponseStartEvent, BidiResponseStopEvent

from segue.wire import frames
from segue.wire.claims import CLAIMS_PATH, CLAIMS_TOKEN_HEADER, Prepared, encode_claim
from segue.wire.delivery import FRAMES_PATH, ROUTE_TOKEN_HEADER, encode_delivery
from segue.wire.frames import InputAck, Ready
from shared.background import first_of
from shared.ingress.outcomes import Gone, outcome_of
from shared.messages import unanswered
from shared.registered_worker import RegisteredWorker
from tests.support.memory_manager import Latch, kind_of
from tests.support.scripted_model import spoken
from tests.support.waiting import eventually, promptly
from tests.unit.worker.stand_ins import FakeQueue, address, claim, delivery, text, turns
from worker.hosting import standby as preparation_module
from worker.hosting.claims import ClaimTaker
from worker.hosting.drain import Drain
from worker.hosting.handoff import STARTS, Handoff
from worker.hosting.host import Host
from worker.hosting.successors import Successors
from worker.server import Listener, Status


class Worker:
    """A host with its real listener on loopback."""

    def __init__(self, world: Any, name: str, version: str) -> None:
        self.name = name
        self.version = version
        self.host: Host = world.begin(acquire_timeout=1.0)
        self.queue = FakeQueue()
        self.claims = ClaimTaker(self.queue, self.host)
        self.token = f"token of {name}"
        self.endpoint = ""
        self.posted: list[bool] = []
        self._listener = Listener(self.host, Status(worker_id=name, version=version), self.claims, self.token)
        prepare = self.claims.prepare

        async def noted(one: Any) -> Prepared:
            self.posted.append(one.prepare)
            return await prepare(one)

        self.claims.prepare = noted  # type: ignore[method-assign]

    async def begin(self) -> Worker:
        self.endpoint = f"http://127.0.0.1:{await self._listener.start('127.0.0.1', 0)}"
        return self

    async def end(self) -> None:
        self.claims.stop()
        await self.host.preparations.clear()
        for session in self.host.sessions:
            await session.stop()
        await self._listener.close()

    @property
    def peer(self) -> RegisteredWorker:
        return RegisteredWorker(self.name, self.endpoint, self.token, self.version, self.host.room)

    @property
    def session(self) -> Any:
        return self.host.find("default/talk")


@pytest.fixture
async def old(world) -> AsyncIterator[Worker]:
    worker = await Worker(world, "old", "1").begin()
    yield worker
    await worker.end()


@pytest.fixture
async def new(world) -> AsyncIterator[Worker]:
    worker = await Worker(world, "new", "2").begin()
    yield worker
    await worker.end()


async def drain(old: Worker, *others: Worker) -> None:
    async def peers() -> list[RegisteredWorker]:
        return [other.peer for other in others if other.host.room]

    async with Successors(peers) as successors:
        leaving = Drain(old.host, old.claims, old.queue, asyncio.Event(), successors, old.name)
        await promptly(leaving.run(), 15)


async def conversation(world, old: Worker, *said: str) -> Any:
    """A session at the old worker in which some was said and answered."""
    await old.host.take(claim())
    model = world.models[-1]
    for number, words in enumerate(said, start=1):
        old.session.deliver(delivery(text(words, number)))
        await eventually(lambda one=words: one in model.texts)
        stream = [BidiResponseStartEvent("r"), *spoken(f"Yes, {words}", content_id=words), BidiResponseStopEvent("r")]
        model.emit(stream)
    if said:
        await eventually(lambda: old.session.turn.at_boundary and world.clients.of("k1", InputAck))
        await old.session.durable()  # the acknowledged text may be, and its answer not yet
    return model


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


async def test_what_is_said_while_the_successor_gets_ready_is_not_missed(world, old, new):
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
    assert len(new.posted) == 2, "it was made ready once more"
    said = [message["content"][0]["text"] for message in world.models[-1].started_with[0]]
    assert said == ["one", "Yes, one", "two", "Yes"]
    await eventually(lambda: [model.stops for model in world.models[1:-1]] == [1])


async def test_what_is_transcribed_during_the_release_does_not_look_like_a_loss(world, old, new):
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
    await new.host.take(claim(reason="unreachable"))
    latch.go.set()
    await asyncio.wait({preparing})
    assert new.session.open
    assert new.host.preparations.keys == set()
    assert sum(model.running for model in world.models[1:]) == 1


async def test_a_conversation_without_a_pause_goes_over_all_the_same(world, old, new, monkeypatch):
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
        assert third.posted == [True], "it was ready before the session was released"
        assert old.queue.sent == []
    finally:
        await third.end()


async def test_a_successor_that_does_not_take_what_it_has_ready_is_replaced_by_another(world, old, new):
    await conversation(world, old, "one")
    third = await Worker(world, "third", "1").begin()
    new.claims.offer = lambda _: (_ for _ in ()).throw(RuntimeError("dead"))
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

        async def take(self, _peer: Any, _claim: Any) -> bool:
            raise AssertionError

        async def give(self, _claim: Any, *, avoid: str | None = None) -> None:
            raise AssertionError(avoid)

    async def bounded(work: Any, seconds: float) -> None:
        await first_of(work, draining.wait(), timeout=seconds)

    following = asyncio.create_task(Handoff(old.session, Slow(), old.queue, bounded, worker_id=old.name).follow())
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
    offer = new.claims.offer
    new.claims.offer = lambda _: (_ for _ in ()).throw(RuntimeError("dead"))
    await drain(old, new)
    assert [one.reason for one in old.queue.sent] == ["handoff"]
    assert old.queue.sent[0].from_worker is None
    new.claims.offer = offer


async def test_a_predecessor_that_dies_leaves_a_successor_that_is_ready(world, old, new, storage):
    """The gateway finds it dead and claims: what is ready is used."""
    await conversation(world, old, "one")
    prepared = await new.host.prepare(claim(reason="handoff"))
    assert prepared.head == old.session.position
    world.probe = _dead
    await new.host.preparations.clear()
    await new.host.prepare(claim(reason="handoff"))
    storage.requests.clear()
    await new.host.take(claim(reason="unreachable"))
    assert new.session.open
    assert "get" not in [operation for operation, _ in storage.requests]


async def _dead(_: Any) -> bool:
    return True


async def test_what_is_ready_and_not_taken_is_thrown_away(world, old, new, monkeypatch):
    monkeypatch.setattr(preparation_module, "READY_SECONDS", 0.05)
    await conversation(world, old, "one")
    room = new.host.room
    await new.host.prepare(claim(reason="handoff"))
    assert new.host.room == room - 1
    await eventually(lambda: world.models[-1].stops)
    assert new.host.room == room
    assert old.session.open


async def test_a_worker_that_leaves_makes_nothing_ready_and_throws_away_what_is(world, old, new):
    await conversation(world, old, "one")
    await new.host.prepare(claim(reason="handoff"))
    await drain(new)
    assert world.models[-1].stops == 1
    async with ClientSession() as http:
        assert await posted(http, new, claim(), prepare=True) == 409
        assert await posted(http, new, claim()) == 409


async def posted(http: ClientSession, worker: Worker, one: Any, token: str | None = None, **changes: Any) -> int:
    body = encode_claim(msgspec.structs.replace(one, **changes))
    headers = {CLAIMS_TOKEN_HEADER: worker.token if token is None else token}
    async with http.post(worker.endpoint + CLAIMS_PATH, data=body, headers=headers) as answer:
        return answer.status


async def test_a_posted_claim_is_taken_and_answered_at_once(world, new):
    world.storage.before = latch = Latch("acquire")
    async with ClientSession() as http:
        assert await posted(http, new, claim(), token="wrong") == 403
        assert await posted(http, new, claim(), token="") == 403
        assert await posted(http, new, claim()) == 202
        async with http.post(
            new.endpoint + CLAIMS_PATH, data=b"{}", headers={CLAIMS_TOKEN_HEADER: new.token}
        ) as answer:
            assert answer.status == 400
    await latch.reached.wait()
    assert new.session is None
    latch.go.set()
    await eventually(lambda: new.session and new.session.open)


async def test_the_same_claim_from_the_queue_and_posted_opens_the_session_once(world, new):
    new.claims.start()
    async with ClientSession() as http:
        new.queue.add(encode_claim(claim()))
        assert await posted(http, new, claim()) == 202
        assert await posted(http, new, claim()) == 202
    await eventually(lambda: new.session and new.session.open and new.queue.deleted)
    assert len(world.models) == 1


async def test_a_posted_claim_that_fails_goes_into_the_queue(world, new):
    world.fail_start = ConnectionError("no model today")
    async with ClientSession() as http:
        assert await posted(http, new, claim(), from_worker="old") == 202
    await eventually(lambda: new.queue.sent)
    assert new.queue.sent == [claim()]


async def test_a_claim_without_room_is_refused(world, new):
    new.host._capacity = 1
    async with ClientSession() as http:
        assert await posted(http, new, claim("first")) == 202
        await eventually(lambda: new.host.find("default/first"))
        assert await posted(http, new, claim("second")) == 409
        assert await posted(http, new, claim("second"), prepare=True) == 409
        assert await posted(http, new, claim("first")) == 202, "it is here already"


async def test_the_newest_version_comes_first_then_most_room(monkeypatch):
    asked: list[str] = []

    async def peers() -> list[RegisteredWorker]:
        return [
            RegisteredWorker(name, f"http://127.0.0.1:9/{name}", "t", version, room)
            for name, version, room in (("a", "1", 40), ("b", "2", 3), ("c", "2", 9), ("d", "2", 9), ("e", "1", 5))
        ]

    async with Successors(peers) as successors:

        async def post(peer: RegisteredWorker, *_: Any) -> tuple[int, bytes]:
            asked.append(peer.worker_id)
            return 200, b'{"head": 1}'

        monkeypatch.setattr(successors, "_post", post)
        for _ in range(25):
            await successors.prepare(claim())
    given = {name: asked.count(name) for name in "abcde"}
    assert (given["b"], given["c"], given["d"]) == (3, 9, 9), "room that was given away is room no more"
    assert given["a"] == 4, "an older version only when the newest has no room"


async def test_the_dead_are_asked_last_and_do_not_count_as_refusals(monkeypatch):
    """Workers of a lost zone stay in the registry with the most room of all, and outnumber the refusals allowed."""
    asked: list[str] = []

    async def peers() -> list[RegisteredWorker]:
        dead = [
            RegisteredWorker(f"dead{number}", "http://127.0.0.1:9", "t", "2", 40, fresh=number > 0)
            for number in range(9)
        ]
        return [*dead, RegisteredWorker("alive", "http://127.0.0.1:9/alive", "t", "2", 1)]

    async with Successors(peers) as successors:

        async def post(peer: RegisteredWorker, *_: Any) -> tuple[int | None, bytes]:
            asked.append(peer.worker_id)
            return (200, b'{"head": 1}') if peer.worker_id == "alive" else (None, b"")

        monkeypatch.setattr(successors, "_post", post)
        promise = await successors.prepare(claim())
    assert promise is not None
    assert promise.peer.worker_id == asked[-1] == "alive"
    assert "dead0" not in asked, "it missed its last beats"


async def test_a_search_among_the_dead_ends(monkeypatch):
    monkeypatch.setattr("worker.hosting.successors.SEARCH_SECONDS", 0.0)

    async def peers() -> list[RegisteredWorker]:
        return [RegisteredWorker(f"dead{number}", "http://127.0.0.1:9", "t", "2", 40) for number in range(9)]

    async with Successors(peers) as successors:
        asked: list[str] = []

        async def post(peer: RegisteredWorker, *_: Any) -> tuple[None, bytes]:
            asked.append(peer.worker_id)
            return None, b""

        monkeypatch.setattr(successors, "_post", post)
        assert await successors.prepare(claim()) is None
    assert len(asked) == 1


async def test_a_text_that_was_cut_before_its_answer_is_answered_by_the_successor(world, old, new, monkeypatch):
    monkeypatch.setattr("worker.hosting.handoff.TURN_SECONDS", 0.05)
    await conversation(world, old, "one")
    old.session.deliver(delivery(text("two", 2)))
    await eventually(lambda: len(world.clients.of("k1", InputAck)) == 2)
    await drain(old, new)
    await eventually(lambda: new.session and new.session.open)
    successor = world.models[-1]
    await eventually(lambda: successor.texts == ["two"])
    said = [message["content"][0]["text"] for message in successor.started_with[0]]
    assert said == ["one", "Yes, one"], "it hears it once"
    assert not new.session.turn.at_boundary, "an answer is owed"
    successor.emit([BidiResponseStartEvent("r"), *spoken("Yes, two"), BidiResponseStopEvent("r")])
    await eventually(lambda: any(one.text == "Yes, two" for one in world.clients.of("k1", frames.Transcript)))
    await new.session.stop()
    await new.host.take(claim())
    said = [message["content"][0]["text"] for message in world.models[-1].started_with[0]]
    assert said == ["one", "Yes, one", "two", "Yes, two"], "recorded once, answered once"
    await turns()
    assert world.models[-1].texts == []


async def test_an_answer_that_was_cut_in_the_middle_is_given_again_by_the_successor(world, old, new, monkeypatch):
    monkeypatch.setattr("worker.hosting.handoff.TURN_SECONDS", 0.05)
    await conversation(world, old, "one")
    old.session.deliver(delivery(text("two", 2)))
    await eventually(lambda: len(world.clients.of("k1", InputAck)) == 2)
    world.models[-1].emit([BidiResponseStartEvent("r"), *spoken("Yes, two")[:-1]])
    await eventually(lambda: world.clients.of("k1", frames.Transcript)[-1].text.startswith("Yes, two"))
    await drain(old, new)
    await eventually(lambda: new.session and new.session.open)
    successor = world.models[-1]
    await eventually(lambda: successor.texts == ["two"])
    said = [message["content"][0]["text"] for message in successor.started_with[0]]
    assert said == ["one", "Yes, one"]
    roles = [message["role"] for message in new.session._agent.messages]
    assert roles == ["user", "assistant", "user", "assistant"], "what was cut stays in the history"


def test_only_the_last_words_of_a_user_are_without_an_answer():
    def message(role: str, *content: Any, **bidi: str) -> dict[str, Any]:
        return {"role": role, "content": list(content), "metadata": {"custom": {"bidi": bidi}}}

    words, use = {"text": "hello"}, {"toolUse": {"toolUseId": "t"}}
    result = {"toolResult": {"toolUseId": "t", "content": []}}
    cut = message("assistant", {"text": "[Transcript unavailable.]"}, kind="transcript", status="incomplete")
    assert unanswered([]) == (None, 0)
    assert unanswered([message("user", words)]) == ("hello", 1)
    assert unanswered([message("user", words, kind="transcript", status="complete")]) == ("hello", 1)
    assert unanswered([message("user", words), message("assistant", words)]) == (None, 0)
    assert unanswered([message("user", words), message("assistant", use), message("user", result)]) == (None, 0)
    assert unanswered([message("user", result, kind="tool_dispatch")]) == (None, 0)
    assert unanswered([message("user", {"text": "  "})]) == (None, 0)
    assert unanswered([message("user", words), cut]) == ("hello", 2), "an answer that was cut is none"
    assert unanswered([message("user", words), cut, cut]) == ("hello", 3)
    assert unanswered([message("user", words), cut, cut, cut]) == (None, 0), "it may be what breaks the model"
    assert unanswered([message("user", words), message("assistant", use), cut]) == (None, 0)
    assert unanswered([cut]) == (None, 0)
    assert unanswered([{"role": "user", "content": [words]}]) == ("hello", 1)


async def test_a_session_that_could_not_follow_deals_with_silence_as_before(world, old):
    await conversation(world, old)

    class Broken:
        async def prepare(self, _claim: Any, _again: Any = None) -> None:
            assert old.session._passing_on
            raise RuntimeError("the registry cannot be read")

        async def take(self, _peer: Any, _claim: Any) -> bool:
            raise AssertionError

        async def give(self, _claim: Any, *, avoid: str | None = None) -> None:
            raise AssertionError(avoid)

    async def bounded(work: Any, seconds: float) -> None:
        await asyncio.wait_for(work, seconds)

    with pytest.raises(RuntimeError):
        await Handoff(old.session, Broken(), old.queue, bounded, worker_id=old.name).follow()
    assert not old.session._passing_on
