"""A clock whose sleeps take no time."""

from __future__ import annotations

import asyncio
import time

import pytest


class SkippingClock:
    """Time that a sleep moves on at once, and that stands still otherwise.

    It is for one sleeper that waits until a dead holder's lease has run out. A living holder's would run out too: its
    heartbeats are sent in real time.
    """

    def __init__(self) -> None:
        self._skipped = 0.0

    def now(self) -> float:
        return self._skipped

    def wall(self) -> float:
        return time.time() + self._skipped

    async def sleep(self, seconds: float) -> None:
        self._skipped += max(0.0, seconds)
        await asyncio.sleep(0)


@pytest.fixture
def skipping_clock(monkeypatch: pytest.MonkeyPatch) -> SkippingClock:
    """Let the sessions of this process that are made from here on go by such a clock."""
    from segue.session.runtime import Runtime  # only where there are sessions

    clock = SkippingClock()
    monkeypatch.setattr(Runtime.shared(), "clock", clock)
    return clock
