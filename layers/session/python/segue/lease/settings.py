"""The durations of a lease."""

from __future__ import annotations

from dataclasses import dataclass

from segue.lease.item_check import LONGEST_LEASE_MS

_SHORTEST_REQUEST_SECONDS = 6.0
_SHORTEST_HEARTBEAT_SECONDS = 2.0
"""Seconds that a request, and a heartbeat, may take at least, however short the lease is. With less, a busy machine
would retry requests that are about to be answered. The next heartbeat does not wait for a slow one."""


@dataclass(frozen=True, slots=True)
class LeaseSettings:
    """Duration of a lease, and interval of the heartbeats that renew it.

    Attributes:
        duration: Seconds that ``beat`` may stay the same before another process may take over.
        heartbeat: Seconds between two heartbeats, at most, while nothing is committed.
        margin: Seconds before the end of the lease at which a holder that could not renew it falls silent.
    """

    duration: float = 10.0
    heartbeat: float = 3.0
    margin: float = 1.0

    def __post_init__(self) -> None:
        """Refuse settings by which a healthy holder would lose its lease."""
        if not 0 < self.heartbeat <= (self.duration - self.margin) / 2 or self.margin <= 0:
            raise ValueError(
                f"lease of {self.duration} s, heartbeat every {self.heartbeat} s, margin of {self.margin} s: "
                "the heartbeat must be positive and fit twice into the duration less the margin"
            )
        if self.duration * 1000 > LONGEST_LEASE_MS:
            raise ValueError(f"lease of {self.duration} s: a dead holder would keep its sessions for more than 24 days")

    @property
    def request_timeout(self) -> float:
        """Seconds that a request for the guard item may take, retries included.

        A later answer comes after the holder has fallen silent.
        """
        return max(self.duration - self.margin, _SHORTEST_REQUEST_SECONDS)

    @property
    def heartbeat_timeout(self) -> float:
        """Seconds that a heartbeat may take. A later answer renews the lease for less than the next heartbeat does."""
        return max(self.duration - self.margin - self.heartbeat, _SHORTEST_HEARTBEAT_SECONDS)
