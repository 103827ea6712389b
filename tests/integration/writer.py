"""A process that writes a session, for tests that stop and kill it.

Runs in children of a fork server, which has imported what takes a second to import. A child reports to its parent
through a pipe: what it was told is durable, and how it ended.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

from strands.bidi import BidiAgent

from segue import (
    GuardedFileSessionManager,
    GuardedS3SessionManager,
    LeaseSettings,
    SegueError,
    SessionFenced,
    SessionHeld,
)
from segue.strands.manager import GuardedSessionManager
from tests.support.crash import certainly_dead
from tests.support.forking import processes
from tests.support.scripted_model import ScriptedModel, answered, until
from tests.support.stage import AWS_ENVIRONMENT

SHORT_LEASE = LeaseSettings(duration=3.0, heartbeat=0.5, margin=0.5)
"""A lease that a test can outwait, and that its holder keeps on a busy machine."""

Place = dict[str, Any]
"""The arguments of a session manager that name bucket, table and endpoint, or a directory."""


def manager_at(place: Place, session_id: str, **options: Any) -> GuardedSessionManager:
    """Return a session manager of the place's storage."""
    manager = GuardedFileSessionManager if "storage_dir" in place else GuardedS3SessionManager
    return manager(session_id, **place, **options)


@dataclass(frozen=True)
class Job:
    """Task of a writer.

    Attributes:
        place: Where its session is kept.
        tag: What its messages begin with; they are numbered.
        messages: How many messages it writes before it closes the session.
        session_id: Which session.
        acquire_timeout: Seconds to wait for another holder.
        takeover: Whether another holder is dead for certain.
        at_a_time: After so many messages it closes the session, so that others get at it; 0: never.
        idle_after: After so many messages it holds the session and writes nothing more; 0: never.
        options: Further options of the session manager.
    """

    place: Place
    tag: str
    messages: int = 1_000_000
    session_id: str = "talk"
    acquire_timeout: float = 20.0
    takeover: bool = False
    at_a_time: int = 0
    idle_after: int = 0
    options: dict[str, Any] = field(default_factory=dict)

    def manager(self) -> GuardedSessionManager:
        """A session manager for it."""
        return manager_at(
            self.place,
            self.session_id,
            **{
                "lease": SHORT_LEASE,
                "acquire_timeout": self.acquire_timeout,
                "probe": certainly_dead if self.takeover else None,
                "holder": self.tag,
                **self.options,
            },
        )


class Writer:
    """A writer process, seen by its parent.

    Attributes:
        reports: Everything it reported so far.
    """

    def __init__(self, job: Job) -> None:
        self.reports: list[tuple[str, Any]] = []
        self._pipe, theirs = processes.Pipe(duplex=False)
        self.process = processes.Process(target=_main, args=(job, theirs), daemon=True)
        self.process.start()
        theirs.close()

    @property
    def acknowledged(self) -> list[str]:
        """The texts that it was told are durable, in order."""
        return [what for kind, what in self.reports if kind == "acknowledged"]

    def until(self, kind: str, times: int = 1, seconds: float = 30.0) -> Any:
        """Wait for a report; returns what it says."""
        while True:
            found = [what for reported, what in self.reports if reported == kind]
            if len(found) >= times:
                return found[times - 1]
            assert self._pipe.poll(seconds), f"no {kind!r} from the writer; the latest: {self.reports[-3:]}"
            self.reports.append(self._pipe.recv())

    def signal(self, number: int) -> None:
        """Signal the process."""
        assert self.process.pid is not None
        os.kill(self.process.pid, number)

    def finish(self, seconds: float = 60.0) -> None:
        """Take in everything that it still has to report, and wait for its end."""
        try:
            while self._pipe.poll(seconds):
                self.reports.append(self._pipe.recv())
        except EOFError:
            pass
        self.process.join(seconds)
        assert self.process.exitcode is not None, "the writer does not end"


def _main(job: Job, pipe: Connection) -> None:
    os.environ.update(AWS_ENVIRONMENT)
    asyncio.run(_write(job, pipe))


async def _write(job: Job, pipe: Connection) -> None:
    written = 0
    while written < job.messages:
        try:
            written = await _sit(job, pipe, written)
        except SessionHeld as held:
            pipe.send(("held", held.holder))
        except SessionFenced as fenced:
            pipe.send(("fenced", fenced.winner))
            if not job.at_a_time:
                return
        except SegueError as error:
            pipe.send(("failed", repr(error)))
            return
    pipe.send(("done", written))


async def _sit(job: Job, pipe: Connection, written: int) -> int:
    """Hold the session for a while, and write; returns how many messages are written."""
    manager = job.manager()
    await manager.open()
    manager.on_lost(lambda: pipe.send(("lost", manager.lease_is_fresh())))
    model = ScriptedModel()
    agent = BidiAgent(model=model, session_manager=manager)
    restored = [message["content"][0]["text"] for message in agent.messages]
    pipe.send(("opened", (manager.epoch, len(restored))))
    # What was under way when this writer was fenced the last time may be there; it is not written twice.
    while written < job.messages and f"{job.tag} {written}" in restored:
        pipe.send(("acknowledged", f"{job.tag} {written}"))
        written += 1
    await agent.start()
    end = min(job.messages, written + job.at_a_time) if job.at_a_time else job.messages
    while written < end:
        text = f"{job.tag} {written}"
        if written % 3 == 2:  # said by the model, in pieces
            model.emit(answered(text, response_id=text, content_id=text))
            await until(agent, "bidi_transcript_block")
        else:
            await agent.send(text)
        pipe.send(("acknowledged", text))
        written += 1
        if written == job.idle_after:
            await asyncio.Event().wait()
    await agent.stop()
    return written
