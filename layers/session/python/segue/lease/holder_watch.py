"""Watch over the holder of a held item: when to attempt a takeover.

Apart from the lease because it is advisory: it decides when to try; the conditional write decides who wins.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from segue.clock import Clock
from segue.lease.item import GuardItem

Probe = Callable[[GuardItem], Awaitable[bool]]
"""Evidence that an item's holder is dead. A wrong "dead" costs a takeover, never data. ``SessionHeld``, raised by a
probe that is sure of the opposite, ends the wait."""

PROBE_AGAIN_SECONDS = 0.5
"""Seconds after a probe that was not sure before the same state is probed again: a holder may have died since."""

OnAttempt = Callable[[GuardItem], None]
"""Called with an item just before the write that attempts to acquire it."""


class HolderWatch:
    """Watch over a held item: how long it stays the same, on the observer's own clock.

    Attributes:
        read_at: Time of the latest reading, on that clock.
        silent: Whether the holder in the latest reading has sent no heartbeat for the lease's duration.
    """

    def __init__(self, clock: Clock, probe: Probe | None) -> None:
        """Begin without a reading."""
        self._clock = clock
        self._probe = probe
        self._state: tuple[str, str | None, int] | None = None
        self._since = clock.now()
        self._probed_at = clock.now()
        self.read_at = clock.now()
        self.silent = False

    async def may_try(self, seen: GuardItem | None) -> bool:
        """Tell whether to attempt an acquisition now: the item is free, or its holder is silent or dead."""
        self.read_at, self.silent = self._clock.now(), False
        if seen is None or not seen.held:
            return True
        state = (seen.born, seen.acquire_id, seen.beat)
        if state != self._state:
            self._state, self._since = state, self.read_at
            return await self._is_dead(seen)
        self.silent = self.read_at - self._since >= seen.lease_ms / 1000
        return self.silent or (self.read_at - self._probed_at >= PROBE_AGAIN_SECONDS and await self._is_dead(seen))

    async def _is_dead(self, seen: GuardItem) -> bool:
        if self._probe is None:
            return False
        try:
            return await self._probe(seen)
        finally:
            self._probed_at = self._clock.now()
