"""Kept-alive HTTP connections that are not trusted for long.

A flow on which nothing was said for some minutes may be dropped on its way without a word (AWS documents 350 s for
tracked flows): what is sent into it is neither answered nor refused. So

    unused for 60 s          a connection is not used again
    used before              it has 0.4 s to answer; then ``ReusedConnectionLost`` says that a new one may
    new                      it has all the time that its caller gives it; ``meanwhile`` gives that time a second use
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from http.client import HTTPException
from typing import Final, override

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager, Timeout
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ProtocolError
from urllib3.response import HTTPResponse
from urllib3.util import wait_for_read

IDLE_SECONDS: Final = 60.0
"""Seconds for which an unused connection is used again; after them a new one is opened. Of two clocks the one that says
more: while a function lies frozen, the monotonic one may stand still."""

REUSED_SECONDS: Final = 0.4
"""Seconds for the answer over a connection that was used before; after them ``ReusedConnectionLost`` is raised. A
living one answers in some milliseconds. Below the half second after which a search for another holder begins
(``gateway.post``): a flow that was dropped causes none."""

LEAST_SECONDS: Final = 0.05
"""Seconds that are left for an answer after what was done meanwhile, however long that took: it may lie there already.
After them the wait has timed out."""


class ReusedConnectionLost(ProtocolError):  # noqa: N818 - an answer, not a fault
    """A connection that was used before brought no answer. The request may have arrived; a new connection tells."""


@dataclass(slots=True)
class _Meanwhile:
    """A call that is due once no answer has come by a time of the monotonic clock."""

    at: float
    call: Callable[[], None]
    called: bool = False


_meanwhile: ContextVar[_Meanwhile | None] = ContextVar("meanwhile", default=None)


@contextmanager
def meanwhile(call: Callable[[], None], after_seconds: float) -> Iterator[None]:
    """Do something else beside the requests of this block, once, if they have brought no answer for so long.

    The request stays sent while ``call`` runs, on this thread, and its answer is read afterwards. So nothing is
    aborted, and no thread is left over that a frozen function would keep.

    Args:
        call: Done beside the request; counts as a part of the request's own time. It raises nothing.
        after_seconds: From here on, connecting included.
    """
    token = _meanwhile.set(_Meanwhile(time.monotonic() + after_seconds, call))
    try:
        yield
    finally:
        _meanwhile.reset(token)


def _use_the_wait(connection: HTTPConnection) -> None:
    """Wait for the first byte of an answer, and do what is to be done meanwhile if it does not come in time."""
    due, limit = _meanwhile.get(), connection.timeout
    if due is None or due.called or connection.sock is None or not limit:
        return
    until = time.monotonic() + limit
    wait = max(0.0, due.at - time.monotonic())
    if wait >= limit or wait_for_read(connection.sock, wait):
        return
    due.called = True
    due.call()
    connection.timeout = max(LEAST_SECONDS, until - time.monotonic())


class _Aging(HTTPConnection):
    """A connection that knows when it last brought an answer."""

    _answered_at: tuple[float, float] | None = None
    """By both clocks; None: it is new."""

    @property
    @override
    def is_connected(self) -> bool:
        """Tell whether a kept connection may be used again."""
        return super().is_connected and self._idle_seconds() < IDLE_SECONDS

    @override
    def connect(self) -> None:
        self._answered_at = None
        super().connect()

    @override
    def getresponse(self) -> HTTPResponse:  # type: ignore[override] # urllib3 answers with a class of its own
        if self._answered_at is None:
            _use_the_wait(self)
            answer = super().getresponse()
        else:
            self.timeout = min(self.timeout or REUSED_SECONDS, REUSED_SECONDS)
            try:
                answer = super().getresponse()
            except (OSError, HTTPException) as error:
                raise ReusedConnectionLost("no answer over a connection that was used before", error) from error
        self._answered_at = _now()
        return answer

    def _idle_seconds(self) -> float:
        if self._answered_at is None:
            return 0.0
        return max(now - then for now, then in zip(_now(), self._answered_at, strict=True))


class _New(HTTPConnection):
    """A connection that is not used again."""

    @property
    @override
    def is_connected(self) -> bool:
        return False

    @override
    def getresponse(self) -> HTTPResponse:  # type: ignore[override] # urllib3 answers with a class of its own
        _use_the_wait(self)
        return super().getresponse()


class _AgingTls(_Aging, HTTPSConnection):
    """An aging connection over TLS."""


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Aging


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _AgingTls


class _NewPool(HTTPConnectionPool):
    ConnectionCls = _New


def pool(timeout: Timeout, *, hosts: int, connections: int = 1, used_again: bool = True) -> PoolManager:
    """Make a pool of such connections; none is opened yet, and nothing is tried twice.

    Args:
        timeout: For a new connection.
        hosts: How many are remembered.
        connections: Kept for each of them at most.
        used_again: False: each request has a connection of its own, without TLS.
    """
    if used_again:
        made = PoolManager(num_pools=hosts, maxsize=connections, retries=False, timeout=timeout)
        made.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}
        return made
    made = PoolManager(num_pools=hosts, retries=False, timeout=timeout, headers={"connection": "close"})
    made.pool_classes_by_scheme = {"http": _NewPool}
    return made


def _now() -> tuple[float, float]:
    return time.monotonic(), time.time()
