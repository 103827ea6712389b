"""Who is told that a session is, or may be, someone else's: callbacks, each on the event loop that it came from.

Apart from the handle because it needs no session: callbacks may come before there is one.
"""

from __future__ import annotations

from collections.abc import Callable

from segue.session.listeners import Listeners


class Losing:
    """Keeps the callbacks, and calls them."""

    def __init__(self) -> None:
        """Begin with none."""
        self._lost_listeners: Listeners[()] = Listeners("a lost session")

    def on_lost(self, callback: Callable[[], None]) -> None:
        """Call back once when the session is, or may be, someone else's: fall silent and discard the agent.

        The callback runs on the event loop that was running when this was called, or else on the storage loop.
        """
        self._lost_listeners.add(callback)

    def _lost(self) -> None:
        self._lost_listeners.tell()
