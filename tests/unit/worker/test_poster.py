"""Posting to API Gateway connections, against a real server on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import boto3
import pytest
from aiohttp import web
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials, ReadOnlyCredentials
from botocore.exceptions import CredentialRetrievalError

from shared.log import logger
from shared.management import FORBIDDEN
from tests.support.waiting import eventually
from worker.aws.poster import Poster, PostOutcome
from worker.aws.signing import REFRESH_SECONDS, RETRY_SECONDS, CredentialsMissing, Signer

CONNECTION = "L0SM9cOFvHcCIhw="
"""A connection id as API Gateway makes them: base64 with its padding."""


class Management:
    """The management API: keeps requests, answers as told."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.statuses: list[int] = []
        self.slow = asyncio.Event()
        self.slow.set()
        self.endpoint = ""

    async def take(self, request: web.Request) -> web.Response:
        self.requests.append(
            {
                "method": request.method,
                "path": request.raw_path,
                "host": request.headers["host"],
                "headers": {name.lower(): value for name, value in request.headers.items()},
                "body": await request.read(),
            }
        )
        await self.slow.wait()
        return web.Response(status=self.statuses.pop(0) if self.statuses else 200)


@pytest.fixture
async def management() -> AsyncIterator[Management]:
    made = Management()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", made.take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.endpoint = f"http://127.0.0.1:{runner.addresses[0][1]}/stage"
    yield made
    made.slow.set()
    await runner.cleanup()


def signer(**changes: Any) -> Signer:
    return Signer(Credentials("AKID", "secret", "session token"), "execute-api", "eu-central-1", **changes)


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (200, PostOutcome.DELIVERED),
        (410, PostOutcome.GONE),
        (429, PostOutcome.LIMITED),
        (413, PostOutcome.REFUSED),
        (400, PostOutcome.REFUSED),
        (403, PostOutcome.UNKNOWN),
        (500, PostOutcome.UNKNOWN),
        (503, PostOutcome.UNKNOWN),
    ],
)
async def test_each_status_of_the_management_api_has_its_outcome(management, status, outcome):
    management.statuses.append(status)
    async with Poster(management.endpoint, signer()) as poster:
        assert await poster.post(CONNECTION, b'{"type":"pong"}') is outcome
    assert management.requests[0]["body"] == b'{"type":"pong"}'


async def test_a_forbidden_way_is_a_configuration_error_that_is_said_once_a_minute(management, monkeypatch):
    management.statuses = [403, 403, 403]
    said = []
    monkeypatch.setattr(logger, "error", lambda text, **_: said.append(text))
    async with Poster(management.endpoint, signer()) as poster:
        await poster.post(CONNECTION, b"{}")
        await poster.post(CONNECTION, b"{}")
        assert said == [FORBIDDEN]
        assert "private APIs only" in FORBIDDEN
        poster._forbidden_until = 0.0  # a minute is over
        await poster.post(CONNECTION, b"{}")
    assert said == [FORBIDDEN, FORBIDDEN]


async def test_no_answer_is_an_unknown_outcome(management):
    management.slow.clear()
    async with Poster(management.endpoint, signer(), timeout=0.05) as poster:
        assert await poster.post(CONNECTION, b"{}") is PostOutcome.UNKNOWN


async def test_a_refused_connection_is_an_unknown_outcome(unused_port):
    async with Poster(f"http://127.0.0.1:{unused_port}/stage", signer()) as poster:
        assert await poster.post(CONNECTION, b"{}") is PostOutcome.UNKNOWN


async def test_poster_asks_for_a_connection_and_disconnects_it(management):
    management.statuses = [200, 410, 204]
    async with Poster(management.endpoint, signer()) as poster:
        assert await poster.is_connected(CONNECTION) is PostOutcome.DELIVERED
        assert await poster.is_connected(CONNECTION) is PostOutcome.GONE
        assert await poster.disconnect(CONNECTION) is PostOutcome.DELIVERED
    assert [request["method"] for request in management.requests] == ["GET", "GET", "DELETE"]


async def test_requests_are_what_boto3_would_send_and_the_signature_covers_what_is_on_the_wire(management):
    async with Poster(management.endpoint, signer()) as poster:
        await poster.post(CONNECTION, b'{"type":"pong"}')
    client = boto3.client(
        "apigatewaymanagementapi",
        endpoint_url=management.endpoint,
        region_name="eu-central-1",
        config=Config(retries={"total_max_attempts": 1}),
    )
    await asyncio.to_thread(client.post_to_connection, ConnectionId=CONNECTION, Data=b'{"type":"pong"}')
    ours, theirs = management.requests
    assert (ours["method"], ours["path"], ours["body"]) == (theirs["method"], theirs["path"], theirs["body"])
    assert ours["headers"]["x-amz-security-token"] == "session token"
    assert ours["headers"]["authorization"] == authorization(ours)


