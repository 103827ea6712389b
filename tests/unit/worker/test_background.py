"""Background tasks are kept until they are done, and the first of several ends the others."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

from shared.background import BackgroundTasks, first_of
from tests.support.waiting import eventually


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


async def test_first_of_cancels_the_others_when_one_is_done() -> None:
    ended = asyncio.Event()

    async def slow() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    await first_of(slow(), asyncio.sleep(0))
    await asyncio.wait_for(ended.wait(), 10)


async def test_a_time_limit_ends_all_and_raises_nothing() -> None:
    assert await first_of(asyncio.Event().wait(), timeout=0.01) is None


async def answer(value: int) -> int:
    return value


async def fail(name: str) -> None:
    raise ValueError(name)


async def test_the_result_of_the_work_is_returned_and_no_other() -> None:
    assert await first_of(answer(5), asyncio.Event().wait()) == 5
    assert await first_of(answer(5), answer(6)) == 5, "both are done: the one that is named first decides"
    assert await first_of(asyncio.Event().wait(), answer(6)) is None


@pytest.mark.parametrize("others", [[], [asyncio.Event().wait]], ids=["alone", "among others"])
async def test_an_error_of_the_first_is_raised(others: list[Any]) -> None:
    with pytest.raises(ValueError, match="work"):
        await first_of(fail("work"), *[other() for other in others])
    with pytest.raises(ValueError, match="end"):
        await first_of(asyncio.Event().wait(), fail("end"))


async def test_an_error_of_another_at_the_same_moment_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    assert await first_of(answer(5), fail("too late")) == 5
    await eventually(lambda: "ValueError: too late" in caplog.text)
    assert "work that is not waited for any longer has failed" in caplog.text


@pytest.mark.parametrize("cancelled", [False, True])
async def test_an_error_while_it_is_cancelled_is_logged(caplog: pytest.LogCaptureFixture, cancelled: bool) -> None:
    async def broken() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise ValueError("on the way out")

    go = asyncio.Event()
    waiting = asyncio.create_task(first_of(broken(), go.wait()))
    await asyncio.sleep(0)
    if cancelled:
        waiting.cancel()
    else:
        go.set()
    await asyncio.wait({waiting})
    assert waiting.cancelled() is cancelled
    await eventually(lambda: "ValueError: on the way out" in caplog.text)


async def test_a_task_that_is_cancelled_elsewhere_has_no_result() -> None:
    inner = asyncio.ensure_future(asyncio.Event().wait())
    waiting = asyncio.create_task(first_of(inner))
    await asyncio.sleep(0)
    inner.cancel()
    assert await waiting is None


async def test_a_cancelled_wait_ends_what_it_waits_for() -> None:
    inner = asyncio.ensure_future(asyncio.Event().wait())
    outer = asyncio.ensure_future(first_of(inner))
    await asyncio.sleep(0)
    outer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await outer
    with pytest.raises(asyncio.CancelledError):
        await inner
