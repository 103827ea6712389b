"""A worker is ready once its agent is built and both stores have answered, and not before."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from typing import Any

import aiohttp
import boto3
import pytest
from botocore.exceptions import ClientError

from segue import StorageRefused, StorageUnavailable
from segue.storage.aws import DynamoGuard, S3Objects
from tests.support.mocked_aws import provision
from tests.support.waiting import eventually, promptly
from worker.app import Service
from worker.hosting import readiness
from worker.hosting.readiness import reach_storage
from worker.settings import Environment

BUCKET, TABLE = "ready-bucket", "ready-locks"
STORES = [(S3Objects, "get"), (DynamoGuard, "read")]


@pytest.fixture
def stores(aws, monkeypatch):
    monkeypatch.setattr(readiness, "FIRST_PAUSE_SECONDS", 0.01)
    provision(BUCKET, TABLE)


class Silent:
    """A store whose requests fail or hang until it answers again."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, store: tuple[type, str], *, hangs: bool = False) -> None:
        self.asked, self.answers, self.hangs = 0, False, hangs
        self._answer = getattr(*store)
        # A function gets the store as its first argument; a bound method would not.
        monkeypatch.setattr(*store, lambda *args, **options: self.request(*args, **options))  # noqa: PLW0108

    async def request(self, *args: Any, **options: Any) -> Any:
        self.asked += 1
        if self.answers:
            return await self._answer(*args, **options)
        if self.hangs:
            await asyncio.Event().wait()
        raise StorageUnavailable("no answer")


@pytest.mark.slow
async def test_both_stores_are_asked_and_nothing_is_left_in_them(stores):
    assert await reach_storage(BUCKET, TABLE, "w1", asyncio.Event())

    assert "Contents" not in boto3.client("s3").list_objects_v2(Bucket=BUCKET)
    assert boto3.client("dynamodb").scan(TableName=TABLE)["Count"] == 0


@pytest.mark.parametrize(("bucket", "table"), [("another-bucket", TABLE), (BUCKET, "another-table")])
async def test_a_missing_bucket_or_table_is_not_waited_for(stores, bucket, table):
    with pytest.raises(StorageRefused, match="another-"):
        await reach_storage(bucket, table, "w1", asyncio.Event())


@pytest.mark.slow
@pytest.mark.parametrize(("code", "status"), [("AccessDenied", 403), ("KMS.DisabledException", 400)])
async def test_a_bucket_that_refuses_is_not_waited_for(stores, monkeypatch, code, status):
    """A missing key is "access denied" to those who may not list, and a worker that may not cannot restore."""

    def refuses(client: Any, operation: str, arguments: Any) -> Any:
        if operation == "GetObject":
            assert arguments["Key"].startswith("sessions/"), "a right to more is not given"
            answer = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
            raise ClientError(answer, operation)
        return unbroken(client, operation, arguments)

    from botocore.client import BaseClient

    unbroken = BaseClient._make_api_call
    monkeypatch.setattr(BaseClient, "_make_api_call", refuses)
    with pytest.raises(StorageRefused, match=f"{BUCKET}.*{code}"):
        await reach_storage(BUCKET, TABLE, "w1", asyncio.Event())


@pytest.mark.parametrize("hangs", [False, True], ids=["fails", "hangs"])
@pytest.mark.parametrize("store", STORES, ids=["bucket", "table"])
async def test_a_stop_ends_the_wait_for_the_stores(stores, monkeypatch, store, hangs):
    silent, stop = Silent(monkeypatch, store, hangs=hangs), asyncio.Event()
    asking = asyncio.create_task(reach_storage(BUCKET, TABLE, "w1", stop))
    await eventually(lambda: silent.asked > (0 if hangs else 2))
    stop.set()
    assert await promptly(asking, 5) is False


@pytest.fixture
def variables(stores, monkeypatch, unused_port):
    monkeypatch.setenv("SEGUE_PROVIDER", "offline")
    boto3.client("dynamodb").create_table(
        TableName="connections",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
        BillingMode="PAY_PER_REQUEST",
    )
    return {
        "SEGUE_STAGE": "test",
        "SEGUE_LOCK_TABLE": TABLE,
        "SEGUE_CONNECTIONS_TABLE": "connections",
        "SEGUE_CLAIMS_QUEUE_URL": boto3.client("sqs").create_queue(QueueName="claims")["QueueUrl"],
        "SEGUE_BUCKET": BUCKET,
        "SEGUE_MANAGEMENT_ENDPOINT": "http://127.0.0.1:9/stage",
        "SEGUE_WORKER_ID": "w1",
        "SEGUE_WORKER_PORT": str(unused_port),
    }


async def health(variables: dict[str, str]) -> int | None:
    with contextlib.suppress(aiohttp.ClientError):
        async with (
            aiohttp.ClientSession() as http,
            http.get(f"http://127.0.0.1:{variables['SEGUE_WORKER_PORT']}/health") as answer,
        ):
            return answer.status
    return None


def registered() -> bool:
    return boto3.client("dynamodb").scan(TableName="connections")["Count"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("store", STORES, ids=["bucket", "table"])
async def test_a_worker_is_ready_once_both_stores_answer(variables, monkeypatch, store):
    silent = Silent(monkeypatch, store)
    running = asyncio.create_task(Service(Environment.read(variables)).run())
    await eventually(lambda: running.done() or silent.asked > 2)
    assert not running.done(), running.exception()
    assert (await health(variables), registered()) == (503, False)

    silent.answers = True
    await eventually(lambda: running.done() or registered())
    assert await health(variables) == 200

    os.kill(os.getpid(), signal.SIGTERM)
    await promptly(running, 20)


@pytest.mark.slow
async def test_a_worker_that_never_was_ready_ends_when_told_to(variables, monkeypatch):
    silent = Silent(monkeypatch, STORES[0])
    running = asyncio.create_task(Service(Environment.read(variables)).run())
    await eventually(lambda: running.done() or silent.asked > 0)
    os.kill(os.getpid(), signal.SIGTERM)
    await promptly(running, 20)
    assert not registered()


async def test_a_worker_whose_bucket_is_refused_ends(variables):
    service = Service(Environment.read({**variables, "SEGUE_BUCKET": "another-bucket"}))
    with pytest.raises(StorageRefused, match="another-bucket"):
        await promptly(service.run(), 20)
    assert not registered()
