"""Credentials that have ended: the worker's own calls say so in their log lines, and none of its parts ends for it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import web
from botocore.exceptions import ClientError, UnauthorizedSSOTokenError

from segue.storage.answers import reason_of
from segue.wire.claims import encode_claim
from tests.support.log_lines import all_lines
from tests.support.waiting import eventually
from tests.unit.worker.stand_ins import FakeQueue, claim
from tests.unit.worker.test_claims import FakeHost
from tests.unit.worker.test_poster import CONNECTION, signer
from turn.post import ManagementApi
from turn.post import MessageOutcome as Posted
from worker.aws.poster import Poster, PostOutcome
from worker.hosting.claims import ClaimTaker
from worker.hosting.registry import Registry


def refused(code: str, operation: str = "ReceiveMessage") -> ClientError:
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": 403}}, operation)  # type: ignore[typeddict-item]  # what there is of it


ENDED = [
    refused("ExpiredToken"),
    refused("UnrecognizedClientException", "PutItem"),
    refused("AccessDenied", "AssumeRoleWithWebIdentity"),
    UnauthorizedSSOTokenError(),
    RuntimeError("Credentials were refreshed, but the refreshed credentials are still expired."),
]


@pytest.mark.slow
@pytest.mark.parametrize("error", ENDED, ids=repr)
async def test_claims_are_taken_again_once_there_are_credentials(error):
    queue, host = FakeQueue(), FakeHost()
    queue.failures = [error]
    queue.add(encode_claim(claim()))
    taker = ClaimTaker(queue, host, pause_seconds=0.01)
    with all_lines() as lines:
        taker.start()
        await eventually(lambda: host.taken)
    taker.stop()
    await taker.stopped()
    assert "renew or replace the AWS credentials" in lines.getvalue()


@pytest.mark.parametrize("error", ENDED, ids=repr)
async def test_a_note_in_the_registry_that_cannot_be_made_says_why(error):
    class Client:
        def put_item(self, **_: Any) -> Any:
            raise error

    registry = Registry(Client(), "connections", "w1", "1")
    with all_lines() as lines:
        await registry.holds("default/talk")
    assert "renew or replace the AWS credentials" in lines.getvalue()


async def test_a_post_that_is_refused_for_its_credentials_says_so(unused_port):
    async def refuse(_: web.Request) -> web.Response:
        return web.Response(status=403, headers={"x-amzn-ErrorType": "ExpiredTokenException:http://internal"})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", refuse)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", unused_port).start()
    with all_lines() as lines:
        async with Poster(f"http://127.0.0.1:{unused_port}/stage", signer()) as poster:
            assert await poster.post(CONNECTION, b"{}") is PostOutcome.UNKNOWN
    await runner.cleanup()
    assert "ExpiredTokenException: renew or replace the AWS credentials" in lines.getvalue()


@pytest.mark.parametrize("error", ENDED, ids=repr)
async def test_a_turn_that_cannot_post_for_its_credentials_says_so(error):
    class Client:
        def post_to_connection(self, **_: Any) -> Any:
            raise error

    with all_lines() as lines:
        outcome = await asyncio.to_thread(ManagementApi(Client()), "c-1", b"{}")
    assert outcome is Posted.FAILED
    assert "renew or replace the AWS credentials" in lines.getvalue()


def test_reason_of_other_errors_is_only_their_code():
    assert reason_of(refused("AccessDenied")) == "AccessDenied"
    assert reason_of(refused("403")) == "ClientError"
    assert reason_of(TimeoutError()) == "TimeoutError"
    assert reason_of(refused("SignatureDoesNotMatch")).endswith("check the AWS credentials and this machine's clock")
