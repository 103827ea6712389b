"""Storage in a local directory: for development, tests, and single servers.

    <directory>/guard/<session_key>.json      the guard item
    <directory>/guard/<session_key>.lock      held with flock while an item is compared and written
    <directory>/<object key>                  objects, under the same keys as in S3

Processes on one machine exclude each other by the same guard as on DynamoDB; the file lock only makes
compare-and-write atomic, and the kernel drops it when its process dies. A file is complete or not there:
written beside its place, synced, renamed, and the directory synced, so that kill -9 and power loss leave no
half of one in a place that is read. Network file systems whose flock or rename is not atomic will not do.

New directories have mode 0700, new files 0600. The mode of an existing directory stays.

On a file system that ignores case, two session ids may name one file. The item names its session, so the second
session is refused, and neither reads nor writes records of the first.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import TypeVar

from segue.errors import JournalCorrupt, StorageRefused, StorageUnavailable
from segue.storage.attributes import Attributes
from segue.storage.durable_files import (
    TEMPORARY,
    clear_unfinished,
    create_file,
    directory_lock,
    lock_file,
    make_private,
    open_privately,
    replace_file,
)
from segue.storage.interface import (
    ConditionalWrite,
    ConditionFailed,
    ObjectMissing,
    PreconditionFailed,
    StoredObject,
)

_T = TypeVar("_T")


class FileGuard:
    """Guard items, a JSON file each."""

    def __init__(self, directory: Path, executor: Executor) -> None:
        """Use a directory; it is made when something is written."""
        self._directory = directory / "guard"
        self._executor = executor

    async def read(self, session_key: str) -> Attributes | None:
        """Read an item."""
        return await _run(self._executor, lambda: self._load(session_key), self._directory)

    async def write(self, write: ConditionalWrite) -> Attributes:
        """Apply a change if its condition holds."""
        begins = all(clause.holds(None) for clause in write.condition)

        def apply() -> Attributes:
            if not begins and not self._path(write.session_key).parent.exists():
                raise ConditionFailed(None)  # removed while it was held: a release must not bring the directory back
            with self._locked(write.session_key):
                item = self._load(write.session_key)
                if not all(clause.holds(item) for clause in write.condition):
                    raise ConditionFailed(item)
                changed = write.applied(item)
                replace_file(self._path(write.session_key), json.dumps(changed).encode())
                return changed

        return await _run(self._executor, apply, self._directory)

    def wall(self) -> None:
        """Tell no time: this machine's clock is the only one."""

    async def keys(self, prefix: str) -> list[str]:
        """List session keys."""

        def walk() -> list[str]:
            clear_unfinished(self._directory.glob(f"*/{TEMPORARY}*"))
            keys = map(self._key_at, self._directory.glob("*/*.json"))
            return sorted(key for key in keys if key.startswith(prefix))

        return await _run(self._executor, walk, self._directory)

    def _path(self, session_key: str) -> Path:
        return self._directory / f"{session_key}.json"

    def _load(self, session_key: str) -> Attributes | None:
        path = self._path(session_key)
        try:
            item = json.loads(path.read_bytes())
        except FileNotFoundError:
            return None
        except (ValueError, RecursionError, IsADirectoryError) as error:
            raise JournalCorrupt(str(path), f"not a readable guard item ({error})") from error
        if not isinstance(item, dict):
            raise JournalCorrupt(str(path), "not a readable guard item (no object)")
        whose = _key_in_another_case(item, session_key)
        if whose != session_key:
            reason = f"holds session {whose!r}: this file system does not tell {session_key!r} from it; use another id"
            raise StorageRefused(str(path), reason)
        return item

    def _key_at(self, path: Path) -> str:
        """The key of the item in a file: its directory may have been made for another principal."""
        key = str(path.relative_to(self._directory).with_suffix(""))
        try:
            return _key_in_another_case(json.loads(path.read_bytes()), key)
        except (OSError, ValueError, RecursionError):
            return key  # reading the item tells why

    @contextlib.contextmanager
    def _locked(self, session_key: str) -> Iterator[None]:
        path = self._directory / f"{session_key}.lock"
        make_private(path.parent)
        with open(path, "ab", opener=open_privately) as lock:
            lock_file(lock.fileno(), path)
            yield


class FileObjects:
    """Objects, a file each."""

    def __init__(self, directory: Path, executor: Executor) -> None:
        """Use a directory; it is made when something is written."""
        self._directory = directory
        self._executor = executor

    async def get(self, key: str) -> StoredObject:
        """Read an object."""

        def read() -> StoredObject:
            try:
                body = self._path(key).read_bytes()
            except FileNotFoundError:
                raise ObjectMissing(key) from None
            return StoredObject(body, _etag(body))

        return await _run(self._executor, read, self._path(key))

    async def put(self, key: str, body: bytes, *, if_absent: bool = False, if_match: str | None = None) -> None:
        """Write an object."""

        def write() -> None:
            path = self._path(key)
            if if_absent:
                create_file(path, body)
            elif if_match is not None:
                with directory_lock(path.parent):
                    if not path.exists() or _etag(path.read_bytes()) != if_match:
                        raise PreconditionFailed(key)
                    replace_file(path, body)
            else:
                replace_file(path, body)

        await _run(self._executor, write, self._path(key))

    async def delete(self, keys: Sequence[str]) -> None:
        """Delete objects, and the directories that this leaves empty."""

        def remove() -> None:
            for key in keys:
                path = self._path(key)
                path.unlink(missing_ok=True)
                for parent in path.relative_to(self._directory).parents:
                    with contextlib.suppress(OSError):
                        (self._directory / parent).rmdir()

        await _run(self._executor, remove, self._directory)

    async def list(self, prefix: str) -> list[str]:
        """List keys. What a crash has left half written is removed on the way."""

        def walk() -> list[str]:
            root = self._path(prefix.rpartition("/")[0])
            clear_unfinished(root.rglob(f"{TEMPORARY}*"))
            found = (str(path.relative_to(self._directory)) for path in root.rglob("*.json"))
            return sorted(key for key in found if key.startswith(prefix))

        return await _run(self._executor, walk, self._directory)

    def _path(self, key: str) -> Path:
        return self._directory / key


def _key_in_another_case(item: object, key: str) -> str:
    """The key in an item if it is ``key`` but for upper and lower case, else ``key``: other damage is not seen here."""
    whose = item.get("session_key") if isinstance(item, dict) else None
    return whose if isinstance(whose, str) and whose.lower() == key.lower() else key


def _etag(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


async def _run(executor: Executor, work: Callable[[], _T], resource: Path) -> _T:
    try:
        return await asyncio.get_running_loop().run_in_executor(executor, work)
    except PermissionError as error:
        raise StorageRefused(str(resource), f"permission denied ({error.strerror})") from error
    except OSError as error:
        raise StorageUnavailable(f"{resource}: {error.strerror or error}") from error
