"""The session managers side by side: how each is made and how one waits until it has saved."""

from __future__ import annotations

import time
from typing import Any, Protocol

import msgspec
from strands.bidi import BidiAgent
from strands.session.s3_session_manager import S3SessionManager
from strands.session.snapshot_session_manager import SnapshotSessionManager
from strands.storage import S3Storage

from benchmarks.measuring.metering import Meter
from segue import GuardedS3SessionManager
from segue.session.options import Durability
from tests.support.scripted_model import ScriptedModel


class TimedModel(ScriptedModel):
    """Model that knows when it was last sent something. Prepared histories name it, so a restore finds nothing new."""

    sent_at = 0.0

    async def send(self, content: Any) -> None:  # noqa: ARG002 - as BidiModel has it
        self.sent_at = time.perf_counter()


NAMES = ("segue-await", "segue-gate", "s3", "snapshot")
LABELS = {
    "segue-await": 'Segue, "await"',
    "segue-gate": 'Segue, "gate"',
    "s3": "S3SessionManager",
    "snapshot": "SnapshotSessionManager",
    "none": "no manager",
}


class Place(msgspec.Struct, kw_only=True, frozen=True):
    """Place in which sessions are kept."""

    bucket: str
    lock_table: str


class Session(Protocol):
    """A session of one manager, from its restore to its release."""

    async def open(self, model: TimedModel) -> BidiAgent:
        """Restore; the agent has its history."""
        ...

    async def saved(self) -> None:
        """Wait until everything that was said is durable."""
        ...

    async def close(self) -> None:
        """Let the session go. The agent was never started."""
        ...


def session(name: str, session_id: str, place: Place, meter: Meter) -> Session:
    """Return a session of a manager."""
    match name:
        case "segue-await":
            return _Segue("await", session_id, place, meter)
        case "segue-gate":
            return _Segue("gate", session_id, place, meter)
        case "s3":
            return _S3(session_id, place, meter)
        case "snapshot":
            return _Snapshot(session_id, place, meter)
        case "none":
            return _None()
        case _:
            raise ValueError(f"no manager is called {name!r}")


class _Segue:
    def __init__(self, durability: Durability, session_id: str, place: Place, meter: Meter) -> None:
        self._durability = durability
        self._session_id = session_id
        self._place = place
        self._meter = meter
        self._manager: Any = None

    async def open(self, model: TimedModel) -> BidiAgent:
        self._manager = GuardedS3SessionManager(
            self._session_id,
            bucket=self._place.bucket,
            lock_table=self._place.lock_table,
            boto_session=self._meter.session,
            durability=self._durability,
        )
        await self._manager.open()
        return BidiAgent(model=model, session_manager=self._manager)

    async def saved(self) -> None:
        await self._manager.durable()

    async def close(self) -> None:
        await self._manager.close()


class _Saving:
    """Strands' managers, which have saved when the hook returns, and hold nothing."""

    async def saved(self) -> None:
        pass

    async def close(self) -> None:
        pass


class _S3(_Saving):
    def __init__(self, session_id: str, place: Place, meter: Meter) -> None:
        self._arguments = (session_id, place.bucket)
        self._meter = meter

    async def open(self, model: TimedModel) -> BidiAgent:
        # As Strands documents it: made and used on the event loop. Its constructor already asks S3.
        manager: Any = S3SessionManager(*self._arguments, boto_session=self._meter.session)
        return BidiAgent(model=model, session_manager=manager)


class _Snapshot(_Saving):
    def __init__(self, session_id: str, place: Place, meter: Meter) -> None:
        self._session_id = session_id
        self._storage = S3Storage(place.bucket, boto_session=meter.session)

    async def open(self, model: TimedModel) -> BidiAgent:
        return BidiAgent(model=model, session_manager=SnapshotSessionManager(self._session_id, storage=self._storage))


class _None(_Saving):
    """An agent without a session manager: what the machine and Strands alone do to the loop."""

    async def open(self, model: TimedModel) -> BidiAgent:
        return BidiAgent(model=model)
