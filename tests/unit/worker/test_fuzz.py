"""Random requests to the worker's port: an answer with a status of ours or a closed connection, soon, and no more."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace

import aiohttp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from segue.wire.delivery import ROUTE_TOKEN_HEADER, decode_refusal, encode_delivery
from segue.wire.frames import (
    MESSAGES,
    AnswerInput,
    AudioInput,
    Bye,
    FrameError,
    Hello,
    ImageInput,
    OutputAck,
    Ping,
    Response,
    TextInput,
)
from tests.support.waiting import within
from tests.unit.worker.stand_ins import FakeQueue, delivery
from worker.conversation.session import SessionMoved
from worker.hosting.claims import ClaimTaker
from worker.server import Listener, Status

TOKEN = "route-token-of-the-lease"
FUZZ = settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
ANSWER_SECONDS = 10.0
"""Time limit of an answer on a busy machine. A worker that hangs never answers."""

FRAMES = [
    Hello(session="talk", client_id="c1", connection=1),
    TextInput(text="hi", seq=1),
    AudioInput.from_pcm(b"\0\0" * 800),
    ImageInput(image="AAAA", media_type="image/png", part=1, parts=1),
    AnswerInput(approval=2, responses=(Response(id="i", response=True),), seq=2),
    OutputAck(epoch=1, seq=1),
    Ping(),
    Bye(),
]
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
JSON = st.recursive(LEAVES, lambda some: st.lists(some, max_size=4) | st.dictionaries(st.text(max_size=9), some))
FIELDS = st.sampled_from(["session_key", "connection_id", "client_id", "counter", "approvals", "frame"])


def changed(pair):
    frame, changes = pair
    return json.dumps(json.loads(encode_delivery(delivery(frame))) | changes).encode()


BODIES = (
    st.tuples(st.sampled_from(FRAMES), st.dictionaries(FIELDS, JSON, max_size=2)).map(changed)
    | JSON.map(lambda value: json.dumps(value).encode())
    | st.binary(max_size=300)
    | st.sampled_from([b"[" * 30_000, b"x" * 40_000, b"\xff" * 99])
)
HEADERS = st.dictionaries(
    st.sampled_from([ROUTE_TOKEN_HEADER, "content-type", "content-encoding", "x-other"]),
    st.sampled_from([TOKEN, "wrong", "", "é", "gzip", "application/json; charset=klingon", "text/html"]),
    max_size=3,
)


class StubSession:
    """Takes frames, or raises what real sessions raise."""

    route_token = TOKEN
    successor_ready = False

    def __init__(self) -> None:
        self.taken = 0

    def deliver(self, delivery) -> None:
        self.taken += 1
        match self.taken % 4:
            case 1:
                raise SessionMoved
            case 2:
                raise FrameError(["busy", "beyond_window", "too_fast", "superseded"][self.taken // 4 % 4])


@pytest.fixture
def worker():
    """A listener on a loop of its own, so that every example of a property can use it."""
    loop = asyncio.new_event_loop()
    session = StubSession()
    host = SimpleNamespace(
        find={"default/talk": session}.get,
        handed_over_by=lambda _: False,
        holding={TOKEN.encode(): session}.get,
        sessions=(),
        room=1,
    )
    listener = Listener(host, Status(worker_id="w", version="1", ready=True), ClaimTaker(FakeQueue(), host), "secret")
    port = loop.run_until_complete(listener.start("127.0.0.1", 0))
    http = loop.run_until_complete(_client(port))
    yield SimpleNamespace(run=loop.run_until_complete, http=http, port=port, session=session)
    loop.run_until_complete(http.close())
    loop.run_until_complete(listener.close())
    loop.close()


async def _client(port):
    return aiohttp.ClientSession(
        f"http://127.0.0.1:{port}", timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS), auto_decompress=False
    )


def is_safe(text):
    assert not any(secret in text for secret in ("Traceback", ".py", "Error:", "Exception", TOKEN))


@pytest.mark.slow
@FUZZ
@given(body=BODIES, headers=HEADERS)
def test_any_frame_is_taken_or_refused_with_a_code(worker, body, headers):
    async def post():
        sent = {name: value.encode().decode("latin-1") for name, value in headers.items()}
        async with worker.http.post("/frames", data=body, headers=sent) as answer:
            return answer.status, await answer.read()

    status, answer = worker.run(post())
    assert status in {202, 400, 403, 410, 429}
    is_safe(answer.decode())
    refusal = decode_refusal(answer)
    if status in {400, 429} and refusal is not None:
        assert refusal.error in MESSAGES
    if headers.get(ROUTE_TOKEN_HEADER) != TOKEN:
        assert status in {400, 403, 410}


@pytest.mark.slow
@FUZZ
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS"]),
    path=st.sampled_from(["/", "/frames", "/health", "/frames/../health", "/%00", "/claims"]),
    body=BODIES,
)
def test_any_request_has_an_answer(worker, method, path, body):
    async def ask():
        async with worker.http.request(method, path, data=body) as answer:
            return answer.status, await answer.read()

    status, answer = worker.run(ask())
    assert status < 500
    is_safe(answer.decode(errors="replace"))


@pytest.mark.slow
@FUZZ
@given(
    start=st.sampled_from([b"POST /frames HTTP/1.1\r\n", b"GET /health HTTP/1.1\r\n", b""]),
    rest=st.binary(max_size=200)
    | st.sampled_from([b"Content-Length: -1\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", b"a" * 100_000]),
)
def test_any_bytes_have_an_answer_or_an_end_and_the_next_request_is_served(worker, start, rest):
    async def speak():
        reader, writer = await asyncio.open_connection("127.0.0.1", worker.port)
        try:
            writer.write(start + rest)
            writer.write_eof()
            async with within(ANSWER_SECONDS):
                answer = await reader.read()
        except ConnectionError:
            answer = b""
        finally:
            writer.close()
        async with worker.http.get("/health") as health:
            return answer, health.status

    answer, status = worker.run(speak())
    assert status == 200
    is_safe(answer.decode("latin-1"))
