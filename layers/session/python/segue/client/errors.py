"""What can go wrong for a client, and what its user does about it.

SegueError
├── ClientError
│   ├── HandshakeRefused   the server does not let this caller in: fix the credentials or the address
│   ├── SessionRefused     the server does not give this caller this session: fix the session id, or use a new client
│   ├── NotReady           no holder has said ready in time: try again later (a TimeoutError)
│   ├── ConnectionLost     no connection for too long: try again later with a new client (a ConnectionError)
│   └── ClientClosed       the client was closed: use a new one
└── SenderFull             too much is unacknowledged: wait, or stop sending
"""

from segue.errors import SegueError


class ClientError(SegueError):
    """Base of what the client raises."""


class HandshakeRefused(ClientError):  # noqa: N818 - reads as the library's errors do
    """The server refuses the connection. Fix the credentials or the address.

    Attributes:
        status: HTTP status of the answer.
    """

    def __init__(self, status: int) -> None:
        """Name the status."""
        super().__init__(f"the server refuses the connection with status {status}; check credentials and address")
        self.status = status


class SessionRefused(ClientError):  # noqa: N818 - reads as the library's errors do
    """The server will never accept what this client says.

    Attributes:
        code: error code of the protocol.
    """

    def __init__(self, code: str, message: str) -> None:
        """Repeat what the server said."""
        super().__init__(f"{code}: {message}")
        self.code = code


class NotReady(ClientError, TimeoutError):  # noqa: N818 - reads as the library's errors do
    """The session was not ready in time. Try again later."""


class ConnectionLost(ClientError, ConnectionError):  # noqa: N818 - reads as the library's errors do
    """There was no connection for too long. What was not acknowledged may not have taken effect."""


class ClientClosed(ClientError):  # noqa: N818 - reads as the library's errors do
    """The client was closed or never started."""
