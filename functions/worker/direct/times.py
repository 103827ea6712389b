"""Time limits of the direct transport that a process may be given; the others stand in their modules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from shared.ingress.handoffs import HANDOVER_SECONDS
from shared.ingress.recent_claims import QUIET_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class TransportTimes:
    """Time limits of one process's sockets and of their sessions.

    Attributes:
        handshake_seconds: For the bytes of a request to arrive; after them its connection is aborted. The balancer has
            ended TLS, and a client sends them at once.
        hello_seconds: For the first ``hello`` of a socket; then it is closed. Until then it belongs to no session that
            would be counted.
        ping_seconds: Between two pings; a socket that does not answer one is closed. Below every idle time-out on the
            way: 350 s at a Network Load Balancer, about a minute in some networks.
        pong_seconds: While a ``hello`` waits for the table of connections, or for its holder, its client hears so often
            that this worker lives: it leaves one from which nothing comes for 1.5 s. The pings behind the ``hello`` are
            read after it only.
        renewal_seconds: After which a socket's rows are renewed; they live a quarter of an hour
            (``shared.connections``), so that two renewals in a row may fail.
        rows_look_seconds: Between two looks for rows that are due: the renewals of one moment's sockets spread.
        handover_seconds: For the successor of a session to acquire it; after them it is claimed as any other.
        quiet_seconds: Between two claims of a session.
        settled_seconds: For which a session that was handed over stays, to hear again what was not answered and to
            answer it; then it may follow its socket.
        room_look_seconds: Between two looks at whether a worker of its clients' sockets has room for a session.
        gone_over_seconds: For the clients of a session to say ``hello`` elsewhere, after their ``reconnect`` was due.
            After them the session goes to the best worker there is, and follows its socket later.
        last_seconds: For sockets whose session is gone; then they are closed. Their clients know ``reconnect`` and are
            late, or do not know it.
        left_seconds: From the signal on after which every socket is closed. The platform ends the process after 120.
    """

    handshake_seconds: float = 1.0
    hello_seconds: float = 10.0
    ping_seconds: float = 30.0
    pong_seconds: float = 0.75
    renewal_seconds: float = 4 * 60.0
    rows_look_seconds: float = 5.0
    handover_seconds: float = HANDOVER_SECONDS
    quiet_seconds: float = QUIET_SECONDS
    settled_seconds: float = 10.0
    room_look_seconds: float = 30.0
    gone_over_seconds: float = 3.0
    last_seconds: float = 10.0
    left_seconds: float = 105.0


TRANSPORT_TIMES: Final = TransportTimes()
"""The time limits of a worker; tests give others."""
