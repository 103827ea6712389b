"""Pauses between attempts to connect, without any I/O.

With full jitter, doubled each time: thousands of clients may have lost the same server. A worker that ends or is full
says so as it closes; another one may have room, so the first attempts after that are made at once (RFC 0026).
"""

from __future__ import annotations

import random
from typing import Final

from segue.backoff import backoff
from segue.client.settings import ClientSettings
from segue.wire.codes import SERVICE_RESTART, TRY_AGAIN_LATER

AT_ONCE: Final = 2
"""Attempts in a row without a pause; later ones pause, since all workers may be full."""


class Retries:
    """Attempts since a holder last said ``Ready``."""

    def __init__(self, settings: ClientSettings) -> None:
        """Begin with none."""
        self._settings = settings
        self.succeeded()

    def succeeded(self) -> None:
        """Note that a holder has said ``Ready``: the next failure is the first."""
        self._first = True
        self._at_once = 0
        longest = self._settings.longest_backoff
        self._pauses = backoff(min(self._settings.first_backoff, longest), longest, jitter=False)

    @property
    def first(self) -> bool:
        """Tell whether there was no pause since then."""
        return self._first

    def pause(self, close_code: int | None) -> float:
        """Seconds until the next attempt.

        Args:
            close_code: of the connection that has ended; ``None`` if none was had, or it broke off.
        """
        if close_code in {SERVICE_RESTART, TRY_AGAIN_LATER} and self._at_once < AT_ONCE:
            self._at_once += 1
            return 0.0
        self._first = False
        return random.uniform(0, next(self._pauses))  # noqa: S311 - jitter, not a secret
