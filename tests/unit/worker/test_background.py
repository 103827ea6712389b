"""Background tasks are kept until they are done, and the first of several ends the others."""

from __future__ import annotations

import asyncio
import gc

import pytest

from shared.background import BackgroundTasks, first_of


async def test_tasks_are_kept_until_they_are_done_and_can_be_waited_for() -> None:
    tasks, go, done = BackgroundTasks(), asyncio.Event(), []

    async def work(number: int) -> None:
        await go.wait()
        done.append(number)

    for number in range(3):
        tasks.start(work(number), "work")
    gc.collect()
    go.set()
    await tasks.done()
    assert done == [0, 1, 2]
    await tasks.done()  # returns at once when none runs


async def test_the_first_that_is_done_ends_the_others() -> None:
    ended = asyncio.Event()

    async def slow() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    await first_of(slow(), asyncio.sleep(0))
    await asyncio.wait_for(ended.wait(), 10)


async def test_a_time_limit_ends_all_and_raises_nothing() -> None:
    await first_of(asyncio.Event().wait(), timeout=0.01)


async def test_a_cancelled_wait_ends_what_it_waits_for() -> None:
    inner = asyncio.ensure_future(asyncio.Event().wait())
    outer = asyncio.ensure_future(first_of(inner))
    await asyncio.sleep(0)
    outer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await outer
    with pytest.raises(asyncio.CancelledError):
        await inner
