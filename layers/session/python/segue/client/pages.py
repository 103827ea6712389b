"""The pages of the conversation so far that a client asks for: each again until it comes.

The first one is not asked for: it follows the ``Ready`` that answers the first hello. If it does not come, it is.
"""

from __future__ import annotations

from segue.client.settings import ClientSettings
from segue.wire.frames import HistoryOutput, HistoryRequest


class Pages:
    """The pages of one client.

    Attributes:
        come: pages that were asked for and have come, by what they were asked for with, until they are taken.
    """

    def __init__(self, settings: ClientSettings, *, wanted: bool) -> None:
        """Begin before the first ``Ready``.

        Args:
            settings: times.
            wanted: whether the first page is wanted.
        """
        self.come: dict[int | None, HistoryOutput] = {}
        self._settings = settings
        self._first = wanted
        self._asked: set[int | None] = set()
        self._due: dict[int | None, float] = {}

    def ask(self, before: int | None, now: float) -> None:
        """Ask for a page: the newest, or the one before a record."""
        self._asked.add(before)
        self._due.setdefault(before, now)

    def drop_page(self, before: int | None) -> None:
        """Ask no more for a page."""
        self._asked.discard(before)
        self.come.pop(before, None)
        if before is not None or not self._first:
            self._due.pop(before, None)

    def greeted(self, now: float) -> None:
        """Note a ``Ready``: what was asked for before it may be lost, and the first page may follow it."""
        if self._first:
            self._due.setdefault(None, now + self._settings.page_timeout)
        for before, due in self._due.items():
            self._due[before] = min(due, now + self._settings.page_timeout)

    def due(self, now: float, last_record: int | None) -> list[HistoryRequest]:
        """Requests to send now; they count as sent."""
        frames = []
        for before, due in self._due.items():
            if due <= now:
                self._due[before] = now + self._settings.page_timeout
                frames.append(HistoryRequest(before=before, last_record=last_record))
        return frames

    def wakeup(self, now: float) -> float | None:
        """Seconds until ``due`` has something, ``None`` while nothing is asked for."""
        return min((due - now for due in self._due.values()), default=None)

    def wants(self, before: int | None) -> bool:
        """Tell whether a page that has come is waited for. The lines of any other count as not shown."""
        return before in self._asked or (before is None and self._first)

    def take_page(self, page: HistoryOutput) -> list[HistoryOutput]:
        """Take a page that has come; return it if it is the first one, which is an event of its own."""
        self._due.pop(page.before, None)
        if page.before in self._asked:
            self._asked.discard(page.before)
            self.come[page.before] = page
        if page.before is None and self._first:
            self._first = False
            return [page]
        return []
