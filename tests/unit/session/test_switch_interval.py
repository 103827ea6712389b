"""Storage threads hold the interpreter's lock for a moment at a time, so that an agent's loop gets its turn."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from segue.session.runtime import SWITCH_INTERVAL_SECONDS, Runtime


@pytest.fixture(autouse=True)
def interval_as_before() -> Iterator[None]:
    before = sys.getswitchinterval()
    yield
    sys.setswitchinterval(before)


@pytest.mark.parametrize(("before", "after"), [(0.005, SWITCH_INTERVAL_SECONDS), (0.0001, 0.0001)])
def test_a_runtime_shortens_the_interval_and_leaves_a_shorter_one(before: float, after: float) -> None:
    sys.setswitchinterval(before)
    runtime = Runtime()
    try:
        assert sys.getswitchinterval() == pytest.approx(after, abs=2e-6)  # it is kept in whole microseconds
    finally:
        runtime.loop.call_soon_threadsafe(runtime.loop.stop)
        runtime.executor.shutdown()
