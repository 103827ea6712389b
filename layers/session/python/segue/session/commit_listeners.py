"""Who is told of commits: callbacks, each on the event loop that it came from."""

from __future__ import annotations

from segue.journal.writer import OnCommit
from segue.session.listeners import Listeners


class Committing:
    """Keeps the callbacks, and calls them."""

    def __init__(self) -> None:
        """Begin with none."""
        self._commit_listeners: Listeners[int, float] = Listeners("commits")

    def on_commit(self, callback: OnCommit) -> None:
        """Call back after each commit, on the event loop that is running now: for metrics.

        What is to wait for a commit waits for ``durable``.
        """
        self._commit_listeners.add(callback)

    def _committed(self, records: int, seconds: float) -> None:
        self._commit_listeners.tell(records, seconds)
