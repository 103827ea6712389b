"""A session that is long enough to be folded into pages."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

import pytest
from strands.bidi import BidiAgent

from segue import GuardedS3SessionManager
from segue.journal.blocks import PAGE_SEGMENTS, TAIL_LIMIT
from tests.integration.conftest import Shelf
from tests.integration.writer import Writer
from tests.support.scripted_model import ScriptedModel
from tests.support.stage import Stage

pytestmark = [pytest.mark.emulator, pytest.mark.timeout(300)]


async def test_a_long_session_is_folded_and_restored_equal(emulated: Stage, shelf: Shelf) -> None:
    manager = GuardedS3SessionManager("talk", **emulated.options, durability="gate")
    await manager.open()
    agent = BidiAgent(model=ScriptedModel(), session_manager=manager)
    await agent.start()
    for number in range(1500):
        await agent.send(f"Message {number}: " + "x" * (number % 700))
        if number % 10 == 0:
            await manager.durable()  # as many commits as a conversation makes
    await agent.stop()

    item = shelf.item()
    assert item.pages >= 3
    assert len(item.tail) <= TAIL_LIMIT
    assert len(shelf.keys("/pages/")) == item.pages
    assert len(shelf.keys("/segments/")) == len(item.tail), "folded segments are deleted"
    again = GuardedS3SessionManager("talk", **emulated.options)
    await again.open()
    assert BidiAgent(model=ScriptedModel(), session_manager=again).messages == agent.messages
    await again.close()


async def test_a_restore_asks_once_for_each_page_and_segment(emulated: Stage, shelf: Shelf) -> None:
    manager = GuardedS3SessionManager("talk", **emulated.options)
    await manager.open()
    agent = BidiAgent(model=ScriptedModel(), session_manager=manager)
    await agent.start()
    for number in range(3 * PAGE_SEGMENTS + 1):
        await agent.send(f"Message {number}")
    await agent.stop()
    asked: list[str] = []

    def note(request: Any, **_: Any) -> None:
        asked.append(f"{request.method} {request.url}")

    again = GuardedS3SessionManager("talk", **emulated.options)
    stores: Any = await again._runtime.run(again._stores())
    events = stores.objects._client.meta.events
    events.register("before-send.s3", note)
    try:
        await again.open()
    finally:
        events.unregister("before-send.s3", note)

    item = shelf.item()
    assert item.pages == 3
    assert len(asked) == item.pages + len(item.tail)
    assert all(request.startswith("GET") for request in asked)
    await again.close()


async def test_a_successor_folds_the_pages_that_a_killed_writer_would_have(
    writer: Callable[..., Writer], read: Callable[..., Any], shelf: Shelf
) -> None:
    for number, count in enumerate((PAGE_SEGMENTS - 1, 2, PAGE_SEGMENTS + 1, 3)):
        victim = writer(f"w{number}", takeover=True)
        victim.until("acknowledged", times=count)
        victim.signal(signal.SIGKILL)
        victim.finish()

    texts = await read()
    assert len(texts) == len(set(texts))
    assert len(texts) >= 2 * PAGE_SEGMENTS + 5
    item = shelf.item()
    assert item.pages >= 2
    assert len(shelf.keys("/pages/")) >= item.pages
