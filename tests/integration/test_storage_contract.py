"""The emulator keeps the contract, over HTTP and with many requests at once."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import pytest

from segue.storage.aws import DynamoGuard, S3Objects
from segue.storage.stores import Stores
from tests.support.stage import REGION, Stage
from tests.support.storage_contract import CHECKS

pytestmark = pytest.mark.emulator


@pytest.fixture
def stores(emulated: Stage) -> Iterator[Stores]:
    """Empty storage in the emulator."""
    options: Any = {"endpoint_url": emulated.endpoint_url, "region_name": REGION}
    with ThreadPoolExecutor(12) as executor:
        guard = DynamoGuard(boto3.client("dynamodb", **options), emulated.lock_table, executor)
        yield Stores(guard, S3Objects(boto3.client("s3", **options), emulated.bucket, executor))


@pytest.mark.parametrize("check", CHECKS)
async def test_storage_keeps_the_contract(stores: Stores, check: Any) -> None:
    await check(stores)
