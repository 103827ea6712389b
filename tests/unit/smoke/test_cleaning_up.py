"""A visit deletes its sessions when their holder has released them."""

from __future__ import annotations

import asyncio
from collections import deque

import pytest

from segue import GuardedS3SessionManager
from segue.admin import Sessions
from segue.errors import SessionHeld
from smoke import stack
from tests.support.stage import Stage


async def test_a_session_that_is_held_is_deleted_after_its_release(stage: Stage) -> None:
    outputs = {"BucketName": stage.bucket, "LockTableName": stage.lock_table}
    there = stack.Stack(outputs, released_poll_seconds=0.0)
    manager = GuardedS3SessionManager("s", principal="p", **stage.options)
    await manager.open()
    with pytest.raises(OSError, match="is held by"):
        await stack.Stack(outputs, released_poll_seconds=0.0, delete_seconds=0.0).delete("p", "s")
    await manager.close()
    assert await there.delete("p", "s") == "p/s is deleted, 0 objects of it"


async def test_it_waits_until_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes = deque([SessionHeld("w", 1), SessionHeld("w", 1), 3])

    class Asked:
        def delete(self, session: str) -> object:
            assert session == "s"
            if isinstance(outcome := outcomes.popleft(), Exception):
                raise outcome
            return outcome

    monkeypatch.setattr(Sessions, "s3", lambda *_, **__: Asked())
    there = stack.Stack({"BucketName": "b", "LockTableName": "t"}, released_poll_seconds=0.0)
    assert await asyncio.wait_for(there.delete("p", "s"), 60) == "p/s is deleted, 3 objects of it"


async def test_a_session_that_is_not_there_is_an_error(stage: Stage) -> None:
    there = stack.Stack({"BucketName": stage.bucket, "LockTableName": stage.lock_table})
    with pytest.raises(OSError, match="p/s"):
        await there.delete("p", "s")
