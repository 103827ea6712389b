"""Sessions on stores that refuse, throttle, encrypt, or lie under a prefix."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from strands import Agent

import segue.journal.blocks
from segue import StorageRefused
from tests.support.fake_model import FakeModel
from tests.support.stage import Stage

Sessions = Callable[..., Any]


@pytest.mark.slow
async def test_a_missing_bucket_is_refused_by_name_and_costs_no_lease(s3_sessions: Sessions, stage: Stage) -> None:
    manager = s3_sessions(bucket="no-such-bucket")
    await manager.open()
    agent = Agent(model=FakeModel(), session_manager=manager, callback_handler=None)
    with pytest.raises(StorageRefused, match="NoSuchBucket") as refused:
        await agent.invoke_async("Hi")
    assert refused.value.resource == "no-such-bucket"
    with pytest.raises(StorageRefused):
        await manager.close()

    await s3_sessions().open()


@pytest.mark.slow
async def test_a_missing_table_is_refused_by_name(s3_sessions: Sessions) -> None:
    with pytest.raises(StorageRefused, match="ResourceNotFound") as refused:
        await s3_sessions(lock_table="no-such-table").open()

    assert refused.value.resource == "no-such-table"


@pytest.mark.slow
async def test_a_refusal_that_was_cured_costs_nothing(s3_sessions: Sessions) -> None:
    manager = s3_sessions(bucket="late-bucket")
    await manager.open()
    agent = Agent(model=FakeModel(), session_manager=manager, callback_handler=None)
    with pytest.raises(StorageRefused):
        await agent.invoke_async("Hi")
    boto3.client("s3").create_bucket(Bucket="late-bucket")
    await manager.close()

    again = s3_sessions(bucket="late-bucket")
    await again.open()
    assert Agent(model=FakeModel(), session_manager=again, callback_handler=None).messages == agent.messages


@pytest.mark.slow
async def test_a_client_that_cannot_be_made_is_refused(s3_sessions: Sessions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    with pytest.raises(StorageRefused, match="region"):
        await s3_sessions(boto_session=boto3.Session()).open()
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with pytest.raises(StorageRefused, match="not-a-url"):
        await s3_sessions(endpoint_url="not-a-url").open()


@pytest.mark.slow
async def test_throttling_is_waited_out(s3_sessions: Sessions) -> None:
    manager = s3_sessions()
    await manager.open()
    agent = Agent(model=FakeModel(), session_manager=manager, callback_handler=None)
    answers = iter([(503, b"<Error><Code>SlowDown</Code></Error>")] * 4)

    def throttle(request: Any, **arguments: Any) -> Any:
        from botocore.awsrequest import AWSResponse

        for status, body in answers:
            return AWSResponse(request.url, status, {}, _Raw(body))
        return None

    events = manager._session._stores.objects._client.meta.events
    events.register_first("before-send.s3.PutObject", throttle)
    try:
        await agent.invoke_async("Hi")
    finally:
        events.unregister("before-send.s3.PutObject", throttle)

    assert next(answers, None) is None
    assert manager.head == manager.position


class _Raw:
    def __init__(self, body: bytes) -> None:
        self.body = body

    def stream(self, *arguments: Any, **options: Any) -> Iterator[bytes]:
        yield self.body

    def read(self, *arguments: Any) -> bytes:
        return self.body


@pytest.mark.slow
async def test_every_object_is_encrypted_with_the_key_that_was_named(
    s3_sessions: Sessions, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segue.journal.blocks, "PAGE_RECORDS", 4)
    monkeypatch.setattr(segue.journal.blocks, "VOLUME_PAGES", 2)
    key = boto3.client("kms").create_key()["KeyMetadata"]["Arn"]
    manager = s3_sessions(kms_key_id=key)
    await manager.open()
    agent = Agent(model=FakeModel(), session_manager=manager, callback_handler=None)
    s3 = boto3.client("s3")

    def stored() -> list[str]:
        return [found["Key"] for found in s3.list_objects_v2(Bucket=stage.bucket)["Contents"]]

    for number in range(40):
        await agent.invoke_async(f"Question {number}")
        if {path.split("/")[-2] for path in stored()} == {"segments", "pages", "volumes"}:
            break
    await manager.redact(agent.messages[0]["tracking_id"])  # which writes pages and volumes anew
    await manager.close()

    assert {path.split("/")[-2] for path in stored()} == {"segments", "pages", "volumes"}
    for path in stored():
        found = s3.head_object(Bucket=stage.bucket, Key=path)
        assert (found["ServerSideEncryption"], found["SSEKMSKeyId"]) == ("aws:kms", key), path


@pytest.mark.slow
@pytest.mark.parametrize("prefix", ["", "voices", "/voices/", "a/b"])
async def test_objects_lie_under_the_prefix(s3_sessions: Sessions, stage: Stage, prefix: str) -> None:
    manager = s3_sessions(prefix=prefix, principal="alice")
    await manager.open()
    await Agent(model=FakeModel(), session_manager=manager, callback_handler=None).invoke_async("Hi")
    await manager.close()
    keys = [found["Key"] for found in boto3.client("s3").list_objects_v2(Bucket=stage.bucket)["Contents"]]

    start = f"{prefix.strip('/')}/" if prefix else ""
    assert keys
    assert all(key.startswith(f"{start}sessions/alice/talk/") for key in keys)
