"""The worker's HTTP endpoint, as a real server on loopback."""

from __future__ import annotations

import asyncio
import gzip
import json
from types import SimpleNamespace

import aiohttp
import pytest

from segue.wire.claims import CLAIMS_TOKEN_HEADER
from segue.wire.delivery import MAX_DELIVERY_BYTES, ROUTE_TOKEN_HEADER, Refusal, decode_refusal, encode_delivery
from segue.wire.frames import FrameError, Ready
from tests.support.waiting import eventually, within
from tests.unit.worker.stand_ins import FakeQueue, claim, delivery, hello, text
from worker.hosting.claims import ClaimTaker
from worker.server import LISTENER_TIMES, Listener, ListenerTimes, Status


@pytest.fixture
def body_seconds():
    """For a body to arrive whole; a test parametrizes it with less."""
    return LISTENER_TIMES.body_seconds


@pytest.fixture
async def server(world, body_seconds):
    status = Status(worker_id="w1", version="7", ready=True)
    queue = FakeQueue()
    claims = ClaimTaker(queue, world.host)
    times = ListenerTimes(linger_seconds=0.05, body_seconds=body_seconds)
    listener = Listener(world.host, status, claims, "secret", times=times)
    port = await listener.start("127.0.0.1", 0)
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http:
        yield SimpleNamespace(
            http=http, port=port, status=status, host=world.host, world=world, claims=claims, queue=queue
        )
    await listener.close()


async def post(server, body, token=None):
    session = server.host.find("default/talk")
    token = session.route_token if token is None and session else token or ""
    async with server.http.post("/frames", data=body, headers={ROUTE_TOKEN_HEADER: token}) as answer:
        return answer.status, decode_refusal(await answer.read())


async def test_a_frame_with_the_right_token_is_taken(server):
    await server.host.open_session(claim())
    assert await post(server, encode_delivery(delivery(text("hello", 1)))) == (202, None)
    await eventually(lambda: server.world.models[0].texts == ["hello"])


async def test_a_hello_is_answered_with_ready(server, clients):
    await server.host.open_session(claim())
    at = {"connection_id": "k2", "counter": 2}
    assert (await post(server, encode_delivery(delivery(hello(connection=2), **at))))[0] == 202
    await eventually(lambda: clients.of("k2", Ready))


@pytest.mark.parametrize("token", ["wrong", ""])
async def test_a_wrong_token_finds_nothing_here(server, token):
    await server.host.open_session(claim())
    status, refusal = await post(server, encode_delivery(delivery(text("hello", 1))), token)
    assert (status, refusal) == (410, Refusal(error="moved"))
    async with server.http.post("/frames", data=encode_delivery(delivery(text("hello", 1)))) as answer:
        assert answer.status == 410, "nor does none"
    assert server.world.models[0].texts == []


async def test_the_token_of_another_session_is_forbidden(server):
    await server.host.open_session(claim())
    await server.host.open_session(claim("other"))
    token = server.host.find("default/other").route_token
    assert (await post(server, encode_delivery(delivery(text("hello", 1))), token))[0] == 403
    assert server.world.models[0].texts == []


async def test_a_token_is_worth_nothing_once_its_session_has_ended(server):
    await server.host.open_session(claim())
    session = server.host.find("default/talk")
    await session.stop()
    assert (await post(server, encode_delivery(delivery(text("hello", 1))), session.route_token))[0] == 410
    await server.host.open_session(claim())
    assert (await post(server, encode_delivery(delivery(text("hello", 1))), session.route_token))[0] == 410
    assert (await post(server, encode_delivery(delivery(text("hello", 1)))))[0] == 202


class Raw:
    """A connection that says what no client library would."""

    def __init__(self, port):
        self._port = port

    async def __aenter__(self):
        self.reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        return self

    async def __aexit__(self, *_):
        self._writer.close()

    async def say(self, *pieces):
        for piece in pieces:
            self._writer.write(piece)
        await self._writer.drain()

    async def status(self):
        async with within(10):
            line = await self.reader.readuntil(b"\r\n")
        return int(line.split()[1])


def asked(path, *headers, length=None):
    lines = [f"POST {path} HTTP/1.1".encode(), b"Host: w1", *headers]
    if length is not None:
        lines.append(b"Content-Length: %d" % length)
    return b"\r\n".join([*lines, b"", b""])


@pytest.mark.parametrize("value", [b"\xff\xfe", "é".encode(), b"secret\x80"])
@pytest.mark.parametrize(("path", "header"), [("/frames", ROUTE_TOKEN_HEADER), ("/claims", CLAIMS_TOKEN_HEADER)])
async def test_a_header_that_is_not_ascii_is_a_bad_request(server, caplog, path, header, value):
    async with Raw(server.port) as raw:
        await raw.say(asked(path, header.encode() + b": " + value, length=2), b"{}")
        assert await raw.status() == 400
    assert not [record for record in caplog.records if record.exc_info]


