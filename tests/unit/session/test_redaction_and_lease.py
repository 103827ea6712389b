"""A redaction's sweep may take longer than a lease: the holder stays the holder."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import segue.journal.blocks
from segue import SessionHeld
from segue.journal.blocks import unpack
from tests.support.memory_manager import MemoryStorage, both
from tests.support.sessions import KEPT, Sessions, item, started
from tests.support.waiting import within

SECRET = "the number is 4111"


@pytest.mark.slow
async def test_the_holder_keeps_its_session_during_a_sweep(
    memory_sessions: Sessions, storage: MemoryStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segue.journal.blocks, "PAGE_SEGMENTS", 2)
    agent = await started(manager := memory_sessions(lease=KEPT))
    lost: list[bool] = []
    manager.on_lost(lambda: lost.append(True))
    for text in (SECRET, *("and on" for _ in range(40))):
        await agent.send(text)
    assert item(storage).pages >= 20
    sweeping, go = asyncio.Event(), asyncio.Event()
    here = asyncio.get_running_loop()

    async def slow(operation: str, what: Any) -> None:
        if operation == "get":
            here.call_soon_threadsafe(sweeping.set)
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(go.wait(), here))

    storage.before = both(storage.before, slow)
    redacting = asyncio.ensure_future(manager.redact(agent.messages[0]["tracking_id"]))
    await sweeping.wait()
    try:
        with pytest.raises(SessionHeld):
            async with within(60):
                await memory_sessions(lease=KEPT, acquire_timeout=2 * KEPT.duration).open()
    finally:
        go.set()
    await redacting

    assert not lost
    assert manager.lease_is_fresh()
    assert not [key for key, body in storage.objects.objects.items() if SECRET.encode() in unpack(body)]
    await agent.stop()
