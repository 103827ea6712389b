"""The client's errors, each with its user's next step.

SegueError
├── ClientError
│   ├── HandshakeRefused   the server refuses this caller: fix the credentials or the address
│   ├── SessionRefused     the server does not give this caller this session: see the code; use a new client
│   ├── NotReady           no holder has said ready in time: try again later (a TimeoutError)
│   ├── ConnectionLost     no connection for too long: try again later with a new client (a ConnectionError)
│   ├── NotOffered         the holder does not know this part of the protocol: do without it
│   ├── EventsNotRead      too many events wait unread: iterate over events()
│   └── ClientClosed       the client was closed: use a new one
└── SenderFull             too much text is unacknowledged: wait (``flush``), then send it again
"""

from __future__ import annotations

from typing import Final

from segue.errors import SegueError
from segue.wire.frames import Error

FATAL_CODES: Final = frozenset({"bad_session", "already_bound", "superseded"})
"""After these the server will refuse whatever this client says."""

CREDENTIAL_CODES: Final = frozenset({"unauthorized", "expired"})
"""After these it refuses what comes over this connection."""

EXPIRIES: Final = 3
"""Connections in a row whose credentials expire before a holder is ready; the client ends at the last. A busy server or
a slow network is over by then; a function that gets credentials which are old already never gets others."""


class ClientError(SegueError):
    """Base of what the client raises."""


class HandshakeRefused(ClientError):  # noqa: N818 - reads as the library's errors do
    """Raised when the server refuses the connection. Fix the credentials or the address.

    Attributes:
        status: HTTP status of the answer.
    """

    def __init__(self, status: int) -> None:
        """Name the status."""
        fault = "the credentials are missing, wrong or expired" if status in {401, 403} else "check the address"
        super().__init__(f"the server refuses the connection with status {status}: {fault}")
        self.status = status


class SessionRefused(ClientError):  # noqa: N818 - reads as the library's errors do
    """Raised when the server will never accept what this client says.

    Attributes:
        code: error code of the protocol.
    """

    def __init__(self, code: str, message: str) -> None:
        """Repeat what the server said."""
        super().__init__(f"{code}: {message}")
        self.code = code


class NotReady(ClientError, TimeoutError):  # noqa: N818 - reads as the library's errors do
    """Raised when the session was not ready in time. Try again later."""


class ConnectionLost(ClientError, ConnectionError):  # noqa: N818 - reads as the library's errors do
    """Raised after too long without a connection. What was not acknowledged may not have taken effect."""


class NotOffered(ClientError):  # noqa: N818 - reads as the library's errors do
    """Raised when the session's holder does not know a part of the protocol. Do without it; the client goes on."""


class EventsNotRead(ClientError):  # noqa: N818 - reads as the library's errors do
    """Raised when too many events wait unread (``lasting_capacity``, ``event_bytes``). Read ``events()`` steadily."""


class ClientClosed(ClientError):  # noqa: N818 - reads as the library's errors do
    """Raised when the client was closed or never started."""


def refusal_of(frame: Error, *, renewable: bool) -> SessionRefused | None:
    """Return the refusal that ends the client; ``None`` if another connection, or another time, may help.

    Args:
        frame: what the server said.
        renewable: whether the next connection has new credentials, which may be accepted.
    """
    if frame.code in FATAL_CODES or (frame.code in CREDENTIAL_CODES and not renewable):
        return SessionRefused(frame.code, frame.message)
    return None
