"""Hundreds of sessions in one process share a bounded number of threads and one heartbeat schedule."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from strands.bidi import BidiAgent

from segue.session.runtime import HEARTBEAT_THREADS, SPREAD, STORAGE_THREADS, HeartbeatSchedule, Runtime
from segue.testing import ManualClock
from tests.support.scripted_model import ScriptedModel
from tests.support.waiting import eventually

Sessions = Callable[..., Any]

MANY = 300


def storage_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("segue-")]


@pytest.mark.slow
async def test_hundreds_of_sessions_share_threads_and_one_heartbeat_schedule(file_sessions: Sessions) -> None:
    shared = Runtime.shared()
    others = threading.active_count() - len(storage_threads())
    managers = [file_sessions(f"talk-{number}", durability="gate") for number in range(MANY)]
    await asyncio.gather(*(manager.open() for manager in managers))
    for manager in managers:
        BidiAgent(model=ScriptedModel(), session_manager=manager)
    await asyncio.gather(*(manager.flush() for manager in managers))

    names = storage_threads()
    assert names.count("segue-loop") == 1
    for pool, most in {"storage": STORAGE_THREADS, "guard": STORAGE_THREADS, "heartbeat": HEARTBEAT_THREADS}.items():
        assert sum(name.startswith(f"segue-{pool}_") for name in names) <= most
    assert threading.active_count() - len(names) == others, "there are threads of other names"

    async def due() -> set[Any]:
        return {session() for _, _, session in shared.heartbeats._due}

    beating = {manager._session.heartbeat for manager in managers}
    await eventually(lambda: beating <= shared.run_sync(due()))  # not there: whose heartbeat is just being sent
    assert shared.heartbeats._timer is not None, "one timer serves all heartbeats"
    await asyncio.gather(*(manager.close() for manager in managers))


class Idle:
    """A session that has nothing to do."""

    async def beat(self) -> float | None:
        return None


async def test_heartbeats_of_sessions_that_began_together_are_spread() -> None:
    clock = ManualClock()
    schedule = HeartbeatSchedule(asyncio.get_running_loop(), clock)
    sessions = [Idle() for _ in range(40)]
    for session in sessions:
        schedule.add(session, 3.0)
    due = sorted(at - clock.now() for at, *_ in schedule._due)
    assert due[-1] <= 3.0, "none is late by it"
    assert due[0] >= 3.0 * (1 - SPREAD)
    assert max(sum(at <= other < at + 0.03 for other in due) for at in due) < 20, "40 at once are 80 ms of boto3"
