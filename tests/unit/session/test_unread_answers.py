"""Answers that storage did not give like this: truncated, damaged, or a proxy's. Their outcome is not known."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ClientError
from strands import Agent

from segue import StorageRefused, StorageUnavailable
from segue.session.runtime import Runtime
from segue.storage.interface import Clause, ConditionalWrite, ConditionFailed, ObjectMissing, PreconditionFailed
from segue.storage.stores import Stores
from segue.strands.s3 import open_stores
from tests.support.fake_model import FakeModel

WRITE = ConditionalWrite("a/b", (Clause("acquire_id", "=", "x"),), {"head": 1}, ("holder",), {"beat": 1})
LOST = b'{"__type":"com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException","Item":{"holder":{"S":"winner"}}}'
DENIED = b'{"__type":"com.amazon.coral.service#AccessDeniedException","Message":"no"}'
PAGE = b"<html><head><title>Sign in</title></head><body>The hotel's network</body></html>"
OLD_PAGE = b"<!DOCTYPE html><html><body><p>Blocked<br>by policy</body></html>"
MISSING = b"<Error><Code>NoSuchKey</Code><Message>no such key</Message></Error>"
EXISTS = b"<Error><Code>PreconditionFailed</Code><Message>it exists</Message></Error>"


class Answering:
    """Answers each request with what a test says, before it is sent."""

    def __init__(self, clients: list[Any]) -> None:
        self.asked = 0
        self._answer: tuple[int, bytes, dict[str, str]] = (200, b"", {})
        for client in clients:
            client.meta.events.register_first("before-send", self._send)

    def say(self, status: int, body: bytes, **headers: str) -> None:
        self._answer = status, body, {name.replace("_", "-"): value for name, value in headers.items()}

    def _send(self, request: Any, **_: Any) -> AWSResponse:
        self.asked += 1
        status, body, headers = self._answer
        return AWSResponse(request.url, status, headers, _Raw(body))


class _Raw:
    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self, *_: Any, **__: Any) -> Iterator[bytes]:
        yield self._body

    def read(self, *_: Any, **__: Any) -> bytes:
        body, self._body = self._body, b""
        return body


@pytest.fixture
async def there() -> tuple[Stores, Answering]:
    stores = await Runtime.shared().run(
        open_stores(
            Runtime.shared(),
            bucket="voices",
            lock_table="locks",
            region_name="us-east-1",
            endpoint_url="http://127.0.0.1:9",
            boto_session=boto3.Session(aws_access_key_id="k", aws_secret_access_key="s"),
        )
    )
    return stores, Answering([stores.guard._client, stores.objects._client])  # type: ignore[attr-defined]


def cut(body: bytes) -> list[bytes]:
    return [body[:end] for end in range(1, len(body), 7)]


@pytest.mark.slow
@pytest.mark.parametrize("status", [400, 412, 404, 403, 409, 302, 307, 407])
async def test_a_write_whose_refusal_has_no_code_may_have_been_accepted(
    there: tuple[Stores, Answering], status: int
) -> None:
    stores, answering = there
    for body in (b"", *cut(LOST), PAGE, OLD_PAGE, b"[]", b"null", b"\xff\xfe"):
        answering.say(status, body)
        with pytest.raises(StorageUnavailable, match=r"locks: .*a/b"):
            await stores.guard.write(WRITE)


async def test_a_whole_refusal_is_what_it_says(there: tuple[Stores, Answering]) -> None:
    stores, answering = there
    answering.say(400, LOST)
    with pytest.raises(ConditionFailed) as lost:
        await stores.guard.write(WRITE)
    assert lost.value.item == {"holder": "winner"}
    answering.say(400, DENIED)
    with pytest.raises(StorageRefused, match="AccessDenied"):
        await stores.guard.write(WRITE)


async def test_no_page_and_no_half_of_an_item_passes_for_no_item(there: tuple[Stores, Answering]) -> None:
    stores, answering = there
    for body in (b"", PAGE, OLD_PAGE, b"[]", *cut(b'{"Item":{"holder":{"S":"winner"}}}')):
        answering.say(200, body)
        with pytest.raises(StorageUnavailable, match=r"locks: a/b: GetItem"):
            await stores.guard.read("a/b")
        with pytest.raises(StorageUnavailable, match=r"locks: a/b: UpdateItem"):
            await stores.guard.write(WRITE)
        with pytest.raises(StorageUnavailable, match="Scan"):
            await stores.guard.keys("a/")


async def test_an_accepted_write_without_its_item_is_sent_again(there: tuple[Stores, Answering]) -> None:
    stores, answering = there
    answering.say(200, b"{}")
    with pytest.raises(StorageUnavailable, match="a/b"):
        await stores.guard.write(WRITE)
    assert await stores.guard.read("a/b") is None, "which is how DynamoDB says that there is no item"


async def test_a_damaged_item_is_not_read(there: tuple[Stores, Answering]) -> None:
    stores, answering = there
    body = b'{"Item":{"holder":{"S":"winner"}}}'
    answering.say(200, body, x_amz_crc32=str(zlib.crc32(body)))
    assert await stores.guard.read("a/b") == {"holder": "winner"}
    answering.say(200, body.replace(b"winner", b"sinner"), x_amz_crc32=str(zlib.crc32(body)))
    with pytest.raises(StorageUnavailable, match="damaged"):
        await stores.guard.read("a/b")


@pytest.mark.slow
@pytest.mark.parametrize("status", [301, 302, 400, 403, 404, 407, 412])
async def test_an_incomplete_answer_of_s3_is_storage_unavailable(there: tuple[Stores, Answering], status: int) -> None:
    stores, answering = there
    for body in (b"", PAGE, OLD_PAGE, *cut(MISSING), *cut(EXISTS)):
        answering.say(status, body)
        with pytest.raises(StorageUnavailable, match="voices: "):
            await stores.objects.get("k")
        with pytest.raises(StorageUnavailable, match="voices: "):
            await stores.objects.put("k", b"x", if_absent=True)
        with pytest.raises(StorageUnavailable, match="voices: "):
            await stores.objects.list("k")
        with pytest.raises(StorageUnavailable, match="voices: "):
            await stores.objects.delete(["k"])


@pytest.mark.slow
@pytest.mark.parametrize("status", [301, 302, 307])
@pytest.mark.parametrize("body", [b"", PAGE, MISSING[:20]])
async def test_a_redirection_that_names_no_region_is_followed_nowhere(
    there: tuple[Stores, Answering], status: int, body: bytes
) -> None:
    """botocore asks for the bucket's region, is redirected again, and asks again, until there is no stack left."""
    stores, answering = there
    answering.say(status, body, location="https://hotel.example/sign-in")
    with pytest.raises(StorageUnavailable, match=f"redirected.*{status}"):
        await stores.objects.get("k")
    assert answering.asked == 1


