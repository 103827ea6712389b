"""The same contract for every storage that there is."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import pytest

from segue.storage.aws import DynamoGuard, S3Objects
from segue.storage.file import FileGuard, FileObjects
from segue.storage.memory import MemoryGuard, MemoryObjects
from segue.storage.stores import Stores
from tests.support.storage_contract import CHECKS, RACES


@pytest.fixture
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stores]:
    """Empty storage of each kind."""
    with ThreadPoolExecutor(12) as executor:
        match request.param:
            case "memory":
                yield Stores(MemoryGuard(), MemoryObjects())
            case "file":
                yield Stores(FileGuard(tmp_path, executor), FileObjects(tmp_path, executor))
            case _:
                stage = request.getfixturevalue("stage")
                guard = DynamoGuard(boto3.client("dynamodb"), stage.lock_table, executor)
                yield Stores(guard, S3Objects(boto3.client("s3"), stage.bucket, executor))


# moto compares and writes in two steps that other threads get between; the emulator is asked about races.
CASES = [
    (kind, check) for kind in ("memory", "file", "moto") for check in CHECKS if kind != "moto" or check not in RACES
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stores", "check"), CASES, indirect=["stores"], ids=lambda each: getattr(each, "__name__", each)
)
async def test_storage_keeps_the_contract(stores: Stores, check: Any) -> None:
    await check(stores)
