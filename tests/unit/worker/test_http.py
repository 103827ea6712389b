"""The worker's HTTP endpoint, as a real server on loopback."""

from __future__ import annotations

import json
from types import SimpleNamespace

import aiohttp
import pytest

from segue.wire.delivery import MAX_DELIVERY_BYTES, ROUTE_TOKEN_HEADER, Refusal, decode_refusal, encode_delivery
from segue.wire.frames import FrameError, Ready
from tests.support.waiting import eventually
from tests.unit.worker.stand_ins import claim, delivery, hello, text
from tests.unit.worker.test_claims import FakeQueue
from worker.claims import ClaimTaker
from worker.http import Listener, Status


@pytest.fixture
async def server(world):
    status = Status(worker_id="w1", version="7", ready=True)
    queue = FakeQueue()
    claims = ClaimTaker(queue, world.host)
    listener = Listener(world.host, status, claims, "secret")
    port = await listener.start("127.0.0.1", 0)
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http:
        yield SimpleNamespace(http=http, status=status, host=world.host, world=world, claims=claims, queue=queue)
    await listener.close()


async def post(server, body, token=None):
    session = server.host.find("default/talk")
    token = session.route_token if token is None and session else token or ""
    async with server.http.post("/frames", data=body, headers={ROUTE_TOKEN_HEADER: token}) as answer:
        return answer.status, decode_refusal(await answer.read())


async def test_a_frame_with_the_right_token_is_taken(server):
    await server.host.take(claim())
    assert await post(server, encode_delivery(delivery(text("hello", 1)))) == (202, None)
    await eventually(lambda: server.world.models[0].texts == ["hello"])


async def test_a_hello_is_answered_with_ready(server, clients):
    await server.host.take(claim())
    at = {"connection_id": "k2", "counter": 2}
    assert (await post(server, encode_delivery(delivery(hello(connection=2), **at))))[0] == 202
    await eventually(lambda: clients.of("k2", Ready))


@pytest.mark.parametrize("token", ["wrong", "", "é"])
async def test_a_wrong_token_is_forbidden(server, token):
    await server.host.take(claim())
    status, _ = await post(server, encode_delivery(delivery(text("hello", 1))), token.encode().decode("latin-1"))
    if token == "":
        async with server.http.post("/frames", data=encode_delivery(delivery(text("hello", 1)))) as answer:
            status = answer.status
    assert status == 403
    assert server.world.models[0].texts == []


async def test_a_session_that_is_not_here_has_moved(server):
    status, refusal = await post(server, encode_delivery(delivery(text("hello", 1))), "any")
    assert (status, refusal) == (410, Refusal(error="moved"))


async def test_a_session_on_its_way_out_has_moved(server):
    await server.host.take(claim())
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
async def test_what_breaks_the_protocol_is_refused_with_a_code(server, body, code):
    await server.host.take(claim())
    status, refusal = await post(server, body)
    assert status == 400
    assert refusal.error == code


@pytest.mark.parametrize("code", ["busy", "too_fast"])
async def test_too_much_at_once_is_refused_for_now(server, monkeypatch, code):
    await server.host.take(claim())

    def full(*_):
        raise FrameError(code)

    monkeypatch.setattr(server.host.find("default/talk")._input, "offer", full)
    status, refusal = await post(server, encode_delivery(delivery(text("hello", 1))))
    assert (status, refusal.error) == (429, code)


async def test_health_says_who_is_there(server):
    await server.host.take(claim())
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
    }


async def test_health_is_503_until_ready_and_still_names_the_worker(server):
    server.status.ready, server.status.draining = False, True
    async with server.http.get("/health") as answer:
        assert answer.status == 503
        facts = json.loads(await answer.text())
    assert (facts["worker_id"], facts["room"], facts["draining"]) == ("w1", 0, True)