async def test_a_redirection_of_s3_without_a_region_asks_for_it_once(there: tuple[Stores, Answering]) -> None:
    stores, answering = there
    answering.say(301, b"<Error><Code>PermanentRedirect</Code><Message>elsewhere</Message></Error>")
    with pytest.raises(StorageUnavailable):
        await stores.objects.get("k")
    assert answering.asked <= 2


async def test_a_redirection_to_the_buckets_region_is_followed(there: tuple[Stores, Answering]) -> None:
    stores, answering = there
    answering.say(301, b"<Error><Code>PermanentRedirect</Code></Error>", x_amz_bucket_region="eu-west-1")
    with pytest.raises(StorageRefused, match="PermanentRedirect"):
        await stores.objects.get("k")
    assert answering.asked == 2, "the second time at the region that S3 named"


async def test_a_complete_error_answer_of_s3_decides(there: tuple[Stores, Answering]) -> None:
    stores, answering = there
    answering.say(404, MISSING)
    with pytest.raises(ObjectMissing):
        await stores.objects.get("k")
    answering.say(412, EXISTS)
    with pytest.raises(PreconditionFailed):
        await stores.objects.put("k", b"x", if_absent=True)


@pytest.mark.slow
@pytest.mark.parametrize("body", [b"", PAGE, OLD_PAGE, b"<ListBucketResult><Contents><Key>k</Ke"])
async def test_no_page_passes_for_an_object_that_was_stored_deleted_or_is_not_there(
    there: tuple[Stores, Answering], body: bytes
) -> None:
    stores, answering = there
    answering.say(200, body)
    with pytest.raises(StorageUnavailable, match="voices"):
        await stores.objects.put("k", b"x")
    with pytest.raises(StorageUnavailable, match="voices"):
        await stores.objects.get("k")
    with pytest.raises(StorageUnavailable, match="voices"):
        await stores.objects.list("k")
    with pytest.raises(StorageUnavailable, match="voices"):
        await stores.objects.delete(["k"])


