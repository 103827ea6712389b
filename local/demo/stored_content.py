"""Content of DynamoDB and S3, read with the public library."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from local.deployment.issuer import principal
from local.deployment.outputs import Deployment, client
from segue.clock import SystemClock
from segue.history.fold import fold
from segue.ids import session_key
from segue.journal.reader import read_unheld
from segue.session.runtime import Runtime
from segue.storage.aws import DynamoGuard, S3Objects
from segue.storage.stores import Stores


@dataclass(frozen=True)
class Account:
    """A session at rest.

    Attributes:
        item: The guard item's facts.
        objects: Its S3 keys with their sizes in bytes.
        commits: Every commit as (records after it, epoch, commit id).
        spoken: Every message with words, as (role, text), in order.
    """

    item: dict[str, Any]
    objects: list[tuple[str, int]]
    commits: list[tuple[int, int, str]]
    spoken: list[tuple[str, str]]


async def read(deployment: Deployment, session: str) -> Account:
    """Read a session without its lease."""
    s3, dynamodb = client("s3", deployment.endpoint), client("dynamodb", deployment.endpoint)
    bucket, table = deployment.outputs["BucketName"], deployment.outputs["LockTableName"]
    runtime = Runtime.shared()
    stores = Stores(DynamoGuard(dynamodb, table, runtime.executor), S3Objects(s3, bucket, runtime.executor))
    key = session_key(principal(), session)
    journal = await runtime.run(read_unheld(stores.guard, stores.objects, stores.prefix, key, SystemClock()))
    listed = await asyncio.to_thread(s3.list_objects_v2, Bucket=bucket, Prefix=f"sessions/{key}/")
    item = journal.item
    messages = fold(journal.records).agents["default"].messages
    return Account(
        item={
            "session_key": item.session_key,
            "epoch": item.epoch,
            "holder": item.holder or "free",
            "head": item.head,
            "pages": item.pages,
            "tail": len(item.tail),
            "inputs": {name: known.upto for name, known in item.inputs.items()},
        },
        objects=[(found["Key"], found["Size"]) for found in listed.get("Contents", [])],
        commits=journal.commits,
        spoken=[
            (message["role"], block["text"]) for message in messages for block in message["content"] if "text" in block
        ],
    )


def show(console: Console, stored: Account) -> None:
    """Print a session at rest."""
    console.rule("DynamoDB: the guard item")
    for name, value in stored.item.items():
        console.print(f"{name:<12} {value}", highlight=False)
    console.rule("S3: the session's objects")
    for key, size in stored.objects:
        console.print(f"{size:>7} B  {key}", highlight=False, soft_wrap=True)
    console.rule("journal")
    console.print(
        "commits (records after it, epoch): " + " ".join(f"{end}@{epoch}" for end, epoch, _ in stored.commits)
    )
    for role, text in stored.spoken:
        console.print(f"{role:<10} {text}", highlight=False)
