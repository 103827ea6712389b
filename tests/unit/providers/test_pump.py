"""A model's stream is read to its end, however it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.waiting import eventually
from worker.providers.connection.event_pump import Ended, Pump


async def stream(*events: Any) -> AsyncIterator[Any]:
    for event in events:
        if isinstance(event, BaseException):
            raise event
        yield event


@pytest.mark.parametrize("how", [None, ValueError("broken"), asyncio.CancelledError()], ids=repr)
async def test_the_end_of_a_stream_is_told(how):
    """A provider's client that cancels its own reader ends the stream without one; ours is not cancelled."""
    events = stream("one") if how is None else stream("one", how)
    async with Pump(events, lambda: "mark") as pump:
        assert await pump.next(5) == ("one", "mark")
        ended, _ = await pump.next(5)
    assert ended == Ended(how if isinstance(how, Exception) else None)


async def test_closing_ends_the_reader_and_closes_the_stream():
    reached, closed = asyncio.Event(), []

    async def endless() -> AsyncIterator[Any]:
        try:
            reached.set()
            await asyncio.Event().wait()
            yield "never"
        finally:
            closed.append(True)

    pump = Pump(endless(), lambda: None)
    async with pump:
        await reached.wait()
    assert pump._task.cancelled()
    await eventually(lambda: closed)
