"""Stopwatch for one session's opening: its log line says which part took how long."""

from __future__ import annotations

from collections.abc import Callable


class Stopwatch:
    """Stopwatch of parts that follow each other."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Begin the first part.

        Args:
            clock: Seconds.
        """
        self._clock = clock
        self._began = self._last = clock()
        self._parts: dict[str, float] = {}

    @property
    def seconds(self) -> float:
        """Seconds since the beginning."""
        return self._clock() - self._began

    @property
    def parts_ms(self) -> dict[str, int]:
        """Milliseconds that each part took."""
        return {name: round(1000 * seconds) for name, seconds in self._parts.items()}

    def end_part(self, part: str) -> None:
        """End a part, and begin the next one."""
        now = self._clock()
        self._parts[part] = self._parts.get(part, 0.0) + now - self._last
        self._last = now
