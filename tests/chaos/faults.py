"""Faults of the network. The emulator loses, delays and refuses nothing by itself."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum


class Fate(StrEnum):
    """Fate of a message or a request."""

    FINE = "fine"
    LOST = "lost"
    LATE = "late"
    REFUSED = "refused"
    BROKEN = "broken"
    UNANSWERED = "unanswered"
    CUT = "cut"


@dataclass(frozen=True)
class FaultRates:
    """Chances, for each message of a socket or each request.

    Attributes:
        lost: It never arrives, and neither side is told.
        late: It arrives after a while; what was sent after it may arrive before it.
        refused: 429, not carried out (requests only).
        broken: 503, not carried out (requests only).
        unanswered: Carried out, and the answer is lost (requests only).
        cut: The socket breaks (sockets only).
        longest_s: How late it is at most, in seconds.
    """

    lost: float = 0.0
    late: float = 0.0
    refused: float = 0.0
    broken: float = 0.0
    unanswered: float = 0.0
    cut: float = 0.0
    longest_s: float = 0.0

    @property
    def _chances(self) -> dict[Fate, float]:
        return {fate: getattr(self, fate.value) for fate in Fate if fate is not Fate.FINE}


NO_FAULTS = FaultRates()
SOCKET_FAULTS = FaultRates(lost=0.01, late=0.1, cut=0.0005, longest_s=0.2)
"""API Gateway loses a frame when a function is throttled or fails. One in a hundred is far more than in production."""
REQUEST_FAULTS = FaultRates(lost=0.003, late=0.05, refused=0.005, broken=0.005, unanswered=0.003, longest_s=0.1)


class FaultInjector:
    """Draws fates, and counts them."""

    def __init__(self, rates: FaultRates, dice: random.Random) -> None:
        self.count: Counter[Fate] = Counter()
        self._rates = rates
        self._dice = dice

    def draw(self) -> Fate:
        """Draw the fate of the next message or request."""
        chances = self._rates._chances
        drawn = self._dice.choices([*chances, Fate.FINE], [*chances.values(), max(0.0, 1.0 - sum(chances.values()))])[0]
        self.count[drawn] += 1
        return drawn

    async def linger(self) -> None:
        """Wait as long as a late message is delayed."""
        await asyncio.sleep(self._dice.uniform(0.0, self._rates.longest_s))
