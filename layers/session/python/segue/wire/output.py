"""Output numbering: what a holder says reaches each client in order, and journal content exactly once.

Every frame of a holder carries its epoch and a ``seq``, from 1, per client id within the epoch. Frames that show
journal content (final transcripts, texts, tools, approvals) also carry the number of the record that they show.

    holder                                                 client
    OutputNumbering.stamp ── (epoch, seq) ──▶ … ──▶ OutputOrder.offer ──▶ JournalCursor.accept ──▶ shown
                                                       │ Gap: something may be missing here
    ready(since), records from ``since`` on  ◀── hello(last_record) ◀─┘

A gap loses audio and partial transcripts, which are of no use late. Journal content after a gap is not shown until the
holder has sent the missing frames again: otherwise it would be shown out of order.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import accumulate
from typing import Final, TypeAlias, TypeVar

import msgspec

from segue.wire.frames import (
    Approval,
    HistoryLine,
    HistoryOutput,
    Pause,
    Ready,
    ServerFrame,
    TextOutput,
    Tool,
    Transcript,
)
from segue.wire.memory import kept_bytes

Key: TypeAlias = tuple[int, str, str]

F = TypeVar("F", bound=ServerFrame)


class OutputNumbering:
    """The holder's side: gives every frame its epoch and number."""

    def __init__(self, epoch: int) -> None:
        """Number for the holder of ``epoch``, every client from 1."""
        self._epoch = epoch
        self._last: defaultdict[str, int] = defaultdict(int)

    def stamp(self, client_id: str, frame: F) -> F:
        """Return the frame with the epoch and the client's next number.

        Stamp when the frame is certain to be sent and in the order of sending: after the output gate. A number that is
        given and never sent makes the client wait. A ``Pause`` gets none.
        """
        if isinstance(frame, Pause):
            return msgspec.structs.replace(frame, epoch=self._epoch)
        self._last[client_id] += 1
        return msgspec.structs.replace(frame, epoch=self._epoch, seq=self._last[client_id])

    def forget(self, client_id: str) -> None:
        """Drop a client that said ``Bye``. One that may reconnect keeps its numbering: it would take 1 for a repeat."""
        self._last.pop(client_id, None)


@dataclass(frozen=True, slots=True)
class Gap:
    """A place where frames may be missing: numbers that never came, or the end of an old epoch."""


GAP: Final = Gap()


@dataclass(slots=True)
class _Waiting:
    frame: ServerFrame
    arrived: float


class OutputOrder:
    """The client's side: puts frames in order, drops repeats and everything of an older epoch.

    A missing frame is waited for, but only so long. A ``Ready`` with ``since`` ends the wait at once: what came before
    it on an older connection is gone, and its journal content follows again.
    """

    def __init__(self, patience: float = 0.5, capacity: int = 1024, capacity_bytes: int = 8 * 1024 * 1024) -> None:
        """Start before any epoch.

        Args:
            patience: seconds that a frame waits for those before it.
            capacity: frames that wait at most.
            capacity_bytes: what they take at most.
        """
        self._patience = patience
        self._capacity = capacity
        self._capacity_bytes = capacity_bytes
        self._bytes = 0
        self._epoch: int | None = None
        self._expected = 1
        self._waiting: dict[int, _Waiting] = {}

    @property
    def epoch(self) -> int | None:
        """The highest epoch seen; ``None`` before the first numbered frame."""
        return self._epoch

    @property
    def released(self) -> int:
        """The last number that was released or given up in this epoch."""
        return self._expected - 1

    def offer(self, frame: ServerFrame, now: float) -> list[ServerFrame | Gap]:
        """Take a frame as it arrives; return what can be shown now. Frames without a number never wait."""
        if frame.epoch is None or frame.seq is None:
            return [frame]
        if self._epoch is not None and frame.epoch < self._epoch:
            return []
        released: list[ServerFrame | Gap] = []
        if frame.epoch != self._epoch:
            released += self._begin(frame.epoch)
        if frame.seq < self._expected or frame.seq in self._waiting:
            return released
        self._waiting[frame.seq] = _Waiting(frame, now)
        self._bytes += kept_bytes(frame)
        if isinstance(frame, Ready) and frame.since is not None:
            released += self._give_up_before(frame.seq)
        released += self._in_order()
        while len(self._waiting) > self._capacity or self._bytes > self._capacity_bytes:
            released += self._skip_gap()
        return released

    def expire(self, now: float) -> list[ServerFrame | Gap]:
        """Give up what has been waited for long enough; return what can be shown now."""
        released: list[ServerFrame | Gap] = []
        while self._waiting and self._oldest() + self._patience <= now:
            released += self._skip_gap()
        return released

    def wakeup(self, now: float) -> float | None:
        """Seconds until ``expire`` has something to do; ``None`` when nothing waits."""
        if not self._waiting:
            return None
        return max(0.0, self._oldest() + self._patience - now)

    def _oldest(self) -> float:
        return min(waiting.arrived for waiting in self._waiting.values())

    def _begin(self, epoch: int) -> list[ServerFrame | Gap]:
        released: list[ServerFrame | Gap] = []
        if self._epoch is not None:
            while self._waiting:
                released += self._skip_gap()
            released.append(GAP)  # the end of the old epoch is unknown
        self._epoch = epoch
        self._expected = 1
        return released

    def _give_up_before(self, seq: int) -> list[ServerFrame | Gap]:
        released: list[ServerFrame | Gap] = []
        while self._expected < seq:
            released += self._skip_gap()
        return released

    def _skip_gap(self) -> list[ServerFrame | Gap]:
        lowest = min(self._waiting)
        gap: list[ServerFrame | Gap] = [GAP] if lowest > self._expected else []
        self._expected = lowest
        return gap + self._in_order()

    def _in_order(self) -> list[ServerFrame | Gap]:
        released: list[ServerFrame | Gap] = []
        while self._expected in self._waiting:
            released.append(frame := self._waiting.pop(self._expected).frame)
            self._bytes -= kept_bytes(frame)
            self._expected += 1
        return released


