"""Kept-alive HTTP connections that are not trusted for long.

A flow on which nothing was said for some minutes may be dropped on its way without a word (AWS documents 350 s for
tracked flows): what is sent into it is neither answered nor refused. So

    unused for 60 s          a connection is not used again
    used before              it has half a second to answer; then ``ReusedConnectionLost`` says that a new one may
    new                      it has all the time that its caller gives it
"""

import time
from http.client import HTTPException
from typing import Final, override

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager, Timeout
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ProtocolError
from urllib3.response import HTTPResponse

IDLE_SECONDS: Final = 60.0
"""Of two clocks the one that says more: while a function lies frozen, the monotonic one may stand still."""

REUSED_SECONDS: Final = 0.5
"""For the answer over a connection that was used before. A living one answers in some milliseconds."""


class ReusedConnectionLost(ProtocolError):  # noqa: N818 - an answer, not a fault
    """A connection that was used before brought no answer. The request may have arrived; a new connection tells."""


class _Aging(HTTPConnection):
    """A connection that knows when it last brought an answer."""

    _answered_at: tuple[float, float] | None = None
    """By both clocks; None: it is new."""

    @property
    @override
    def is_connected(self) -> bool:
        """Asked before a kept connection is used again."""
        return super().is_connected and self._idle_seconds() < IDLE_SECONDS

    @override
    def connect(self) -> None:
        self._answered_at = None
        super().connect()

    @override
    def getresponse(self) -> HTTPResponse:  # type: ignore[override] # urllib3 answers with a class of its own
        if self._answered_at is None:
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


class _AgingTls(_Aging, HTTPSConnection):
    """The same over TLS."""


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
