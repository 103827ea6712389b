"""Bytes written for a message: in its segment, and once more in its page and in its volume."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from strands.bidi import BidiAgent

from benchmarks.sessions.conversations import messages, own_size
from segue.journal.blocks import PAGE_SEGMENTS, VOLUME_PAGES
from tests.support.memory_manager import MemoryStorage
from tests.support.scripted_model import ScriptedModel

Sessions = Callable[..., Any]


@pytest.mark.slow
async def test_a_message_is_written_with_two_and_a_half_times_its_size_at_most(
    memory_sessions: Sessions, storage: MemoryStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each a commit of its own, which costs most, at the length that people and models speak in."""
    sizes: dict[str, int] = {}
    put = storage.objects.put

    async def counted(key: str, body: bytes, **conditions: Any) -> None:
        sizes[key] = sizes.get(key, 0) + len(body)
        await put(key, body, **conditions)

    monkeypatch.setattr(storage.objects, "put", counted)
    manager = memory_sessions(durability="gate")
    await manager.open()
    agent = BidiAgent(model=ScriptedModel(), session_manager=manager)
    await manager.flush()
    sizes.clear()

    said = messages(VOLUME_PAGES * PAGE_SEGMENTS)
    for message in said:
        manager.append_message(message, agent)
        await manager.flush()
    own = sum(map(own_size, said))
    while not any("/volumes/" in key for key in sizes):  # bound beside the commits
        manager.append_message(said[0], agent)
        await manager.flush()

    pages = [size for key, size in sizes.items() if "/pages/" in key]
    (volume,) = [size for key, size in sizes.items() if "/volumes/" in key]
    assert len(pages) == VOLUME_PAGES
    assert sum(pages) <= 0.5 * own
    assert volume <= 0.5 * own
    assert sum(sizes.values()) <= 2.25 * own
    await manager.close()