COMPRESSED = {
    "no gzip": b"no gzip at all",
    "cut off": gzip.compress(b"{}", mtime=0)[:-4],
    "too large": gzip.compress(b"[" * 10**6, mtime=0),
    "empty": b"",
}


@pytest.mark.parametrize("body", COMPRESSED.values(), ids=COMPRESSED)
@pytest.mark.parametrize("path", ["/frames", "/claims"])
async def test_a_body_that_says_it_is_compressed_is_a_bad_request(server, caplog, path, body):
    await server.host.open_session(claim())
    tokens = {ROUTE_TOKEN_HEADER: server.host.find("default/talk").route_token, CLAIMS_TOKEN_HEADER: "secret"}
    for encoding in ("gzip", "deflate", "br"):
        headers = {**tokens, "Content-Encoding": encoding}
        async with server.http.post(path, data=body, headers=headers) as answer:
            assert answer.status == 400
    assert not [record for record in caplog.records if record.exc_info]


@pytest.mark.parametrize("path", ["/frames", "/claims"])
async def test_a_body_whose_length_is_a_lie_is_a_bad_request(server, path):
    await server.host.open_session(claim())
    route_token = server.host.find("default/talk").route_token.encode()
    tokens = (f"{ROUTE_TOKEN_HEADER}: ".encode() + route_token, f"{CLAIMS_TOKEN_HEADER}: secret".encode())
    async with Raw(server.port) as raw:
        await raw.say(asked(path, *tokens, b"Transfer-Encoding: chunked"), b"zz\r\n")
        assert await raw.status() == 400


@pytest.mark.parametrize(("path", "status"), [("/frames", 410), ("/claims", 403)])
async def test_the_token_is_looked_at_before_the_body(server, path, status):
    """The answer is there though not a byte of the body is; what is announced is not waited for."""
    await server.host.open_session(claim())
    async with Raw(server.port) as raw:
        await raw.say(asked(path, b"x-segue-route-token: wrong", length=1000))
        assert await raw.status() == status


@pytest.mark.slow
@pytest.mark.parametrize(("path", "code"), [("/frames", "bad_frame"), ("/claims", "bad_claim")])
@pytest.mark.parametrize("body_seconds", [0.05])
async def test_a_body_that_trickles_is_ended(server, path, code):
    await server.host.open_session(claim())
    route_token = server.host.find("default/talk").route_token.encode()
    tokens = (f"{ROUTE_TOKEN_HEADER}: ".encode() + route_token, f"{CLAIMS_TOKEN_HEADER}: secret".encode())
    async with Raw(server.port) as raw:
        await raw.say(asked(path, *tokens, length=1000), b"{")
        assert await raw.status() == 408
        async with within(10):
            rest = await raw.reader.read()
    assert code.encode() in rest, "and the connection is closed"


async def test_a_session_that_is_not_here_has_moved(server):
    status, refusal = await post(server, encode_delivery(delivery(text("hello", 1))), "any")
    assert (status, refusal) == (410, Refusal(error="moved"))


async def test_a_session_on_its_way_out_has_moved(server):
    await server.host.open_session(claim())
    server.host.find("default/talk").refuse_frames()
    assert (await post(server, encode_delivery(delivery(text("hello", 1)))))[0] == 410


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "bad_json"),
        (b"nonsense", "bad_json"),
        (b"{}", "bad_frame"),
        (b"\xff\xfe", "bad_json"),
        (b"[" * 30_000, "bad_frame"),
        (b"x" * (MAX_DELIVERY_BYTES + 1), "oversize"),
        (encode_delivery(delivery(text("far", 9000))), "beyond_window"),
        (encode_delivery(delivery(text("x", 1))).replace(b'"text":"x"', b'"text":""'), "bad_frame"),
    ],
)
async def test_a_malformed_delivery_gets_400_and_its_code(server, body, code):
    await server.host.open_session(claim())
    status, refusal = await post(server, body)
    assert status == 400
    assert refusal.error == code


@pytest.mark.parametrize("code", ["busy", "too_fast"])
async def test_too_much_at_once_is_refused_for_now(server, monkeypatch, code):
    await server.host.open_session(claim())

    def full(*_):
        raise FrameError(code)

    monkeypatch.setattr(server.host.find("default/talk")._input, "offer_frame", full)
    status, refusal = await post(server, encode_delivery(delivery(text("hello", 1))))
    assert (status, refusal.error) == (429, code)


async def test_health_says_who_is_there(server):
    await server.host.open_session(claim())
    async with server.http.get("/health") as answer:
        assert answer.status == 200
        facts = json.loads(await answer.text())
    assert facts == {
        "worker_id": "w1",
        "version": "7",
        "sessions": 1,
        "room": 9,
        "draining": False,
        "ready": True,
        "stood_still_ms": 0,
    }


async def test_health_is_503_until_ready_and_still_names_the_worker(server):
    server.status.ready, server.status.draining = False, True
    async with server.http.get("/health") as answer:
        assert answer.status == 503
        facts = json.loads(await answer.text())
    assert (facts["worker_id"], facts["room"], facts["draining"]) == ("w1", 0, True)
