"""The janitor's functions as they are shipped, called by a real stream and real queues.

A TTL removal is a ``delete_item`` here: on AWS both leave the same record, but the emulator's own TTL leaves none.
"""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from aws_cdk import App, AssetStaging, IgnoreMode
from aws_cdk import Stack as CdkStack
from strands.bidi import BidiAgent

from infra.config import from_context
from infra.constants import FUNCTIONS, SESSION_LAYER
from infra.constructs.functions import MEMORY_MB, function_excludes
from infra.constructs.janitor import ENDED_FILTERS
from infra.constructs.layers import DEPENDENCIES_EXCLUDES, SESSION_EXCLUDES
from infra.dependencies import build
from janitor import second_sweep, weekly
from janitor.sweeper import Incarnation
from segue import GuardedS3SessionManager
from segue.lease.item import GuardItem
from tests.support.scripted_model import ScriptedModel
from tests.support.stage import Stage
from tests.support.waiting import eventually, eventually_sync

pytestmark = [pytest.mark.emulator, pytest.mark.timeout(180)]

UNKNOWN = "20200101T000000Z-" + "0" * 32
SECONDS = 60.0
"""Time limit: a function's cold start on a busy machine, and the emulator's polling."""


@dataclass(frozen=True)
class Janitor:
    """Functions, queues and mappings over a bucket and a table."""

    stage: Stage
    s3: Any
    dynamodb: Any
    lambda_: Any
    sqs: Any
    sweeps: str
    weekly: str
    mapping: str

    def objects(self, part: str = "sessions/") -> list[str]:
        found = self.s3.list_objects_v2(Bucket=self.stage.bucket).get("Contents", [])
        return [each["Key"] for each in found if part in each["Key"]]

    def item(self, session_id: str) -> GuardItem | None:
        answer = self.dynamodb.get_item(
            TableName=self.stage.lock_table, Key={"session_key": {"S": f"default/{session_id}"}}, ConsistentRead=True
        )
        return GuardItem.from_attributes(answer["Item"]) if "Item" in answer else None

    def put(self, key: str) -> None:
        self.s3.put_object(Bucket=self.stage.bucket, Key=f"sessions/{key}", Body=b"{}")

    def waiting(self) -> int:
        """Return the number of incarnations that wait for their second sweep."""
        names = ["ApproximateNumberOfMessagesDelayed"]
        return int(self.sqs.get_queue_attributes(QueueUrl=self.sweeps, AttributeNames=names)["Attributes"][names[0]])

    def processed(self) -> str:
        """Return the last result of the stream's mapping."""
        return str(self.lambda_.get_event_source_mapping(UUID=self.mapping)["LastProcessingResult"])

    def follow_the_stream(self) -> None:
        """Let the mapping call the function: from the stream's beginning, so that all before is one batch."""
        self.lambda_.update_event_source_mapping(UUID=self.mapping, Enabled=True)


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The functions' code and both layers, staged as at a deployment."""
    stack = CdkStack(App(outdir=str(tmp_path_factory.mktemp("staged"))))
    sources = {
        "code": (FUNCTIONS, function_excludes("janitor")),
        "session": (SESSION_LAYER, SESSION_EXCLUDES),
        "dependencies": (build(from_context({"stage": "local"})).folder, DEPENDENCIES_EXCLUDES),
    }
    return {name: _zipped(_staged(stack, name, *source)) for name, source in sources.items()}


def _staged(stack: CdkStack, name: str, source: Path, exclude: list[str]) -> Path:
    staging = AssetStaging(stack, name, source_path=str(source), exclude=exclude, ignore_mode=IgnoreMode.GIT)
    return Path(staging.absolute_staged_path)


def _zipped(folder: Path) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, path.relative_to(folder))
    return content.getvalue()


