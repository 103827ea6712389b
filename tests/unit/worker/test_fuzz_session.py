"""Random requests to the port of a real session: an answer, soon, and the conversation goes on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from segue.wire.claims import CLAIMS_TOKEN_HEADER, decode_prepared, encode_claim
from segue.wire.delivery import ROUTE_TOKEN_HEADER, decode_refusal, encode_delivery
from segue.wire.frames import (
    MESSAGES,
    AudioInput,
    Bye,
    Hello,
    ImageInput,
    InputAck,
    OutputAck,
    Ping,
    TextInput,
)
from tests.support.memory_manager import MemoryStorage
from tests.support.waiting import eventually, promptly
from tests.unit.worker.stand_ins import FakeConnections, FakeQueue, address, claim, delivery, text
from tests.unit.worker.test_fuzz import ANSWER_SECONDS, BODIES, FRAMES, JSON, LEAVES, _client, is_safe
from tests.unit.worker.worlds import World
from worker.hosting.claims import ClaimTaker
from worker.server import Listener, Status

FUZZ = settings(
    max_examples=100,
    deadline=ANSWER_SECONDS * 1000,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
CLAIMS_TOKEN = "token of this worker's registry item"
CAPACITY = 30
SEQ = st.none() | st.integers(1, 12) | st.just(300)
WORDS = st.text(min_size=1, max_size=20) | st.sampled_from(["\0", "a\u2028b"])
MILLISECONDS = st.sampled_from([0, 1, 20, 100, 250, 300, 600])
"""Lengths of audio at 16 kHz; a frame has 250 ms at most, and 20 ms at least if another one follows."""

IMAGES = st.sampled_from([1, 100, 7500]).map(lambda groups: "AAAA" * groups)
TAKEN = st.one_of(
    st.builds(TextInput, text=WORDS, seq=SEQ),
    st.tuples(MILLISECONDS, SEQ).map(lambda one: AudioInput.from_pcm(bytes(32 * one[0]), one[1] if one[0] else 1)),
    st.integers(1, 4).flatmap(
        lambda parts: st.builds(
            ImageInput,
            image=IMAGES,
            media_type=st.sampled_from(["image/png", "image/gif"]),
            part=st.integers(1, parts),
            parts=st.just(parts),
            seq=SEQ,
        )
    ),
    st.builds(Hello, session=st.just("talk"), client_id=st.just("c1"), connection=st.integers(1, 9), last_record=SEQ),
    st.builds(OutputAck, epoch=st.integers(0, 9), seq=st.integers(1, 9)),
    st.sampled_from([Ping(), Bye()]),
)
"""Frames that the protocol allows, in an order and with a content that no client thinks of."""

IN_FRAMES = st.dictionaries(st.sampled_from(["type", "session", "trace", "epoch", "seq", "text", "audio"]), LEAVES)


def frame_with(pair: Any) -> bytes:
    frame, changes, client_id = pair
    body = json.loads(encode_delivery(delivery(frame, client_id=client_id, connection_id=f"k of {client_id}")))
    return json.dumps(body | {"frame": body["frame"] | changes}).encode()


CLIENTS = st.sampled_from(["c1", "c2", "c3", "c4"])
ODD = st.tuples(st.sampled_from(FRAMES), IN_FRAMES, CLIENTS).map(frame_with) | BODIES
DELIVERIES = st.booleans().flatmap(
    lambda is_taken: st.tuples(TAKEN, st.just({}), CLIENTS).map(frame_with) if is_taken else ODD
)

NAMES_OF_CLAIMS = "session_key session_id principal reason clients from_worker prepare paused_ms"
CLAIM_FIELDS = st.sampled_from(NAMES_OF_CLAIMS.split())


def claim_with(pair: Any) -> bytes:
    session_id, changes = pair
    return json.dumps(json.loads(encode_claim(claim(session_id))) | changes).encode()


CLAIM_BODIES = (
    st.tuples(
        st.sampled_from([*(f"s{number}" for number in range(2 * CAPACITY)), "", "..", "a/b", "x" * 2000, "é\0"]),
        st.fixed_dictionaries({}, optional={"prepare": st.booleans()})
        | st.dictionaries(CLAIM_FIELDS, JSON, max_size=2),
    ).map(claim_with)
    | JSON.map(lambda value: json.dumps(value).encode())
    | st.binary(max_size=300)
    | st.sampled_from([b"[" * 30_000, b"x" * 70_000, b"\xff" * 99])
)


class Talking:
    """A worker with one conversation, on a loop of its own, so that every example of a property can use it."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.complaints: list[Any] = []
        self.loop.set_exception_handler(lambda _, context: self.complaints.append(context))
        self.run = self.loop.run_until_complete
        self.clients = FakeConnections()
        self.queue = FakeQueue()
        self._numbers = count(1)
        self.run(self._begin())

    async def _begin(self) -> None:
        self.world = World(MemoryStorage(), self.clients)
        self.host = self.world.begin(capacity=CAPACITY)
        await self.host.open_session(claim("talk", address("well", "k of well")))
        claims = ClaimTaker(self.queue, self.host)
        self._listener = Listener(self.host, Status(worker_id="w", version="1", ready=True), claims, CLAIMS_TOKEN)
        self.http = await _client(await self._listener.start("127.0.0.1", 0))

    async def end(self) -> None:
        await self.http.close()
        await self.host.standbys.clear()
        await asyncio.gather(*(session.stop() for session in self.host.sessions))
        await self._listener.close()

    async def post(self, path: str, body: bytes, header: str, token: str) -> tuple[int, bytes]:
        async with self.http.post(path, data=body, headers={header: token}) as answer:
            return answer.status, await answer.read()

    async def goes_on(self) -> None:
        """A client that says what it should is heard and acknowledged."""
        session, number = self.host.find("default/talk"), next(self._numbers)
        assert session is not None
        assert session.open
        body = encode_delivery(delivery(text(f"number {number}", number), client_id="well", connection_id="k of well"))
        assert await self.post("/frames", body, ROUTE_TOKEN_HEADER, session.route_token) == (202, b"")
        await eventually(lambda: f"number {number}" in self.world.models[0].texts)
        await eventually(lambda: any(ack.upto >= number for ack in self.clients.of("k of well", InputAck)))
        assert self.complaints == []

    @property
    def token(self) -> str:
        session = self.host.find("default/talk")
        assert session is not None
        return session.route_token


