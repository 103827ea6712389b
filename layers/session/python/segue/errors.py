"""Segue's errors, each with the caller's next step.

    SegueError
    ├── SessionHeld          another holder is writing this session: retry later
    ├── SessionFenced        another holder has acquired this session: discard this agent, never retry
    ├── SessionNotFound      there is no such session: check the id, or create it
    ├── SessionExists        there is one already: choose another id, or delete it first
    ├── JournalCorrupt       stored data is damaged: stop, page the data's owner, run ``segue sessions verify``
    ├── RecordTooLarge       one record is over the limit: make it smaller; the session goes on without it
    ├── ValueRefused         a value has no JSON form: convert it; the session goes on without it
    ├── StorageUnavailable   S3 or DynamoDB do not answer: retry with backoff; nothing acknowledged is lost
    └── StorageRefused       S3 or DynamoDB refuse (permissions, credentials, a missing bucket or table): fix that

Each error carries the facts as attributes, so that programs need not read the sentence.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

__all__ = [
    "JournalCorrupt",
    "RecordTooLarge",
    "SegueError",
    "SessionExists",
    "SessionFenced",
    "SessionHeld",
    "SessionNotFound",
    "StorageRefused",
    "StorageUnavailable",
    "ValueRefused",
]


class SegueError(Exception):
    """Base of all errors that Segue raises on purpose."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the facts as they are: their constructors do not take the sentence."""
        return _as_it_was, (type(self), self.args, self.__dict__)


def _as_it_was(kind: type[SegueError], args: tuple[Any, ...], facts: dict[str, Any]) -> SegueError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(facts)
    return error


def _session(session_key: str | None, shown: str) -> str:
    return f"session {shown or session_key!r}" if session_key else "session"


class SessionHeld(SegueError):  # noqa: N818 - public name fixed by the design
    """Another holder keeps the session alive. Retry later, or send the work to that holder.

    Attributes:
        holder: The holder, as it named itself.
        epoch: The holder's fencing token.
        session_key: Which session, None if that was not said.
        here: Whether the holder is another session manager of this process.
    """

    def __init__(
        self, holder: str, epoch: int, session_key: str | None = None, *, shown: str = "", here: bool = False
    ) -> None:
        """Name the holder, its epoch and the session; ``shown`` is its key for people."""
        by = f"by this process ({holder!r})" if here else f"by {holder!r}"
        then = "close the other session manager of it" if here else "retry later or send the work to that holder"
        super().__init__(f"{_session(session_key, shown)} is held {by} at epoch {epoch}; {then}")
        self.holder = holder
        self.epoch = epoch
        self.session_key = session_key
        self.here = here


RELEASED = "a holder that has released it since"
"""The winner's name in ``SessionFenced`` when its item has no holder any more."""


class SessionFenced(SegueError):  # noqa: N818 - public name fixed by the design
    """Raised when another holder has acquired the session. Discard this agent and never retry the write.

    Attributes:
        epoch: The epoch this writer had.
        winner: The later holder (``RELEASED`` if it has released since), or None if the session has ended.
        session_key: Which session, None if that was not said.
    """

    def __init__(self, epoch: int, winner: str | None, session_key: str | None = None, *, shown: str = "") -> None:
        """Name the lost epoch, the winner and the session; ``shown`` is its key for people."""
        by = f"taken over by {winner!r}" if winner else "ended"
        which = _session(session_key, shown)
        super().__init__(f"{which} was {by} after epoch {epoch}; discard this agent and restore the session anew")
        self.epoch = epoch
        self.winner = winner
        self.session_key = session_key


class SessionNotFound(SegueError):  # noqa: N818 - public name fixed by the design
    """Raised when there is no such session, or it was deleted or has expired.

    Attributes:
        session_key: The key that was looked up.
    """

    def __init__(self, session_key: str, shown: str = "") -> None:
        """Name the session that is not there; ``shown`` is its key for people."""
        super().__init__(f"no session {shown or session_key!r}: check the id, or let an agent create it")
        self.session_key = session_key