CREDENTIALS = [
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "InvalidToken",
    "MissingAuthenticationTokenException",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
]


@pytest.mark.slow
@pytest.mark.parametrize("code", CREDENTIALS)
async def test_credentials_that_are_not_accepted_say_credentials(there: tuple[Stores, Answering], code: str) -> None:
    stores, answering = there
    answering.say(400, b'{"__type":"x#%s","Message":"why"}' % code.encode())
    with pytest.raises(StorageRefused, match=rf"locks: .*{code}.*; [a-z ]*AWS credentials.*, then retry$"):
        await stores.guard.write(WRITE)
    answering.say(403, b"<Error><Code>%s</Code><Message>why</Message></Error>" % code.encode())
    with pytest.raises(StorageRefused, match=rf"voices: .*{code}.*; [a-z ]*AWS credentials.*, then retry$") as refused:
        await stores.objects.get("k")
    assert "permissions" not in str(refused.value)


@pytest.mark.parametrize(
    ("code", "expected"),
    [("AccessDenied", StorageRefused), ("ExpiredToken", StorageRefused), ("Throttling", StorageUnavailable)],
)
async def test_a_role_that_may_not_be_assumed_says_credentials(
    there: tuple[Stores, Answering], code: str, expected: type[Exception]
) -> None:
    """botocore assumes it in the middle of a request, and raises what that came to."""
    stores, _ = there

    def assume(**_: Any) -> None:
        raise ClientError(
            {"Error": {"Code": code, "Message": "why"}, "ResponseMetadata": {"HTTPStatusCode": 403}}, "AssumeRole"
        )  # type: ignore[typeddict-item]  # what there is of it

    client: Any = stores.guard._client  # type: ignore[attr-defined]  # a test looks inside
    client.meta.events.register_first("before-sign", assume)
    with pytest.raises(expected, match=rf"AssumeRole .*{code}") as failed:
        await stores.guard.write(WRITE)
    assert ("AWS credentials" in str(failed.value)) is (expected is StorageRefused)


async def test_credentials_that_were_renewed_and_have_run_out_too_say_credentials(
    there: tuple[Stores, Answering],
) -> None:
    stores, _ = there

    def refresh(**_: Any) -> None:
        raise RuntimeError("Credentials were refreshed, but the refreshed credentials are still expired.")

    client: Any = stores.guard._client  # type: ignore[attr-defined]  # a test looks inside
    client.meta.events.register_first("before-sign", refresh)
    with pytest.raises(StorageRefused, match="renew or replace the AWS credentials"):
        await stores.guard.read("a/b")


@pytest.mark.slow
@pytest.mark.parametrize("accepted", [True, False])
async def test_a_commit_whose_refusal_is_truncated_is_sent_again_as_it_was(s3_sessions: Any, accepted: bool) -> None:
    """It may have been accepted, its answer lost, and botocore's own repeat of it refused for that."""
    manager = s3_sessions()
    await manager.open()
    agent = Agent(model=FakeModel(), session_manager=manager, callback_handler=None)
    other = boto3.client("dynamodb")
    sent: list[bytes] = []

    def truncate(request: Any, **_: Any) -> AWSResponse | None:
        if b"#commit_id" not in request.body:
            return None
        sent.append(request.body)
        if len(sent) > 1:
            return None
        if accepted:
            other.update_item(**json.loads(request.body))
        return AWSResponse(request.url, 400, {}, _Raw(LOST[:60]))

    events = manager._session._stores.guard._client.meta.events
    events.register_first("before-send.dynamodb.UpdateItem", truncate)
    try:
        await agent.invoke_async("Hi")
    finally:
        events.unregister("before-send.dynamodb.UpdateItem", truncate)

    assert sent[0] == sent[1], "the identical write"
    assert manager.head == manager.position
    await manager.close()
    again = s3_sessions()
    await again.open()
    assert Agent(model=FakeModel(), session_manager=again, callback_handler=None).messages == agent.messages
