"""The stores that sessions are looked after in, opened for each call, and the keys of the sessions there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import wait
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from segue.clock import Clock
from segue.ids import session_key
from segue.journal.keys import check_length
from segue.session.runtime import Runtime
from segue.storage.stores import Stores
from segue.strands.file import directory_of, file_stores
from segue.strands.s3 import open_stores

if TYPE_CHECKING:
    import boto3

_T = TypeVar("_T")

OpenSource = Callable[[Runtime], Awaitable[Stores]]
"""Callback that opens the stores of sessions, on the storage loop."""

DEFAULT_PRINCIPAL = "default"
"""The principal of a session whose manager is given none."""

_NOTICE_SECONDS = 0.5
"""Seconds after which Ctrl-C is noticed at the latest. A signal that comes just before the main thread begins to wait
for a lock does not wake it."""


def in_bucket(
    bucket: str,
    lock_table: str,
    *,
    prefix: str = "",
    boto_session: boto3.Session | None = None,
    region_name: str | None = None,
    endpoint_url: str | None = None,
    kms_key_id: str | None = None,
) -> OpenSource:
    """Return what opens the stores of a bucket and a lock table; see ``open_stores``."""

    async def opened(runtime: Runtime) -> Stores:
        return await open_stores(
            runtime,
            bucket=bucket,
            lock_table=lock_table,
            prefix=prefix,
            boto_session=boto_session,
            region_name=region_name,
            endpoint_url=endpoint_url,
            kms_key_id=kms_key_id,
        )

    return opened


def in_directory(path: str | Path | None) -> OpenSource:
    """Return what opens the stores of a directory; None: that of ``GuardedFileSessionManager``."""

    async def opened(runtime: Runtime) -> Stores:
        return file_stores(runtime, directory_of(path))

    return opened


class SessionSource:
    """Stores with sessions.

    Attributes:
        open: Opens the stores.
        principal: Whose sessions; None: those of all principals.
    """

    def __init__(self, open_source: OpenSource, principal: str | None, prefix: str | None) -> None:
        """Keep how the stores are opened; no I/O.

        Args:
            open_source: Opens the stores.
            principal: Whose sessions; None: ``DEFAULT_PRINCIPAL`` where a session is named without one.
            prefix: Prefix of all object keys, which bounds their length; None: there is no bound.
        """
        self.open = open_source
        self.principal = principal
        self._prefix = prefix

    def key(self, session_id: str, principal: str | None = None) -> str:
        """Return the key of a session in storage.

        Raises:
            ValueError: The id or the principal is not valid, or the key is too long.
        """
        named, slash, name = session_id.rpartition("/")
        key = session_key(named if slash else principal or self.principal or DEFAULT_PRINCIPAL, name)
        if self._prefix is not None:
            check_length(self._prefix, key)
        return key

    def run(self, work: Callable[[Stores, Clock], Coroutine[Any, Any, _T]]) -> _T:
        """Run a coroutine with the stores on the storage loop, and return its result."""
        runtime = Runtime.shared()

        async def opened() -> _T:
            return await work(await self.open(runtime), runtime.clock)

        done = runtime.submit(opened())
        while wait((done,), _NOTICE_SECONDS).not_done:
            pass  # the interpreter has had its turn, and Ctrl-C with it
        return done.result()
