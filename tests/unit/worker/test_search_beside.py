"""A post to a holder, and the search for another one beside it."""

from __future__ import annotations

import asyncio

import pytest

from worker.hosting.search_beside import QUIET_SECONDS, SearchesBeside


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def searches(clock):
    return SearchesBeside(clock, after_seconds=0.0)


async def test_a_post_answered_in_time_starts_no_search(clock):
    async def answered():
        await asyncio.sleep(0)
        return 202

    async def search():
        pytest.fail("it was answered")

    assert await SearchesBeside(clock, after_seconds=30.0).post("a/s", answered(), search) == 202


async def test_a_search_runs_beside_a_post_that_waits_and_its_answer_counts(searches):
    found = asyncio.Event()

    async def waits():
        await found.wait()
        return 202

    async def search():
        found.set()

    assert await searches.post("a/s", waits(), search) == 202


async def test_a_search_goes_on_when_the_post_has_ended(searches):
    ended, found = asyncio.Event(), []

    async def fails():
        await asyncio.sleep(0.01)
        raise TimeoutError

    async def search():
        await ended.wait()
        found.append("w2")

    with pytest.raises(TimeoutError):
        await searches.post("a/s", fails(), search)
    assert found == []
    ended.set()
    await searches.done()
    assert found == ["w2"]


async def test_one_search_for_a_session_is_enough_for_a_while(searches, clock):
    searched = []

    async def waits():
        await asyncio.sleep(0.01)

    async def post(key):
        async def search():
            searched.append(key)

        await searches.post(key, waits(), search)

    for key in ("a/s", "a/s", "b/s"):
        await post(key)
    assert searched == ["a/s", "b/s"]
    clock.now = QUIET_SECONDS
    await post("a/s")
    assert searched == ["a/s", "b/s", "a/s"]


async def test_a_search_that_fails_harms_no_post(searches, caplog):
    async def waits():
        await asyncio.sleep(0.01)
        return 202

    async def search():
        raise OSError("no registry")

    assert await searches.post("a/s", waits(), search) == 202
    await searches.done()
    assert "no other holder could be looked for" in caplog.text


async def test_a_post_is_cancelled_with_its_caller(searches):
    cancelled = asyncio.Event()

    async def waits():
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async def search():
        pass

    posting = asyncio.create_task(searches.post("a/s", waits(), search))
    await asyncio.sleep(0.01)
    posting.cancel()
    await asyncio.wait({posting})
    assert posting.cancelled()
    await asyncio.wait_for(cancelled.wait(), 30)
