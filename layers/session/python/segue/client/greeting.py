"""Pacing of hellos: at once, then repeated until one is answered, and never too soon after the last one."""

from __future__ import annotations

from segue.client.settings import ClientSettings


class HelloTimer:
    """Paces hellos."""

    def __init__(self, settings: ClientSettings) -> None:
        """Begin with none said."""
        self._settings = settings
        self._said_at = float("-inf")
        self._at = 0.0
        self._pause = settings.hello_interval

    def restart(self, at: float) -> None:
        """Make the first of several hellos due at a time."""
        self._at = max(at, self._said_at + self._settings.shortest_hello_interval)
        self._pause = self._settings.hello_interval

    def forget(self) -> None:
        """A new connection: the last hello went over another."""
        self._said_at = float("-inf")

    def slow_down(self, now: float) -> None:
        """Take the longest pause: no worker has room for the session."""
        self._pause = self._settings.longest_hello_interval
        self._at = now + self._pause

    def said(self, now: float) -> None:
        """One was said: the next comes after a growing pause."""
        self._said_at = now
        self._at = now + self._pause
        self._pause = min(self._pause * 1.5, self._settings.longest_hello_interval)

    def wait(self, now: float) -> float:
        """Seconds until the next one is due; not positive if it is."""
        return self._at - now
