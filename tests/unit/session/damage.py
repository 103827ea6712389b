"""Sessions of which one record is spoiled, and ways to spoil it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from strands import Agent

from segue.admin.skip_damaged import Skipped, skip_damaged
from segue.admin.verify import Report, verify
from segue.journal.blocks import Block, pack, unpack
from segue.journal.reader import read_unheld
from segue.lease.lease import Lease
from segue.session.runtime import Runtime
from segue.session.session import Session
from tests.support.fake_model import FakeModel
from tests.support.memory_manager import MemoryStorage

Sessions = Callable[..., Any]

KEY = "default/talk"

UNDECODABLE = {
    "not UTF-8": lambda raw: raw.replace(b'"user"', b'"\xff"'),
    "a number that is none": lambda raw: raw.replace(b'"user"', b"1e999"),
    "another type": lambda _raw: b'{"kind":7}',
    "escapes of a later version": lambda _raw: b'{"escaped":9,"data":{}}',
    "a damaged escape": lambda _raw: b'{"escaped":1,"data":{"message":{"$tuple":5}}}',
}
CONTRADICTING = {
    "a message that is none": lambda _raw: b'{"data":{"message":5}}',
    "a message without one": lambda _raw: b'{"data":{}}',
    "a state that is a list": lambda _raw: b'{"kind":"state","data":[]}',
    "a window of what never was": lambda _raw: b'{"kind":"window","data":{"keep":["never"]}}',
    "a rewind to nowhere": lambda _raw: b'{"kind":"rewind","data":{"to":"x"}}',
    "a redaction of nothing": lambda _raw: b'{"kind":"redact","data":{"message":{}}}',
    "a tool without a name": lambda _raw: b'{"kind":"tool","data":[]}',
}
ALL = {**UNDECODABLE, **CONTRADICTING}


def key_of(storage: MemoryStorage, record: int, part: str = "") -> str:
    """The page or segment that holds a record."""
    for key, body in storage.objects.objects.items():
        block = msgspec.json.decode(unpack(body), type=Block) if part in key and "damaged/" not in key else None
        if block is not None and block.first <= record < block.end:
            return key
    raise AssertionError("no object")


def spoil(storage: MemoryStorage, record: int, damage: Callable[[bytes], bytes], part: str = "") -> str:
    """Damage one record, and return the object that holds it."""
    key = key_of(storage, record, part)
    block = msgspec.json.decode(unpack(storage.objects.objects[key]), type=Block)
    raws = [bytes(raw) for raw in block.records]
    raws[record - block.first] = damage(raws[record - block.first])
    block = msgspec.structs.replace(block, records=tuple(map(msgspec.Raw, raws)))
    storage.objects.objects[key] = pack(block)
    return key


async def number_of(storage: MemoryStorage, text: str) -> int:
    """The record that holds a message with a text."""
    journal = await read(storage)
    (number,) = (
        n for n, one in enumerate(journal.records) if one.kind == "message" and f"'text': '{text}'" in str(one.data)
    )
    return number


async def read(storage: MemoryStorage, **options: Any) -> Any:
    stores = storage.stores()
    return await read_unheld(stores.guard, stores.objects, "", KEY, Runtime.shared().clock, **options)


async def check(storage: MemoryStorage) -> Report:
    return await verify(storage.stores(), KEY, Runtime.shared().clock)


async def repair(storage: MemoryStorage, **options: Any) -> list[Skipped]:
    runtime = Runtime.shared()
    stores = storage.stores()
    lease = Lease(stores.guard, KEY, holder="the test", clock=runtime.clock, **options)
    return await runtime.run(skip_damaged(Session(lease, stores, runtime.heartbeats, runtime.clock), stores, 0.0))


def texts(messages: list[Any]) -> list[str]:
    return [block["text"] for message in messages for block in message["content"] if "text" in block]


@pytest.fixture
async def talk(memory_sessions: Sessions, storage: MemoryStorage) -> MemoryStorage:
    """Storage with a session of several turns."""
    manager = memory_sessions()
    await manager.open()
    agent = Agent(model=FakeModel(), session_manager=manager, callback_handler=None)
    for text in ("One", "Two", "Three", "Four", "Five"):
        await agent.invoke_async(text)
    await manager.close()
    return storage


async def restored(sessions: Sessions) -> Agent:
    manager = sessions()
    await manager.open()
    agent = Agent(model=FakeModel(), session_manager=manager, callback_handler=None)
    await manager.close()
    return agent
