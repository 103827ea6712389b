"""Sessions looked after from a program: list, read, copy, check, move, delete.

    sessions = Sessions.s3("my-voice-sessions", "my-voice-locks")
    for one in sessions.list():
        print(one.session, one.state, one.head)
    history = sessions.read("user_123")
    print(history.agents["default"].messages)

Its calls block, and run on the process's storage loop.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, Unpack

from strands.session.session_manager import SessionManager

from segue.admin import delete_release, exchange, listing, principals
from segue.admin import fork as forks
from segue.admin import verify as checks
from segue.admin.delete_release import Released
from segue.admin.exchange import Exported
from segue.admin.listing import SessionFacts
from segue.admin.principals import DeletedPrincipal
from segue.admin.progress import Progress, no_progress
from segue.admin.read_only import ReadOnlySessionManager
from segue.admin.source import OpenSource, SessionSource, in_bucket, in_directory
from segue.admin.verify import Report
from segue.clock import Clock
from segue.errors import JournalCorrupt
from segue.history.agent_history import History
from segue.history.points import Point, find, history_at, points_of, read_journal
from segue.ids import valid_id
from segue.journal.keys import normal_prefix
from segue.journal.reader import StoredJournal
from segue.session.options import DAY_SECONDS, SessionOptions
from segue.session.options import SessionSettings as Options
from segue.storage.stores import Stores
from segue.strands.transfer import Kind

if TYPE_CHECKING:
    import boto3

_T = TypeVar("_T")


class Sessions:
    """All sessions of a bucket and a lock table, or of a directory.

    Sessions are named by their id; ``principal`` is given once, for all of them, or as ``"principal/id"``. No method
    but ``delete`` and ``release`` takes a lease, so holders notice nothing. Methods block: call them with
    ``asyncio.to_thread`` where an event loop runs.

    Each method raises:
        ValueError: An id is not valid.
        SessionNotFound: The session that is read is not there.
        JournalCorrupt: It cannot be read.
        StorageRefused: Storage says no: a name, region, permission or credential is wrong.
        StorageUnavailable: Storage does not answer.
    """

    def __init__(self, open_source: OpenSource, principal: str | None, prefix: str | None) -> None:
        """Keep how the stores are opened. Use ``Sessions.s3`` or ``Sessions.directory``."""
        self._source = SessionSource(open_source, principal, prefix)

    @classmethod
    def s3(
        cls,
        bucket: str,
        lock_table: str,
        *,
        prefix: str = "",
        principal: str | None = None,
        boto_session: boto3.Session | None = None,
        region_name: str | None = None,
        endpoint_url: str | None = None,
        kms_key_id: str | None = None,
    ) -> Sessions:
        """Name the sessions that ``GuardedS3SessionManager`` keeps; no I/O. Arguments are named as there.

        Args:
            bucket: S3 bucket of the records.
            lock_table: DynamoDB table of the guard.
            prefix: Prefix of all object keys.
            principal: Whose sessions; default: ``"default"``, and all principals in ``list``.
            boto_session: For credentials and region; default: a new ``boto3.Session()``.
            region_name: AWS region.
            endpoint_url: For emulators.
            kms_key_id: Encrypt new objects with this key.
        """
        folder = normal_prefix(prefix)
        source = in_bucket(
            bucket,
            lock_table,
            prefix=folder,
            boto_session=boto_session,
            region_name=region_name,
            endpoint_url=endpoint_url,
            kms_key_id=kms_key_id,
        )
        return cls(source, principal, folder)

    @classmethod
    def directory(cls, path: str | Path | None = None, *, principal: str | None = None) -> Sessions:
        """Name the sessions that ``GuardedFileSessionManager`` keeps; no I/O.

        Args:
            path: The directory; default: ``~/.strands/sessions``.
            principal: Whose sessions; default: ``"default"``, and all principals in ``list``.
        """
        return cls(in_directory(path), principal, None)

    def key(self, session_id: str, principal: str | None = None) -> str:
        """Return the key of a session in storage.

        Raises:
            ValueError: The id or the principal is not valid, or the key is too long.
        """
        return self._source.key(session_id, principal)

    def run(self, work: Callable[[Stores, Clock], Coroutine[Any, Any, _T]]) -> _T:
        """Run a coroutine with the stores on the storage loop, and return its result."""
        return self._source.run(work)

    def list(
        self, *, ended: bool = False, watch: bool = False, progress: Progress = no_progress
    ) -> builtins.list[SessionFacts]:
        """List sessions by their guard items.

        Args:
            ended: Also those that were deleted or have expired.
            watch: Watch holders, each for its lease at most, and tell which are stale.
            progress: Told of every item read.
        """
        prefix = "" if self._source.principal is None else f"{self._source.principal}/"
        found = self.run(lambda stores, clock: listing.list_sessions(stores, clock, prefix, progress))
        sessions = found.found
        if watch and found.held:
            sessions = self.run(lambda stores, clock: listing.mark_stale(stores, clock, found))
        return [one for one in sessions if ended or one.state not in {"deleted", "expired"}]

    def journal(self, session_id: str) -> StoredJournal:
        """Read all records of a session. Those that cannot be decoded are named in ``StoredJournal.damaged``."""
        key = self.key(session_id)
        return self.run(lambda stores, clock: read_journal(stores, key, clock))

    def read(
        self, session_id: str, *, at: int | str | None = None, damaged: builtins.list[JournalCorrupt] | None = None
    ) -> History:
        """Read a session's agents, Graphs and Swarms, as they are or were.

        Args:
            session_id: The session.
            at: A point in time: a number of records, a commit id, or an ISO 8601 time (UTC); default: now.
            damaged: Takes what is wrong with records that are left out; default: raise.

        Raises:
            ValueError: There is no such point.
        """
        journal = self.journal(session_id)
        return history_at(journal, _records(journal, at), damaged)

    def points(self, session_id: str) -> builtins.list[Point]:
        """List the points in time of a session, oldest first: each commit is one."""
        return points_of(self.journal(session_id))

    def fork(
        self,
        source: str,
        target: str,
        *,
        at: int | str | None = None,
        to_principal: str | None = None,
        retention_days: int = Options().retention_days,
        progress: Progress = no_progress,
        damaged: builtins.list[JournalCorrupt] | None = None,
    ) -> int:
        """Copy a session, as it is or was, to a new one. The source may be in use.

        Args:
            source: The session to copy.
            target: The new one.
            at: A point in time, as for ``read``; default: now.
            to_principal: Whose the copy is; default: whose the source is.
            retention_days: Days after its last use at which the copy expires.
            progress: Told of every object written.
            damaged: Takes what is wrong with records that stand for nothing in the copy; default: it is logged.

        Returns:
            The number of records that the copy begins with.

        Raises:
            SessionExists: The target is there already.
        """
        key = self.key(source)
        copy = self.key(target, to_principal or key.partition("/")[0])
        seconds = retention_days * DAY_SECONDS
        return self.run(
            lambda stores, clock: forks.fork(
                *(stores, key, copy, clock), at=at, retention_s=seconds, progress=progress, damaged=damaged
            )
        ).head

    def verify(self, session_id: str, *, progress: Progress = no_progress) -> Report:
        """Check every object of a session. Changes nothing."""
        key = self.key(session_id)
        return self.run(lambda stores, clock: checks.verify(stores, key, clock, progress))

    def export(
        self,
        session_id: str,
        target: SessionManager[Any],
        *,
        agents: Sequence[str] | None = None,
        at: int | str | None = None,
        kind: Kind | None = None,
        progress: Progress = no_progress,
    ) -> Exported:
        """Write a session to one of Strands' own managers.

        Args:
            session_id: The session.
            target: Strands' manager of the target session, which has none of the agents yet.
            agents: Only these, and no Graph or Swarm; default: all.
            at: A point in time, as for ``read``; default: now.
            kind: Move agents as this kind; default: what they were.
            progress: Told of every message written, an agent at a time.

        Raises:
            SessionExists: The target has such an agent already.
            SessionNotFound: The session has no such agent.
        """
        journal = self.journal(session_id)
        return exchange.write_session(
            journal, target, agents=agents, upto=_records(journal, at), kind=kind, progress=progress
        )

    def import_(
        self,
        source: SessionManager[Any],
        session_id: str,
        *,
        agents: Sequence[str] = ("default",),
        multi_agents: Sequence[str] = (),
        kind: Kind | None = None,
        retention_days: int = Options().retention_days,
        progress: Progress = no_progress,
    ) -> int:
        """Read a session of one of Strands' own managers into a new session.

        Args:
            source: Strands' manager of the source session.
            session_id: The new session.
            agents: The agents.
            multi_agents: The Graphs and Swarms.
            kind: Import agents as this kind; default: what the source says.
            retention_days: Days after its last use at which the session expires.
            progress: Told of every object written.

        Returns:
            The number of records that it begins with.

        Raises:
            SessionExists: There is such a session already.
            SessionNotFound: The source has no such agent.
        """
        key = self.key(session_id)
        records = exchange.read_session(source, agents, multi_agents, kind)
        commits, seconds = forks.commits_of(records), retention_days * DAY_SECONDS
        return self.run(
            lambda stores, clock: forks.create(stores, key, commits, clock, retention_s=seconds, progress=progress)
        ).head

    def delete(self, session_id: str, *, wait: bool = False) -> int:
        """Delete a session for good, or finish an unfinished deletion. The id may be used again.

        Args:
            session_id: The session.
            wait: If it is held, wait until a silent holder's lease has expired.

        Returns:
            The number of objects deleted.

        Raises:
            SessionHeld: A holder has it. A live holder has to be stopped first.
        """
        key = self.key(session_id)
        return self.run(lambda stores, clock: delete_release.delete(stores, key, clock, wait=wait))

    def delete_principal(
        self, principal: str, *, wait: bool = False, progress: Progress = no_progress
    ) -> DeletedPrincipal:
        """Delete every session of one principal for good. If it was cut short, call it again: it does the rest.

        Args:
            principal: Whose.
            wait: Wait for holders that are silent, each for its lease. Holders that live keep their sessions.
            progress: Told of every session, and of how many were found so far.

        Returns:
            What was deleted, and what was left.
        """
        whose = valid_id(principal, "principal")
        return self.run(
            lambda stores, clock: principals.delete_principal(stores, clock, whose, wait=wait, progress=progress)
        )

    def release(self, session_id: str) -> Released:
        """Free the lease of a dead holder: watch it for its lease, and take the session if it was silent.

        Raises:
            SessionHeld: The holder is alive.
        """
        key = self.key(session_id)
        found = self.run(lambda stores, clock: delete_release.item_of(stores, key, clock, current=True))
        return self.run(lambda stores, clock: delete_release.release(stores, found, clock))

    def read_only(
        self, session_id: str, *, at: int | str | None = None, **options: Unpack[SessionOptions]
    ) -> ReadOnlySessionManager:
        """Return a session manager that restores agents without the lease, and writes nothing to the session.

        Args:
            session_id: The session.
            at: A point in time, as for ``read``; default: now. The manager raises ValueError when it is opened if there
                is no such point.
            **options: See ``SessionOptions``.
        """
        key = self.key(session_id, options.get("principal"))
        principal, _, _ = key.partition("/")
        merged: SessionOptions = {**options, "principal": principal}
        return ReadOnlySessionManager(session_id.rpartition("/")[2], self._source.open, at=at, **merged)


def _records(journal: StoredJournal, at: int | str | None) -> int | None:
    return None if at is None else find(points_of(journal), str(at)).records