def authorization(request: dict[str, Any]) -> str:
    """Sign a request as it arrived, as the server does to check it."""
    signed = request["headers"]["authorization"].split("SignedHeaders=")[1].split(",")[0].split(";")
    again = AWSRequest(
        method=request["method"],
        url=f"http://{request['host']}{request['path']}",
        data=request["body"],
        headers={name: request["headers"][name] for name in signed if name != "host"},
    )
    again.context["timestamp"] = request["headers"]["x-amz-date"]
    auth = SigV4Auth(ReadOnlyCredentials("AKID", "secret", "session token"), "execute-api", "eu-central-1")
    signature = auth.signature(auth.string_to_sign(again, auth.canonical_request(again)), again)
    scope = auth.scope(again)
    return f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders={';'.join(signed)}, Signature={signature}"


async def test_credentials_are_asked_for_off_the_loop_and_again_after_a_while():
    class Source:
        asked = 0

        def get_frozen_credentials(self) -> ReadOnlyCredentials:
            with pytest.raises(RuntimeError):
                asyncio.get_running_loop()
            self.asked += 1
            return ReadOnlyCredentials(f"AKID{self.asked}", "secret", None)

    source, now = Source(), [0.0]
    made = Signer(source, "execute-api", "eu-central-1", clock=lambda: now[0])
    first = await asyncio.gather(*(made.headers("POST", "http://localhost/x", b"{}") for _ in range(20)))
    assert source.asked == 1
    assert all("AKID1/" in headers["Authorization"] for headers in first)
    now[0] = REFRESH_SECONDS + 0.1
    assert "AKID2/" in (await made.headers("POST", "http://localhost/x"))["Authorization"]


class Role:
    """Credentials whose renewal a test can let fail."""

    def __init__(self) -> None:
        self.asked = 0
        self.failure: Exception | None = None

    def get_frozen_credentials(self) -> ReadOnlyCredentials:
        self.asked += 1
        if self.failure is not None:
            raise self.failure
        return ReadOnlyCredentials(f"AKID{self.asked}", "secret", None)


@pytest.mark.parametrize(
    "failure",
    [
        CredentialRetrievalError(provider="container-role", error_msg="timed out"),
        RuntimeError("the refreshed credentials are still expired"),
    ],
    ids=lambda failure: type(failure).__name__,
)
async def test_credentials_that_cannot_be_renewed_now_are_used_on_and_asked_for_again_soon(failure):
    source, now = Role(), [0.0]
    made = Signer(source, "execute-api", "eu-central-1", clock=lambda: now[0])

    async def used() -> str:
        return (await made.headers("POST", "http://localhost/x"))["Authorization"].split("=")[1].split("/")[0]

    assert await used() == "AKID1"
    source.failure = failure
    now[0] = REFRESH_SECONDS
    assert [await used(), await used()] == ["AKID1", "AKID1"]
    assert source.asked == 2, "not with every request"
    source.failure = None
    now[0] += RETRY_SECONDS
    assert await used() == "AKID3"


async def test_without_any_credentials_yet_the_outcome_is_unknown(management):
    source = Role()
    source.failure = CredentialRetrievalError(provider="container-role", error_msg="timed out")
    async with Poster(management.endpoint, Signer(source, "execute-api", "eu-central-1")) as poster:
        assert await poster.post(CONNECTION, b"{}") is PostOutcome.UNKNOWN
        assert management.requests == []
        source.failure = None
        assert await poster.post(CONNECTION, b"{}") is PostOutcome.DELIVERED


def test_missing_credentials_are_named():
    with pytest.raises(CredentialsMissing, match="AWS_ACCESS_KEY_ID"):
        Signer(None, "execute-api", "eu-central-1")


async def test_connections_are_posted_to_side_by_side(management):
    management.slow.clear()
    async with Poster(management.endpoint, signer()) as poster:
        posts = [asyncio.create_task(poster.post(f"k{number}", b"{}")) for number in range(40)]
        await eventually(lambda: len(management.requests) == 40)
        management.slow.set()
        assert set(await asyncio.gather(*posts)) == {PostOutcome.DELIVERED}
