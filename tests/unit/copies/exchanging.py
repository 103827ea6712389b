"""Sessions of Strands' own layouts, and agents on them, between which sessions move."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from strands import Agent, tool
from strands.bidi.agent import BidiAgent
from strands.session import FileSessionManager, S3SessionManager, SnapshotSessionManager
from strands.storage import LocalFileStorage, S3Storage

from segue.journal.records import Record, decode_record, encode_record
from segue.strands.transfer import export, import_, portable
from tests.support.fake_model import FakeModel
from tests.support.mocked_aws import mocked_aws
from tests.support.scripted_model import ScriptedModel

Layout = Callable[[str], Any]


@pytest.fixture(params=["file", "s3", "snapshot", "snapshot on s3"])
def layout(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Layout]:
    """Makes Strands' managers of sessions in one of its layouts."""
    folder = str(tmp_path / "strands")
    if "s3" not in request.param:
        local = {
            "file": lambda session_id: FileSessionManager(session_id, storage_dir=folder),
            "snapshot": lambda session_id: SnapshotSessionManager(session_id, storage=LocalFileStorage(folder)),
        }
        yield local[request.param]
        return
    with mocked_aws():
        boto3.client("s3").create_bucket(Bucket="strands")
        remote = {
            "s3": lambda session_id: S3SessionManager(session_id, bucket="strands", prefix="agents"),
            "snapshot on s3": lambda session_id: SnapshotSessionManager(
                session_id, storage=S3Storage("strands", prefix="agents")
            ),
        }
        yield remote[request.param]


@pytest.fixture
def file_layout(tmp_path: Path) -> Layout:
    return lambda session_id: FileSessionManager(session_id, storage_dir=str(tmp_path / "strands"))


@pytest.fixture
def snapshot_layout(tmp_path: Path) -> Layout:
    storage = LocalFileStorage(str(tmp_path / "strands"))
    return lambda session_id: SnapshotSessionManager(session_id, storage=storage)


@tool
def weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny in {city}"


def agent_on(manager: Any, *replies: Any, **options: Any) -> Agent:
    return Agent(model=FakeModel(replies), session_manager=manager, callback_handler=None, tools=[weather], **options)


def bidi_on(manager: Any) -> BidiAgent:
    return BidiAgent(model=ScriptedModel(), session_manager=manager, tools=[weather])


def everything(agent: Any) -> dict[str, Any]:
    fields = ["messages", "state", "system_prompt"]
    if isinstance(agent, Agent):
        fields += ["conversation_manager_state", "interrupt_state", "model_state"]
    data: dict[str, Any] = agent.take_snapshot(include=fields).data
    return data


def stored(records: list[Record]) -> list[Record]:
    """Records as they come back from storage."""
    return [decode_record(encode_record(record)) for record in records]


def moved(source: Any, target: Any, agent_id: str = "default") -> list[Record]:
    """Import from one Strands session, export to another, and return what was in between."""
    records = stored(import_(source, agent_id))
    export(portable(records, agent_id), target)
    return records
