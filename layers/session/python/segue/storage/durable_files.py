"""Files that are complete or not there, and locks on them: written beside their place, synced, renamed.

kill -9 and power loss leave no half of a file in a place that is read. The kernel drops a lock when its process dies.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from segue.errors import StorageUnavailable
from segue.storage.interface import PreconditionFailed

TEMPORARY = "~writing-"
"""Prefix of the names of files that are being written. No id has a tilde, so no item or object has such a name."""

LOCK_SECONDS = 2.0
"""Seconds to wait for a file's lock, then StorageUnavailable. A process that is stopped in the middle of a write keeps
its lock, and a thread that waits for it serves no other session."""

_LOCK_POLL_SECONDS = 0.002
"""Seconds between two attempts to lock a file; ``LOCK_SECONDS`` bounds all of them."""


def make_private(directory: Path) -> None:
    """Make a directory, and those above it that are missing, for their owner alone."""
    try:
        directory.mkdir(mode=0o700, exist_ok=True)
    except FileNotFoundError:
        make_private(directory.parent)
        directory.mkdir(mode=0o700, exist_ok=True)


def open_privately(path: str, flags: int) -> int:
    """Open a file; one that is made is for its owner alone."""
    return os.open(path, flags, 0o600)


@contextlib.contextmanager
def _written_beside(path: Path, body: bytes) -> Iterator[Path]:
    """Write a file that is about to be put in its place. It is locked meanwhile, and gone afterwards."""
    make_private(path.parent)
    descriptor, name = tempfile.mkstemp(prefix=TEMPORARY, dir=path.parent)
    beside = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
            yield beside
    finally:
        beside.unlink(missing_ok=True)


def replace_file(path: Path, body: bytes) -> None:
    """Write a file, in the place of one that may be there."""
    with _written_beside(path, body) as beside:
        beside.replace(path)
    _sync_directory(path.parent)


def create_file(path: Path, body: bytes) -> None:
    """Write a file where none is.

    Raises:
        PreconditionFailed: There is one.
    """
    with _written_beside(path, body) as beside:
        try:
            path.hardlink_to(beside)  # unlike a rename, fails if there is such a file
        except FileExistsError:
            raise PreconditionFailed(str(path)) from None
    _sync_directory(path.parent)


def clear_unfinished(unfinished: Iterable[Path]) -> None:
    """Remove what processes that died in the middle of a write have left. A living one has its file locked.

    One that is removed between its making and its locking is missed when it is put in its place, and the write is
    sent again.
    """
    for path in unfinished:
        with contextlib.suppress(OSError), path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def lock_file(descriptor: int, path: Path) -> None:
    """Lock an open file; closing it releases the lock.

    Raises:
        StorageUnavailable: Another process kept the lock for ``LOCK_SECONDS``.
    """
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise StorageUnavailable(
                    f"{path}: locked for {LOCK_SECONDS} s by a slow or stopped process: end that process"
                ) from None
            time.sleep(_LOCK_POLL_SECONDS)
        else:
            return


@contextlib.contextmanager
def directory_lock(directory: Path) -> Iterator[None]:
    """Keep a directory locked; it is made if it is missing.

    Raises:
        StorageUnavailable: As ``lock_file``.
    """
    make_private(directory)
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        lock_file(descriptor, directory)
        yield
    finally:
        os.close(descriptor)
