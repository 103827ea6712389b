"""The interface of a session manager that the worker uses: ``GuardedS3SessionManager``, or tests' own in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from segue.lease.item import Known
from segue.strands.approvals import Approvals


class Manager(Protocol):
    """One session's lease and journal. See ``segue.strands.manager`` for what each member means."""

    session_id: str
    session_key: str

    @property
    def epoch(self) -> int:
        """The fencing token."""
        ...

    @property
    def route_token(self) -> str:
        """The secret that callers of ``POST /frames`` show."""
        ...

    @property
    def holder(self) -> str:
        """The name of this process."""
        ...

    @property
    def head(self) -> int:
        """Records committed."""
        ...

    @property
    def position(self) -> int:
        """Records committed or queued."""
        ...

    @property
    def inputs(self) -> Mapping[str, Known]:
        """Which input of each client those records contain."""
        ...

    async def prepare(self) -> int:
        """Read the session while another holder has it; returns the number of its records."""
        ...

    async def open(self) -> None:
        """Acquire and read the session."""
        ...

    async def durable(self, position: int | None = None) -> None:
        """Return when so many records are committed."""
        ...

    async def close(self) -> None:
        """Flush and release."""
        ...

    async def leave(self) -> None:
        """Flush, release, and refuse what is recorded later."""
        ...

    def record_of(self, tracking_id: str) -> int | None:
        """Return the record of a message."""
        ...

    def author_of(self, tracking_id: str) -> tuple[str, int] | None:
        """Return the client whose input a message is the effect of, and the number of its last frame."""
        ...

    def approvals(self, agent_id: str = "default") -> Approvals:
        """An agent's approvals."""
        ...

    def deny_approvals(self, why: str) -> None:
        """Record that what a text agent waits for is denied; before this session's agent is built."""
        ...

    def taking(self, client_id: str, *seqs: int) -> AbstractContextManager[None]:
        """Say that what is recorded within is the effect of these inputs."""
        ...

    def note_input(self, client_id: str, seqs: Sequence[int]) -> None:
        """Say that the next message recorded is the effect of these inputs."""
        ...

    def record_input(self, client_id: str, seqs: Sequence[int]) -> None:
        """Record that these inputs have been dealt with."""
        ...

    def settle_input(self, client_id: str, seqs: Sequence[int]) -> None:
        """Settle inputs that have no effect to record."""
        ...

    def on_settled(self, callback: Callable[[str], None]) -> None:
        """Call back on this loop with each client whose settled inputs are known."""
        ...

    def on_lost(self, callback: Callable[[], None]) -> None:
        """Call back on this loop when the session is, or may be, another holder's."""
        ...

    @property
    def lease_renewed_at(self) -> float:
        """Time at which the last renewal was sent that succeeded."""
        ...

    async def renew_lease(self) -> bool:
        """Renew the lease at once; False if that was not confirmed."""
        ...

    @property
    def restored_bytes(self) -> int:
        """Bytes read when the session was opened."""
        ...

    def on_commit(self, callback: Callable[[int, float], None]) -> None:
        """Call back on this loop after each commit, with its records and the seconds that it took."""
        ...

    def lease_is_fresh(self) -> bool:
        """Return true if this holder may still send frames for the session."""
        ...
