"""Loopback TCP ports: free ones, and one that is kept for a process that starts."""

from __future__ import annotations

import contextlib
import socket
import sys
from pathlib import Path
from typing import Self

from local.settings import LOOPBACK


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def kept_port(file: Path) -> int:
    """Return the port that a file names if it is free, else any free one."""
    with contextlib.suppress(OSError, ValueError):
        last = int(file.read_text(encoding="utf-8"))
        if port_is_free(last):
            return last
    return free_port()


def port_is_free(port: int) -> bool:
    """Tell whether a port can be listened on."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


class ReservedPort:
    """A port that the system gives to nothing else, such as another's outgoing connection, until it is released.

    A server that reuses addresses, as Python's and the emulator's do, may listen at it meanwhile. Only Linux allows
    that; elsewhere the port is one that was free a moment ago.

    Attributes:
        number: The port.
    """

    def __init__(self, port: int = 0) -> None:
        """Reserve a port.

        Args:
            port: One that is free; 0: any.

        Raises:
            OSError: It is not free any more.
        """
        self._socket = socket.socket()
        try:
            # Where the system chooses, not before it has: it would give a port that another reserved.
            if port:
                self._reuse()
            self._socket.bind((LOOPBACK, port))
            self._reuse()
            self.number: int = self._socket.getsockname()[1]
        except BaseException:
            self._socket.close()
            raise
        if sys.platform != "linux":
            self._socket.close()

    def _reuse(self) -> None:
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)

    def release(self) -> None:
        """Let the system give it to others, once nothing listens at it."""
        self._socket.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Release it."""
        self.release()
