"""Requests of other workers: whom they reach, and which of them may be sent twice."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiohttp.http import HttpProcessingError

from tests.unit.worker.origins import EMPTY, Origin
from worker.aws.kept_connections import NotConnected
from worker.hosting.peer_http import PeerHttp, was_sent


@pytest.fixture
async def http() -> AsyncIterator[PeerHttp]:
    # A machine that stands still for a moment makes no connection old.
    async with PeerHttp(5.0, fresh_seconds=3600.0, workers=1) as made:
        yield made


async def post(http: PeerHttp, origin: Origin, *, repeatable: bool) -> int:
    endpoint = f"http://127.0.0.1:{origin.port}"
    return (await http.request("POST", endpoint, "/frames", {}, b"{}", repeatable=repeatable)).status


async def test_a_repeatable_request_is_sent_again_if_its_kept_connection_has_ended(
    origin: Origin, http: PeerHttp
) -> None:
    origin.answers = [(EMPTY,), None]
    assert [await post(http, origin, repeatable=True) for _ in range(2)] == [200, 200]
    assert (len(origin.asked), origin.connected) == (3, 2)


async def test_a_stream_that_may_not_be_sent_twice_keeps_one_connection(origin: Origin, http: PeerHttp) -> None:
    assert [await post(http, origin, repeatable=False) for _ in range(50)] == [200] * 50
    assert origin.connected == 1


async def test_an_unrepeatable_request_fails_if_its_kept_connection_has_ended(origin: Origin, http: PeerHttp) -> None:
    origin.answers = [(EMPTY,), None]
    await post(http, origin, repeatable=False)
    with pytest.raises(ConnectionError) as ended:
        await post(http, origin, repeatable=False)
    assert was_sent(ended.value), "the request may have arrived"
    assert (len(origin.asked), origin.connected) == (2, 1)


async def test_an_unrepeatable_request_goes_over_a_new_connection_after_a_silence_and_leaves_one(
    origin: Origin,
) -> None:
    async with PeerHttp(5.0, fresh_seconds=-1.0) as http:
        for repeatable in (True, False, False, False, True):
            assert await post(http, origin, repeatable=repeatable) == 200
        assert origin.connected == 4
        assert len(http._workers[f"http://127.0.0.1:{origin.port}"]._idle) == 1


@pytest.mark.parametrize("endpoint", ["http://[nonsense", "http://w:port", "w1"])
async def test_an_invalid_address_is_not_connected_to(http: PeerHttp, endpoint: str) -> None:
    with pytest.raises(NotConnected) as refused:
        await http.request("POST", endpoint, "/frames", {}, b"{}", repeatable=True)
    assert not was_sent(refused.value)


async def test_connections_are_kept_to_a_bounded_number_of_workers(origin: Origin, http: PeerHttp) -> None:
    for name in ("127.0.0.1", "localhost", "127.0.0.1"):
        endpoint = f"http://{name}:{origin.port}"
        assert (await http.request("GET", endpoint, "/health", {}, repeatable=True)).status == 200
    assert origin.connected == 3
    assert len(http._workers) == 1


@pytest.mark.parametrize(
    ("error", "sent"),
    [
        (NotConnected(), False),
        (ConnectionRefusedError(), False),
        (OSError(113, "no route to host"), False),
        (TimeoutError(), True),
        (ConnectionResetError(), True),
        (HttpProcessingError(), True),
    ],
    ids=repr,
)
def test_a_request_that_failed_may_have_arrived(error: Exception, sent: bool) -> None:
    assert was_sent(error) is sent
