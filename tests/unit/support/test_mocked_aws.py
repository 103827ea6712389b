"""AWS in this process answers one request to storage after another, as DynamoDB does for an item."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator

import pytest

from tests.support.mocked_aws import client
from tests.support.stage import Stage

CHANGES = 100


@pytest.fixture
def eager_threads() -> Iterator[None]:
    """Threads that take turns all the time."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@pytest.mark.slow
@pytest.mark.usefixtures("eager_threads")
def test_an_item_is_never_read_half_changed(stage: Stage) -> None:
    dynamodb, key = client("dynamodb"), {"session_key": {"S": "s"}}
    names = [f"a{number}" for number in range(20)]
    expression = "SET " + ", ".join(f"{name} = :value" for name in names)

    def change() -> None:
        for number in range(CHANGES):
            dynamodb.update_item(
                TableName=stage.lock_table,
                Key=key,
                UpdateExpression=expression,
                ExpressionAttributeValues={":value": {"N": str(number)}},
            )

    changing = threading.Thread(target=change)
    changing.start()
    read = []
    while changing.is_alive():
        item = dynamodb.get_item(TableName=stage.lock_table, Key=key).get("Item", {})
        read.append({item[name]["N"] for name in names if name in item})
    changing.join()
    assert read
    assert [values for values in read if len(values) > 1] == []