@pytest.fixture
def janitor(emulated: Stage, shipped: dict[str, bytes]) -> Iterator[Janitor]:
    clients = [boto3.client(name, endpoint_url=emulated.endpoint_url) for name in ("s3", "dynamodb", "lambda", "sqs")]
    s3, dynamodb, lambda_, sqs = clients
    name = emulated.bucket
    described = dynamodb.update_table(
        TableName=emulated.lock_table,
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )
    queues = {part: _queue(sqs, f"{name}-{part}") for part in ("sweeps", "weekly", "failures")}
    environment = {
        "AWS_ENDPOINT_URL": emulated.endpoint_url,
        "SEGUE_BUCKET": emulated.bucket,
        "SEGUE_LOCK_TABLE": emulated.lock_table,
        "SEGUE_SWEEPS_QUEUE_URL": queues["sweeps"][0],
        "SEGUE_WEEKLY_QUEUE_URL": queues["weekly"][0],
    }
    layers = [
        lambda_.publish_layer_version(LayerName=f"{name}-{part}", Content={"ZipFile": shipped[part]})["LayerVersionArn"]
        for part in ("session", "dependencies")
    ]
    for part in ("ended", "second_sweep", "weekly"):
        lambda_.create_function(
            FunctionName=f"{name}-{part}",
            Runtime="python3.13",
            Role="arn:aws:iam::000000000000:role/janitor",
            Handler=f"janitor.{part}.handler",
            Code={"ZipFile": shipped["code"]},
            Layers=layers,
            Timeout=120,
            MemorySize=MEMORY_MB,
            Environment={"Variables": environment},
        )
    stream = lambda_.create_event_source_mapping(
        FunctionName=f"{name}-ended",
        EventSourceArn=described["TableDescription"]["LatestStreamArn"],
        StartingPosition="TRIM_HORIZON",
        BatchSize=100,
        FunctionResponseTypes=["ReportBatchItemFailures"],
        FilterCriteria={"Filters": [{"Pattern": json.dumps(each)} for each in ENDED_FILTERS]},
        DestinationConfig={"OnFailure": {"Destination": queues["failures"][1]}},
        Enabled=False,
    )
    mappings = [stream["UUID"]]
    for part, source in (("second_sweep", "sweeps"), ("weekly", "weekly")):
        made = lambda_.create_event_source_mapping(
            FunctionName=f"{name}-{part}",
            EventSourceArn=queues[source][1],
            BatchSize=1,
            FunctionResponseTypes=["ReportBatchItemFailures"] if part == "second_sweep" else [],
        )
        mappings.append(made["UUID"])
    yield Janitor(emulated, s3, dynamodb, lambda_, sqs, queues["sweeps"][0], queues["weekly"][0], stream["UUID"])
    for mapping in mappings:
        lambda_.delete_event_source_mapping(UUID=mapping)


def _queue(sqs: Any, name: str) -> tuple[str, str]:
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    return url, sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]


async def talked(janitor: Janitor, session_id: str) -> tuple[GuardedS3SessionManager, str]:
    """A session with a few commits; returns its manager and its incarnation."""
    manager = GuardedS3SessionManager(session_id=session_id, **janitor.stage.options)
    await manager.open()
    agent = BidiAgent(model=ScriptedModel(), session_manager=manager)
    await agent.start()
    for text in ("One", "Two", "Three"):
        await agent.send(text)
    item = janitor.item(session_id)
    assert item is not None
    assert janitor.objects(item.born)
    return manager, item.born


async def test_a_deletion_cut_short_is_finished_and_nothing_else_calls_the_function(
    janitor: Janitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept_manager, kept = await talked(janitor, "kept")
    await kept_manager.close()
    manager, born = await talked(janitor, "deleted")
    monkeypatch.setattr("segue.session.session.collect_ended", _killed)
    with pytest.raises(ConnectionAbortedError):
        await manager.delete()
    assert janitor.objects(born)

    janitor.follow_the_stream()

    await eventually(lambda: not janitor.objects(born), SECONDS)
    await eventually(lambda: janitor.processed().startswith("OK"), SECONDS)
    # All commits, heartbeats and releases of both sessions were in the stream before it, and did not pass the filters.
    assert janitor.processed() == "OK - 1 records"
    assert janitor.waiting() == 1
    assert janitor.objects(kept)


async def _killed(*_: object) -> int:
    raise ConnectionAbortedError


async def test_a_removed_item_ends_its_incarnation(janitor: Janitor) -> None:
    manager, born = await talked(janitor, "expired")
    await manager.close()
    janitor.follow_the_stream()

    janitor.dynamodb.delete_item(TableName=janitor.stage.lock_table, Key={"session_key": {"S": "default/expired"}})

    await eventually(lambda: not janitor.objects(born), SECONDS)
    await eventually(lambda: janitor.waiting() == 1)


async def test_an_incarnation_over_an_expired_item_ends_only_the_earlier_one(janitor: Janitor) -> None:
    manager, old = await talked(janitor, "twice")
    await manager.close()
    past = int(time.time())
    janitor.dynamodb.update_item(
        TableName=janitor.stage.lock_table,
        Key={"session_key": {"S": "default/twice"}},
        UpdateExpression="SET expires_at = :past",
        ExpressionAttributeValues={":past": {"N": str(past)}},
    )
    await eventually(lambda: time.time() >= past + 2)
    manager, new = await talked(janitor, "twice")
    assert new != old

    janitor.follow_the_stream()

    await eventually(lambda: not janitor.objects(old), SECONDS)
    assert len(janitor.objects(new)) >= 3
    await manager.close()


def test_a_late_object_is_deleted_by_the_second_sweep(janitor: Janitor) -> None:
    janitor.put(f"a/late/{UNKNOWN}/segments/0-1-x.json")

    second_sweep.SweepsQueue(janitor.sqs, janitor.sweeps, delay_seconds=0).put(
        second_sweep.WaitingSweep(Incarnation("a/late", UNKNOWN), rounds_left=1)
    )

    eventually_sync(lambda: not janitor.objects(UNKNOWN), SECONDS)


def test_a_weekly_run_finds_what_no_item_knows(janitor: Janitor) -> None:
    janitor.put(f"a/forgotten/{UNKNOWN}/pages/0.json")
    janitor.put("a/forking/29990101T000000Z-young/pages/0.json")

    weekly.Runs(janitor.sqs, janitor.weekly).put(weekly.Run())

    eventually_sync(lambda: not janitor.objects(UNKNOWN), SECONDS)
    assert janitor.objects("young")
