"""Reading what real processes left behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from strands.bidi import BidiAgent

from segue import GuardedS3SessionManager
from segue.item import GuardItem
from tests.integration.writer import Job, Writer
from tests.support.crash import certainly_dead
from tests.support.scripted_model import ScriptedModel
from tests.support.stage import REGION, Stage


@pytest.fixture
def writer(emulated: Stage) -> Iterator[Callable[..., Writer]]:
    """Starts writer processes, and ends those that are left."""
    started: list[Writer] = []

    def start(tag: str, **job: Any) -> Writer:
        started.append(Writer(Job(emulated.options, tag, **job)))
        return started[-1]

    yield start
    for each in started:
        if each.process.is_alive():
            each.process.kill()
        each.process.join(10)


@pytest.fixture
def read(emulated: Stage) -> Callable[..., Any]:
    """Restores a session as a successor does; returns the texts of its messages."""

    async def texts(session_id: str = "talk") -> list[str]:
        manager = GuardedS3SessionManager(session_id, **emulated.options, probe=certainly_dead)
        await manager.open()
        agent = BidiAgent(model=ScriptedModel(), session_manager=manager)
        await manager.close()
        return [message["content"][0]["text"] for message in agent.messages]

    return texts


class Shelf:
    """What the emulator has of a session."""

    def __init__(self, stage: Stage) -> None:
        options: Any = {"endpoint_url": stage.endpoint_url, "region_name": REGION}
        self._stage = stage
        self._s3 = boto3.client("s3", **options)
        self._dynamodb = boto3.client("dynamodb", **options)

    def item(self, key: str = "default/talk") -> GuardItem:
        answer = self._dynamodb.get_item(
            TableName=self._stage.lock_table, Key={"session_key": {"S": key}}, ConsistentRead=True
        )
        return GuardItem.from_attributes(answer["Item"])

    def keys(self, part: str = "") -> list[str]:
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._stage.bucket)
        return [found["Key"] for page in pages for found in page.get("Contents", []) if part in found["Key"]]


@pytest.fixture
def shelf(emulated: Stage) -> Shelf:
    return Shelf(emulated)
