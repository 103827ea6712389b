"""The output of the session's holders as one client shows it: in order, journal content once, and acknowledged.

frames ─▶ in order ─▶ journal cursor ─▶ events ─▶ ack, with what was played
            │ gap        └ pages, approvals
            └─▶ hello, which has what is missing said again
"""

from __future__ import annotations

from collections.abc import Callable

from segue.client.approvals import OpenApproval
from segue.client.pages import Pages
from segue.client.player import Player
from segue.client.settings import ClientSettings
from segue.wire.frames import (
    Approval,
    AudioOutput,
    BargeIn,
    HistoryOutput,
    OutputAck,
    Pong,
    ServerFrame,
    TextOutput,
    Tool,
    Transcript,
)
from segue.wire.output import Gap, JournalCursor, OutputOrder


class ShownOutput:
    """The output that one client has shown, whichever connection and holder it came from.

    Attributes:
        pages: the pages of the conversation so far that this client asks for.
        approval: what the agent waits for, as it was shown.
    """

    def __init__(self, settings: ClientSettings, *, history: bool) -> None:
        """Begin with nothing shown.

        Args:
            settings: times.
            history: whether the first page is wanted.
        """
        self.pages = Pages(settings, wanted=history)
        self.approval = OpenApproval()
        self._on_gap: Callable[[float], None] = lambda _: None
        self._settings = settings
        self._order = OutputOrder(settings.gap_patience)
        self._cursor = JournalCursor()
        self._player = Player()
        self._ack_at: float | None = None

    def on_gap(self, callback: Callable[[float], None]) -> None:
        """Set the callback for a gap, called with the time before journal content counts as missing."""
        self._on_gap = callback

    @property
    def epoch(self) -> int | None:
        """The highest epoch heard of."""
        return self._order.epoch

    @property
    def last_record(self) -> int | None:
        """The last record shown without a gap before it, -1 for none; ``None`` before the first ``Ready``."""
        return self._cursor.last_record

    @property
    def complete(self) -> bool:
        """Tell whether no record is known to be missing."""
        return self._cursor.complete

    def open(self, head: int) -> None:
        """Begin after the first ``head`` records, as the first ``Ready`` says."""
        self._cursor.open(head)

    def gap(self) -> None:
        """Show no journal content until what may be missing was said again."""
        self._cursor.gap()

    def is_stale(self, frame: ServerFrame) -> bool:
        """Tell whether a frame is of an older epoch than the newest heard of."""
        epoch = self._order.epoch
        return frame.epoch is not None and epoch is not None and frame.epoch < epoch

    def offer_frame(self, frame: ServerFrame, now: float) -> list[ServerFrame]:
        """Take a frame as it arrives; return the events that it makes, in order."""
        return self._show(self._order.offer(frame, now), now)

    def expire(self, now: float) -> list[ServerFrame]:
        """Give up what has been waited for long enough; return the events that were held up by it."""
        return self._show(self._order.expire(now), now)

    def wakeup(self, now: float) -> float | None:
        """Seconds until ``expire`` may have something."""
        return self._order.wakeup(now)

    def played(self, frame: AudioOutput | None, ms: float, now: float) -> None:
        """Note how far the player has come; told at once if it has stopped after a ``BargeIn``.

        Args:
            frame: the last one of which anything was played, ``None`` if there is none.
            ms: milliseconds of it that were played.
            now: seconds.
        """
        if self._order.epoch is not None and self._player.came(frame, ms, self._order.epoch):
            self._ack_at = now

    def acks(self, now: float, *, played: bool) -> list[OutputAck]:
        """Return the acknowledgement to send now, if one is due; it counts as sent.

        Args:
            now: seconds.
            played: whether the holder takes how far the player has come.
        """
        if self._ack_at is None or self._ack_at > now:
            return []
        self._ack_at = None
        if self._order.epoch is None or not self._order.released:
            return []  # nothing yet, in an epoch that has just begun
        report = self._player.report(self._order.epoch) if played else None
        return [OutputAck(epoch=self._order.epoch, seq=self._order.released, played=report)]

    def ack_wakeup(self, now: float) -> float | None:
        """Seconds until ``acks`` has something, ``None`` while nothing is to be acknowledged."""
        return None if self._ack_at is None else self._ack_at - now

    def _show(self, items: list[ServerFrame | Gap], now: float) -> list[ServerFrame]:
        events: list[ServerFrame] = []
        for item in items:
            if isinstance(item, Gap):
                self._on_gap(now)
                self.gap()
                continue
            if isinstance(item, Approval):
                self.approval.follow(item, now)
            elif isinstance(item, BargeIn):
                self._player.barge_in(item.epoch)
            elif isinstance(item, HistoryOutput) and item.more is not None:
                if self.pages.wants(item.before):
                    events += self.pages.take_page(self._cursor.accept_page(item))
                continue
            if not self._cursor.accept(item):
                continue
            if self._ack_at is None and _shows_record(item):
                self._ack_at = now + self._settings.ack_delay
            if not isinstance(item, Pong):
                events.append(item)
        return events


def _shows_record(frame: ServerFrame) -> bool:
    """Tell whether a frame shows content of the journal, which its holder wants acknowledged."""
    return isinstance(frame, Transcript | TextOutput | Tool | Approval | HistoryOutput) and frame.record is not None