class JournalCursor:
    """A client's position in the journal, by which each record is shown once and in order.

    The first ``Ready`` opens it: records that were committed before are history, not output.
    """

    KEPT: Final = 1024
    """Records below the last one for which repeats are told apart; older ones count as shown."""

    def __init__(self) -> None:
        """Start with nothing shown."""
        self._last: int | None = None
        self._floor = -1
        self._shown: set[Key] = set()
        self._complete = False
        self._paged_from: int | None = None  # pages have shown the conversation from this place on

    @property
    def last_record(self) -> int | None:
        """For ``Hello``: the last record shown without a gap, -1: none; ``None``: before the first ``Ready``."""
        return self._last

    def open(self, head: int) -> None:
        """Begin after the first ``head`` records, as the first ``Ready`` says on arrival; later ones change nothing."""
        if self._last is None:
            self._last = self._floor = head - 1
            self._complete = True

    @property
    def complete(self) -> bool:
        """Tell whether no record is known to be missing; if one is, ``Hello`` has to be said again."""
        return self._complete

    def gap(self) -> None:
        """Note that frames may be missing from here on, until a ``Ready`` with ``since`` makes the output complete."""
        self._complete = False

    def accept(self, frame: ServerFrame) -> bool:
        """Tell whether to show a frame, taken in order."""
        if isinstance(frame, Ready) and frame.since is not None and self._last is not None:
            self._complete = True
        if not isinstance(frame, Transcript | TextOutput | Tool | Approval | HistoryOutput) or frame.record is None:
            return True
        # What is still asked is no history, however long ago it was asked: it is said again after every ``Ready``.
        still_asked = isinstance(frame, Approval) and frame.status == "asked"
        if not self._complete or (frame.record <= self._floor and not still_asked):
            return False
        keys = _keys_of(frame, frame.record)
        if not self._shown.isdisjoint(keys):
            return False
        self._shown |= keys
        self._advance(frame.record)
        return True

    def accept_page(self, page: HistoryOutput) -> HistoryOutput:
        """Return a page, taken in order, without the lines that were shown; they count as shown from here on.

        Pages join, so of the older ones only the place is kept from which on they have shown the conversation. A page
        from further back, which leaves something out, does not move that place.
        """
        lines = []
        paged_from, places = self._paged_from, places_of(page)
        for line, place in zip(page.lines, places, strict=True):
            key = _key_of(line)
            if key in self._shown:
                continue
            if line.record > self._floor:
                self._shown.add(key)
            elif paged_from is not None and place >= paged_from:
                continue
            lines.append(line)
        if places and (page.before is None or paged_from is None or page.before >= paged_from):
            self._paged_from = places[0] if paged_from is None else min(paged_from, places[0])
        if page.before is None and self._complete and page.lines:
            self._advance(max(line.record for line in page.lines))
        return msgspec.structs.replace(page, lines=tuple(lines))

    def _advance(self, record: int) -> None:
        self._last = record if self._last is None else max(self._last, record)
        if len(self._shown) > 2 * self.KEPT:
            self._floor = max(self._floor, self._last - self.KEPT)
            self._shown = {key for key in self._shown if key[0] > self._floor}


def places_of(page: HistoryOutput) -> list[int]:
    """Return the place of each line of a page: one that was redacted has a later record, and stands with the next."""
    return list(accumulate((line.place for line in reversed(page.lines)), min))[::-1]


_LIVE: Final = {
    ("transcript", "user"): "Transcript",
    ("transcript", "assistant"): "Transcript",
    ("text", "assistant"): "TextOutput",
    ("tool", "assistant"): "Tool",
}
"""The frame that shows live what a line shows; what a user typed is shown by lines."""


def _key_of(line: HistoryLine) -> Key:
    if (live := _LIVE.get((line.kind, line.role))) is not None:
        return line.record, live, line.tool_use_id or ""
    return line.record, "HistoryOutput", line.kind


def _keys_of(frame: Transcript | TextOutput | Tool | Approval | HistoryOutput, record: int) -> set[Key]:
    if isinstance(frame, HistoryOutput):
        return set(map(_key_of, frame.lines))
    return {(record, type(frame).__name__, frame.tool_use_id if isinstance(frame, Tool) else "")}
