"""Whether one may try to acquire a session that somebody holds.

Apart from the lease because it decides nothing: it is a matter of manners, and the conditional write's who wins.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from segue.clock import Clock
from segue.lease.item import GuardItem

Probe = Callable[[GuardItem], Awaitable[bool]]
"""Tells whether an item's holder is certainly dead. A wrong yes costs a call its holder and nothing else."""

Trying = Callable[[GuardItem], None]
"""Is told of an item just before the write that is to acquire it."""


class Watch:
    """Times, on the observer's own clock, how long a held item stays the same.

    Attributes:
        looked_at: When it was last told of the item, on that clock.
        silent: Whether the holder that it was told of last has not beaten for its lease.
    """

    def __init__(self, clock: Clock, probe: Probe | None) -> None:
        """Begin with nothing seen."""
        self._clock = clock
        self._probe = probe
        self._state: tuple[str, str | None, int] | None = None
        self._since = clock.now()
        self.looked_at = clock.now()
        self.silent = False

    async def may_try(self, seen: GuardItem | None) -> bool:
        """Whether manners allow an attempt on what was just read."""
        self.looked_at, self.silent = self._clock.now(), False
        if seen is None or not seen.held:
            return True
        state = (seen.born, seen.acquire_id, seen.beat)
        if state != self._state:
            self._state, self._since = state, self.looked_at
            return self._probe is not None and await self._probe(seen)
        self.silent = self.looked_at - self._since >= seen.lease_ms / 1000
        return self.silent
