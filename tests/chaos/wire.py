"""Judge of a session's sockets: a worker without the lease has to be silent.

It reads messages before a client does. Clients drop repeats and everything of an epoch that is over, so what they show
does not prove which worker spoke.

    epoch 7   ──■──■──■──■─┐ one POST under way, and it cannot be called back
    epoch 8                │   ──■─────■──■── …
                           └─────────■   fine: one message of epoch 7 on a connection, after the first of epoch 8
                                        ■   not fine: its holder spoke without the lease
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from worker.conversation.lifecycle import FAREWELL_SECONDS

UNDER_WAY: Final = 1
"""Messages that a worker which has lost its lease may still deliver over each connection: it asks before every POST
whether the session is its own, and has one POST under way for a connection (``worker.conversation.outbox``). A POST
whose outcome is unknown is repeated as it was: that is one message."""

PATH_SECONDS: Final = 1.0
"""Longest way of a frame from the POST's beginning to the client, through an emulator that is busy on one core."""

PARTING_SECONDS: Final = FAREWELL_SECONDS + PATH_SECONDS
"""A holder that releases its lease goes on for a while to post what the release made durable, while its successor may
say ``ready`` already. Clients drop it, and are told again by the successor."""


SPEAKING_SECONDS: Final = 0.3
"""Sound that came so long ago is followed by more, unless it was the last."""


@dataclass(frozen=True)
class Message:
    """Content of one POST.

    Attributes:
        at: When, on the monotonic clock.
        connection: Over which.
        client: Whose connection it is.
        epoch: Of its frames.
        numbers: Of its frames, each ``seq``.
        kinds: Of its frames, each ``type``.
    """

    at: float
    connection: int
    client: str
    epoch: int
    numbers: tuple[int, ...]
    kinds: frozenset[str]


class Wire:
    """All connections of a session, as their frames came out of the gateway.

    Attributes:
        messages: All that came, in the order of arrival.
    """

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self._clients: dict[int, str] = {}
        self._greeted_at: dict[int, float] = {}
        self._direct: set[int] = set()

    def said(self, connection: int, frames: Iterable[Mapping[str, Any]], at: float) -> None:
        """Take note of what a client says: a ``hello`` tells whose connection it is."""
        for frame in frames:
            if frame.get("type") == "hello":
                self._clients[connection] = frame["client_id"]
                self._greeted_at.setdefault(connection, at)

    def first_hello(self, since: float, until: float) -> float | None:
        """Return when a client first said ``hello`` over another connection within some time; None if none did."""
        return min((at for at in self._greeted_at.values() if since < at < until), default=None)

    def heard(self, connection: int, frames: Sequence[Mapping[str, Any]], at: float) -> None:
        """Take note of a message to a client. Frames of the gateway, which have no epoch, do not count."""
        if any("direct" in frame.get("features", ()) for frame in frames):
            self._direct.add(connection)
        numbered = [frame for frame in frames if "epoch" in frame and "seq" in frame]
        for epoch in sorted({frame["epoch"] for frame in numbered}):
            own = [frame for frame in numbered if frame["epoch"] == epoch]
            numbers = tuple(frame["seq"] for frame in own)
            kinds = frozenset(frame["type"] for frame in own)
            client = self._clients.get(connection, f"no client on {connection}")
            self.messages.append(Message(at, connection, client, epoch, numbers, kinds))

    def speaks(self, now: float) -> bool:
        """Return true if sound is coming just now."""
        return any("audio" in one.kinds and now - one.at < SPEAKING_SECONDS for one in self.messages[-3:])

    def problems(self, *, fault_free: bool) -> list[str]:
        """Return what should not have come, in words.

        Args:
            fault_free: Whether no hop loses, delays or refuses anything. Otherwise a POST of unknown outcome may come
                twice, but not over a worker's own socket, and frames that went into a broken socket are missing.
        """
        found = self._spoken_without_lease() + self._spoken_after_the_next() + self._repeated(fault_free=fault_free)
        return found + self._missing() if fault_free else found

    def late(self) -> list[tuple[Message, float]]:
        """Return each message of an epoch that was over, with the seconds since the first frame of a later one."""
        begun: dict[int, float] = {}
        late = []
        for message in self.messages:
            begun.setdefault(message.epoch, message.at)
            later = [at for epoch, at in begun.items() if epoch > message.epoch]
            if later:
                late.append((message, message.at - min(later)))
        return late

    def after(self, epoch: int, at: float) -> int:
        """Return how many different messages of an epoch came after some time, on the connection that had most."""
        late = _different(one for one in self.messages if one.epoch == epoch and one.at > at)
        return max(map(len, late.values()), default=0)

    def _spoken_without_lease(self) -> list[str]:
        parted = {message.epoch for message in self.messages if "moved" in message.kinds}
        wrong = _different(one for one, seconds in self.late() if one.epoch not in parted or seconds > PARTING_SECONDS)
        return [
            f"epoch {epoch} spoke {len(numbers)} times on connection {connection} when a later one had begun"
            for (connection, epoch), numbers in wrong.items()
            if len(numbers) > UNDER_WAY
        ]

    def _spoken_after_the_next(self) -> list[str]:
        """Find messages that a worker's own socket has written though a later holder had spoken over it."""
        newest: dict[int, int] = {}
        found = []
        for one in self.messages:
            newest[one.connection] = max(one.epoch, newest.get(one.connection, 0))
            if one.connection in self._direct and one.epoch < newest[one.connection]:
                found.append(f"epoch {one.epoch} spoke on connection {one.connection} after {newest[one.connection]}")
        return found

    def _repeated(self, *, fault_free: bool) -> list[str]:
        came: dict[tuple[int, int, int], tuple[int, ...]] = {}
        found = []
        for one in self.messages:
            before = [came.get((one.connection, one.epoch, number)) for number in one.numbers]
            again = [numbers for numbers in before if numbers is not None]
            once = fault_free or one.connection in self._direct
            if again and (once or any(numbers != one.numbers for numbers in before)):
                found.append(f"{one.epoch}.{one.numbers} came twice on connection {one.connection}, once as {again[0]}")
            came |= {(one.connection, one.epoch, number): one.numbers for number in one.numbers}
        return found

    def _missing(self) -> list[str]:
        """Numbers that were given and never came.

        Frames dropped for a slow client, or because the caller spoke over them, are dropped before they have a number.
        A frame posted to a connection that its client has left is lost with its number, and said again on the next one.
        """
        numbers: defaultdict[tuple[str, int], set[int]] = defaultdict(set)
        connections = Counter(self._clients.values())
        for one in self.messages:
            if connections[one.client] == 1:
                numbers[one.client, one.epoch].update(one.numbers)
        return [
            f"epoch {epoch} never said {missing} to {client}"
            for (client, epoch), came in numbers.items()
            if (missing := sorted(set(range(1, max(came))) - came))
        ]


def _different(messages: Iterable[Message]) -> dict[tuple[int, int], set[tuple[int, ...]]]:
    found: defaultdict[tuple[int, int], set[tuple[int, ...]]] = defaultdict(set)
    for one in messages:
        found[one.connection, one.epoch].add(one.numbers)
    return found