class SessionExists(SegueError):  # noqa: N818 - reads as the others do
    """Raised when a copy would overwrite a session. Choose another id, or delete that session first.

    Attributes:
        session_key: What is there already.
    """

    def __init__(self, session_key: str, shown: str = "") -> None:
        """Name what is there already; ``shown`` is its key for people."""
        super().__init__(f"{shown or session_key!r} exists already: choose another id, or delete it first")
        self.session_key = session_key


class JournalCorrupt(SegueError):  # noqa: N818 - public name fixed by the design
    """Raised when stored data contradicts the guard item. Stop and page the data's owner: going on could lose more.

    Attributes:
        key: The object or item that is wrong.
        record: The number of the record in it that is wrong; None if it is the object as a whole.
        problem: The fault.
    """

    def __init__(self, key: str, problem: str, record: int | None = None) -> None:
        """Name the object, the fault, and the record if it is one."""
        what = problem if record is None else f"record {record}: {problem}"
        super().__init__(f"{key}: {what}; stop writing, run 'segue sessions verify' and page the owner of the data")
        self.key = key
        self.record = record
        self.problem = problem


class RecordTooLarge(SegueError):  # noqa: N818 - reads as the others do
    """Raised when one record is over the size limit. It was not queued; all records before it stay queued.

    Attributes:
        size: Encoded size in bytes.
        limit: The largest size in bytes that a record may have.
    """

    def __init__(self, size: int, limit: int) -> None:
        """Give the size and the limit in bytes."""
        super().__init__(f"a record of {size:,} bytes is over the limit of {limit:,}: split it or store it elsewhere")
        self.size = size
        self.limit = limit


class ValueRefused(SegueError):  # noqa: N818 - reads as the others do
    """Raised when a value has no JSON form, and was not recorded as it is. The session goes on.

    A message is recorded with a text in its place; a state stays as it was recorded last.

    Attributes:
        path: Its place, ``message.content[0].toolResult.content[0].json.price``.
        reason: The reason of the refusal.
    """

    def __init__(self, path: str, reason: str) -> None:
        """Name the value's place and the reason of the refusal."""
        super().__init__(f"{path}: {reason}; make it what JSON has (a list of a set, a str of a Decimal)")
        self.path = path
        self.reason = reason


class StorageUnavailable(SegueError):  # noqa: N818 - public name fixed by the design
    """Storage did not answer, or answered that it cannot now. Retry with backoff.

    The outcome of the failed request is unknown. Acknowledged records are durable; all others stay queued.
    """

    def __init__(self, problem: str) -> None:
        """Name the bucket, table, file or session, the request and its outcome."""
        super().__init__(f"{problem}; nothing acknowledged is lost: retry with backoff")


class StorageRefused(SegueError):  # noqa: N818 - reads as the others do
    """Storage refused the request, and a retry cannot help: permissions, credentials, a missing bucket or table.

    Attributes:
        resource: The bucket, table, or key of the request.
    """

    def __init__(self, resource: str, reason: str, remedy: str | None = None) -> None:
        """Name the resource, the reason and the remedy; default: fix the name, region or permissions."""
        super().__init__(f"{resource}: {reason}; {remedy or 'fix the name, region or permissions'}, then retry")
        self.resource = resource


class FirstError:
    """Collector of errors: each of several steps is tried, and the first error is raised at the end.

    Example:
        ```python
        with FirstError() as error:
            for recorder in recorders:
                with error.kept():
                    recorder.state()
        ```
    """

    def __init__(self) -> None:
        """Begin without an error."""
        self._error: SegueError | None = None

    @contextlib.contextmanager
    def kept(self) -> Iterator[None]:
        """Keep a ``SegueError`` of the block instead of raising it."""
        try:
            yield
        except SegueError as error:
            self._error = self._error or error

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Raise the first error, unless something else is raised."""
        if error is None and self._error is not None:
            raise self._error
