"""Requests over kept connections, against a server that answers byte by byte as it is told."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator

import pytest
import trustme

from tests.support.waiting import eventually
from tests.unit.worker.origins import EMPTY, Origin
from worker.aws.kept_connections import HTTP_ERRORS, KeptConnections


@pytest.fixture
async def http(origin: Origin) -> AsyncIterator[KeptConnections]:
    made = KeptConnections(f"http://127.0.0.1:{origin.port}/stage", most=2, idle_seconds=60.0, seconds=5.0)
    yield made
    await made.close()


def url(origin: Origin) -> str:
    return f"http://127.0.0.1:{origin.port}/stage/@connections/a%3D"


async def test_a_request_is_what_was_asked_for(origin, http):
    assert (await http.request("POST", url(origin), {"x-a": "1"}, b"{}"))[0] == 200
    assert (await http.request("GET", url(origin), {"x-a": "2"}, b""))[0] == 200
    post, get = origin.asked
    host = f"host: 127.0.0.1:{origin.port}\r\n".encode()
    assert post == b"POST /stage/@connections/a%3D HTTP/1.1\r\n" + host + b"content-length: 2\r\nx-a: 1\r\n\r\n{}"
    assert get == b"GET /stage/@connections/a%3D HTTP/1.1\r\n" + host + b"x-a: 2\r\n\r\n"
    assert origin.connected == 1


@pytest.mark.parametrize(
    ("parts", "said", "kept"),
    [
        (
            (b"HTTP/1.1 410 Gone\r\nx-amzn-ErrorType: GoneException:\r\ncontent-length: 4\r\n\r\n", b"go", b"ne"),
            b"gone",
            True,
        ),
        ((b"HTTP/1.1 410 Go", b"ne\r\nX-AMZN-ERRORTYPE: GoneException:\r\nContent-Length: 0\r", b"\n\r\n"), b"", True),
        (
            (
                b"HTTP/1.1 410 Gone\r\nx-amzn-errortype: GoneException:\r\ntransfer-encoding: chunked\r\n\r\n",
                b"2\r\ngo\r\n2\r\nne",
                b"\r\n0\r\n\r\n",
            ),
            b"gone",
            True,
        ),
        (
            (b"HTTP/1.1 410 Gone\r\nx-amzn-errortype: GoneException:\r\nconnection: close\r\n\r\ngone", b""),
            b"gone",
            False,
        ),
        ((b"HTTP/1.0 410 Gone\r\nx-amzn-errortype: GoneException:\r\ncontent-length: 0\r\n\r\n",), b"", False),
    ],
    ids=["length", "in pieces", "chunked", "until its end", "HTTP/1.0"],
)
async def test_an_answer_is_read_to_its_end_and_its_connection_kept_if_it_may_be(origin, http, parts, said, kept):
    origin.answers = [parts]
    status, headers, body = await http.request("POST", url(origin), {}, b"{}")
    assert (status, headers["x-amzn-errortype"]) == (410, "GoneException:")
    assert body == said
    assert (await http.request("POST", url(origin), {}, b"{}"))[0] == 200
    assert origin.connected == (1 if kept else 2)


@pytest.mark.parametrize(
    "parts",
    [
        None,
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf", b""),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nha", b""),
        (b"what is this\r\n\r\n",),
    ],
    ids=["hangs up", "half a body", "half a chunk", "no HTTP"],
)
async def test_a_malformed_answer_is_an_error_and_the_request_is_sent_once(origin, http, parts):
    origin.answers = [parts]
    with pytest.raises(HTTP_ERRORS) as error:
        await http.request("POST", url(origin), {}, b"{}")
    assert not isinstance(error.value, TimeoutError)
    assert len(origin.asked) == 1
    assert (await http.request("POST", url(origin), {}, b"{}"))[0] == 200
    assert origin.connected == 2


async def test_an_answer_that_does_not_come_is_waited_for_so_long(origin):
    http = KeptConnections(url(origin), most=1, idle_seconds=60.0, seconds=0.05)
    origin.answers = [(b"HTTP/1.1 200 OK\r\n",)] * 1000
    while not origin.asked:  # a busy machine may not get so far in time
        with pytest.raises(TimeoutError):
            await http.request("POST", url(origin), {}, b"{}")
    origin.answers.clear()
    connected = origin.connected
    # The connection of the answer that may still come is not used again.
    assert (await http.request("POST", url(origin), {}, b"{}", seconds=60.0))[0] == 200
    assert origin.connected > connected
    await http.close()


async def test_requests_beyond_the_connections_wait(origin, http):
    answers = await asyncio.gather(*(http.request("POST", url(origin), {}, b"{}") for _ in range(6)))
    assert [answer.status for answer in answers] == [200] * 6
    assert origin.connected == 2


async def test_a_connection_that_was_unused_for_long_is_not_used_again(origin):
    http = KeptConnections(url(origin), most=1, idle_seconds=-1.0, seconds=5.0)
    for _ in range(2):
        assert (await http.request("POST", url(origin), {}, b"{}"))[0] == 200
    assert origin.connected == 2
    await http.close()


async def test_a_repeatable_request_is_sent_again_if_its_kept_connection_has_ended(origin, http):
    origin.answers = [(EMPTY,), None]
    for _ in range(2):
        assert (await http.request("POST", url(origin), {}, b"{}", repeatable=True)).status == 200
    assert (len(origin.asked), origin.connected) == (3, 2)


async def test_a_new_connection_that_hangs_up_is_not_tried_twice(origin, http):
    origin.answers = [None]
    with pytest.raises(HTTP_ERRORS):
        await http.request("POST", url(origin), {}, b"{}", repeatable=True)
    assert len(origin.asked) == 1


async def test_a_request_may_ask_for_a_connection_that_was_used_a_moment_ago(origin, http):
    for _ in range(3):
        assert (await http.request("POST", url(origin), {}, b"{}", idle_seconds=-1.0)).status == 200
    assert origin.connected == 3
    assert len(http._idle) == 1, "each takes the place of the one before"
    assert (await http.request("POST", url(origin), {}, b"{}", idle_seconds=60.0)).status == 200
    assert origin.connected == 3


async def test_an_idle_connection_that_ends_is_forgotten(origin, http):
    origin.answers = [(EMPTY, b"")]
    assert (await http.request("POST", url(origin), {}, b"{}"))[0] == 200
    await eventually(lambda: not http._idle)


async def test_a_connection_under_way_is_not_kept_once_all_are_closed(origin, http):
    origin.answers = [(b"HTTP/1.1 200 OK\r\n", b"content-length: 0\r\n\r\n")]
    asking = asyncio.create_task(http.request("POST", url(origin), {}, b"{}"))
    while not origin.asked:
        await asyncio.sleep(0)
    await http.close()
    assert (await asking).status == 200
    assert not http._idle


async def test_a_header_that_would_end_its_line_is_not_sent(origin, http):
    with pytest.raises(ValueError, match="header"):
        await http.request("POST", url(origin), {"x-a": "1\r\nx-b: 2"}, b"{}")
    assert origin.connected == 0


async def test_a_request_that_is_cancelled_ends_its_connection(origin, http):
    origin.answers = [(b"HTTP/1.1 200 OK\r\n",)]
    asking = asyncio.create_task(http.request("POST", url(origin), {}, b"{}"))
    while not origin.asked:
        await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert (await http.request("POST", url(origin), {}, b"{}"))[0] == 200
    assert origin.connected == 2


async def test_tls_is_checked_against_the_systems_authorities(tmp_path, monkeypatch):
    authority = trustme.CA()
    served = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(served)
    origin = Origin()
    server = await asyncio.start_server(origin.serve, "127.0.0.1", 0, ssl=served)
    address = f"https://localhost:{server.sockets[0].getsockname()[1]}/stage"
    stranger = KeptConnections(address, most=1, idle_seconds=60.0, seconds=5.0)
    with pytest.raises(ssl.SSLCertVerificationError):
        await stranger.request("POST", address, {}, b"{}")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    known = KeptConnections(address, most=1, idle_seconds=60.0, seconds=5.0)
    assert (await known.request("POST", address, {}, b"{}"))[0] == 200
    await known.close()
    server.close()


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("https://a.execute-api.eu-west-1.amazonaws.com/dev", "a.execute-api.eu-west-1.amazonaws.com"),
        ("https://a.example:443/dev", "a.example"),
        ("http://a.example:443/dev", "a.example:443"),
        ("http://[::1]:8080/dev", "[::1]:8080"),
        ("http://[::1]:80", "[::1]"),
    ],
)
def test_a_host_is_named_as_it_is_signed(address, host):
    assert KeptConnections(address, most=1, idle_seconds=1.0, seconds=1.0)._netloc == host
