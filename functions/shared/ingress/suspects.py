"""Routes that have not answered, for as long as they are left alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from segue.bounded import BoundedDict
from shared.ingress.routes import Route

SUSPECT_SECONDS: Final = 3.0
"""Seconds for which a route that did not answer is left alone: a hung worker must not cost every frame a time-out."""

SUSPECTS: Final = 512
"""Routes that are remembered as not answering; one that is forgotten costs a frame a time-out again."""


class Suspects:
    """Routes that have not answered."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Begin with none.

        Args:
            clock: monotonic, in seconds.
        """
        self._clock = clock
        self._suspected_until: BoundedDict[Route, float] = BoundedDict(SUSPECTS)

    def note_route(self, route: Route) -> None:
        """Note that a route has not answered."""
        self._suspected_until[route] = self._clock() + SUSPECT_SECONDS

    def __contains__(self, route: Route) -> bool:
        """Return true if a route is to be left alone now."""
        until = self._suspected_until.get(route)
        return until is not None and self._clock() < until
