"""The size of a guard item: every write of it is paid for by the kilobyte, and DynamoDB takes 400 KB at most."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from segue.journal.blocks import PAGE_SEGMENTS, VOLUME_PAGES
from segue.journal.inputs import KNOWN_CLIENTS
from segue.storage.attributes import Attributes, Value
from segue.wire.receiver import WINDOW
from tests.support.memory_manager import MemoryStorage

Sessions = Callable[..., Any]

BUDGET = 4096
LIMIT = 400 * 1024

LONG = 1_000_000
"""Messages of a longer conversation than any real one: 11 days without a pause, one a second."""

KEY = {"session_id": "x" * 64, "principal": "p" * 64}


def dynamodb_size(item: Attributes) -> int:
    """Bytes of an item as DynamoDB counts them.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
    """

    def size(value: Value) -> int:
        match value:
            case bool():
                return 1
            case int():
                return len(str(value)) // 2 + 2
            case str():
                return len(value.encode())
            case list():
                return 3 + sum(1 + size(element) for element in value)

    return sum(len(name) + size(value) for name, value in item.items())


async def largest(
    sessions: Sessions, storage: MemoryStorage, seqs: Callable[[int], list[int]]
) -> tuple[int, Attributes]:
    """Let one client more than are remembered speak in turn, a commit each; return the largest item, its size first."""
    manager = sessions(**KEY, holder="ip-10-0-255-255.ec2.internal:65535", endpoint="http://10.0.255.255:65535")
    await manager.open()
    clients = [str(uuid.uuid4()) for _ in range(KNOWN_CLIENTS + 1)]
    found: tuple[int, Attributes] = (0, {})
    for number in range(3 * PAGE_SEGMENTS):
        manager.record_input(clients[number % len(clients)], seqs(number // len(clients)))
        await manager.flush()
        item = storage.guard.items[manager.session_key]
        found = max(found, (dynamodb_size(item), dict(item)), key=lambda pair: pair[0])
    await manager.close()
    return found


@pytest.mark.slow
async def test_the_item_of_a_long_conversation_with_many_clients_is_within_its_budget(
    memory_sessions: Sessions, storage: MemoryStorage
) -> None:
    size, item = await largest(memory_sessions, storage, lambda round_: [round_ + 1])

    assert len(item["tail"]) == PAGE_SEGMENTS, "a full tail"
    assert len(item["inputs"]) == KNOWN_CLIENTS, "the item keeps the latest clients only"
    volumes = LONG // (PAGE_SEGMENTS * VOLUME_PAGES)  # a character for each run of pages, if each message is a commit
    digits = 2 * PAGE_SEGMENTS * len(str(LONG))  # of the records and epochs in the tail
    assert size + volumes + digits <= BUDGET


@pytest.mark.slow
async def test_no_client_can_make_the_item_too_large(memory_sessions: Sessions, storage: MemoryStorage) -> None:
    """Every second frame of each window is missing: worse than what the worker, which waits for it, takes."""
    holes = list(range(LONG, LONG + WINDOW, 2))
    size, item = await largest(memory_sessions, storage, lambda _: holes)

    assert len(item["inputs"]) == KNOWN_CLIENTS
    assert size < LIMIT / 10