@pytest.fixture
def talking() -> Iterator[Talking]:
    made = Talking()
    yield made
    made.run(made.end())
    made.loop.close()
    assert made.complaints == []


@pytest.mark.slow
@FUZZ
@given(bodies=st.lists(DELIVERIES, min_size=1, max_size=6))
def test_a_conversation_goes_on_whatever_frames_come(talking, bodies):
    async def say() -> None:
        for body in bodies:
            status, answer = await talking.post("/frames", body, ROUTE_TOKEN_HEADER, talking.token)
            assert status in {202, 400, 410, 429}
            is_safe(answer.decode())
            if status in {400, 429}:
                refusal = decode_refusal(answer)
                assert refusal is not None
                assert refusal.error in MESSAGES
        await talking.goes_on()

    talking.run(promptly(say(), ANSWER_SECONDS))


@pytest.mark.slow
@FUZZ
@given(body=CLAIM_BODIES, token=st.sampled_from([CLAIMS_TOKEN] * 8 + ["wrong", ""]))
@example(body=claim_with(("talk", {"prepare": True})), token=CLAIMS_TOKEN)
@example(body=claim_with(("talk", {"clients": []})), token=CLAIMS_TOKEN)
@example(body=claim_with(("talk", {"principal": "another principal"})), token=CLAIMS_TOKEN)
def test_any_claim_is_taken_or_refused_and_hurts_no_other_session(talking, body, token):
    async def ask() -> None:
        status, answer = await talking.post("/claims", body, CLAIMS_TOKEN_HEADER, token)
        if token != CLAIMS_TOKEN:
            assert status == 403
        elif status == 200:
            assert decode_prepared(answer).head >= 0
        elif status == 202:
            assert answer == b""
        else:
            refusal = decode_refusal(answer)
            assert refusal is not None
            assert (status, refusal.error) in {(400, "bad_claim"), (409, "no_room"), (409, "unprepared")}
        is_safe(answer.decode())
        assert talking.host.room >= 0
        await talking.goes_on()

    talking.run(promptly(ask(), ANSWER_SECONDS))
