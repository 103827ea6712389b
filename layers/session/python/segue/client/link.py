"""The state of one connection of a conversation, without any I/O: open, or given up.

A connection can die without a close: a laptop sleeps, a router drops its state. A client that gets no answer sends a
ping, and a second one when half of the time for the answer is over: the gateway posts a ``pong`` once and tries no
second time (RFC 0019). A connection on which nothing answers either is given up.

A connection may need a renewal while it still works: its worker has said ``Reconnect``, or on a direct connection
nothing confirms what was sent. The next one is then opened beside it (RFC 0026).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from math import inf

from segue.client.settings import ClientSettings
from segue.wire.binary import encode_binary
from segue.wire.fields import BINARY, DIRECT
from segue.wire.frames import AudioInput, ClientFrame, encode_frame


@dataclass(slots=True, kw_only=True)
class Link:
    """One connection.

    Attributes:
        number: the client's connection counter.
        settings: the client's.
        spoke_at: time of the latest frame that was sent; at first, of the opening.
        lost: whether the connection was given up.
        unanswered_since: time of the oldest frame since which nothing has come.
        asked_since: time of the oldest ping behind a ``Hello`` since which nothing has come.
        direct: whether it leads to a worker itself, as its ``Ready`` said.
        binary: whether it takes binary messages, as its ``Ready`` said.
        told_at: time of the latest frame that was more than a ``Pong``; at first, of the opening.
        silent: whether it needs a renewal because nothing confirms what was sent over it.
    """

    number: int
    settings: ClientSettings
    spoke_at: float
    lost: bool = False
    unanswered_since: float | None = None
    asked_since: float | None = None
    pinged_at: float | None = None
    asked_twice: bool = False
    direct: bool = False
    binary: bool = False
    told_at: float = field(init=False)
    silent: bool = False
    renew_at: float = inf
    renewed: bool = False

    def __post_init__(self) -> None:
        """Count silence from the opening."""
        self.told_at = self.spoke_at

    def greeted(self, features: Collection[str]) -> None:
        """Note what the connection's ``Ready`` says of it."""
        self.direct, self.binary = DIRECT in features, BINARY in features

    def message(self, frame: ClientFrame) -> str | bytes:
        """Return the message for a frame, as the connection takes it."""
        if self.binary and isinstance(frame, AudioInput) and frame.audio:
            return encode_binary(frame)
        return encode_frame(frame)

    def renew(self, at: float) -> None:
        """Have the next connection opened beside this one at a time; the earliest counts."""
        self.renew_at = min(self.renew_at, at)

    def wants_renewal(self, now: float, silent_at: float) -> bool:
        """Tell whether the next connection is to be opened now; it counts as told, and is told once.

        Args:
            now: the time.
            silent_at: when the silence of the holder has lasted too long.
        """
        if self.renewed or min(self.renew_at, silent_at) > now:
            return False
        self.renewed, self.silent = True, silent_at <= now
        return True

    def renewal_wait(self, now: float, silent_at: float) -> float:
        """Seconds until ``wants_renewal`` may be true."""
        return inf if self.renewed else min(self.renew_at, silent_at) - now

    def heard(self) -> None:
        """Note that a message came: the server is there."""
        self.unanswered_since = self.asked_since = self.pinged_at = None
        self.asked_twice = False

    def spoke(self, now: float) -> None:
        """Note that a frame was sent."""
        self.spoke_at = now
        if self.unanswered_since is None:
            self.unanswered_since = now

    def asks(self, now: float) -> None:
        """Note that a ping goes behind a ``Hello``: a worker that lives answers it at once."""
        if self.asked_since is None:
            self.asked_since = now

    def ping(self, now: float, *, expecting: bool) -> bool:
        """Tell whether to send a ping now; it counts as sent.

        Args:
            now: the time.
            expecting: whether an answer to earlier frames is due.
        """
        if self._ping_at(expecting) > now:
            return False
        if self.pinged_at is None:
            self.pinged_at = now
        else:
            self.asked_twice = True
        return True

    def tick(self, now: float) -> None:
        """Give the connection up if it was silent for too long after a ping."""
        if self.pinged_at is not None and self.pinged_at + self.settings.pong_timeout <= now:
            self.lost = True

    def wakeup(self, now: float, *, expecting: bool) -> float:
        """Seconds until ``ping`` or ``tick`` may have something to do."""
        at = self._ping_at(expecting)
        if self.pinged_at is not None:
            at = min(at, self.pinged_at + self.settings.pong_timeout)
        return at - now

    def _ping_at(self, expecting: bool) -> float:  # noqa: FBT001 - passed on
        if self.asked_twice:
            return inf
        if self.pinged_at is not None:
            return self.pinged_at + self.settings.pong_timeout / 2
        keeping = self.spoke_at + self.settings.ping_interval
        if not expecting or self.unanswered_since is None:
            return keeping
        return min(keeping, self.unanswered_since + self.settings.silence_timeout)


class Links:
    """A conversation's connections: the current one, which input goes over, and the one that is to replace it.

    Attributes:
        current: ``None`` while there is none.
        renewal: opened beside ``current``; ``None`` most of the time.
    """

    def __init__(self) -> None:
        """Begin without any."""
        self.current: Link | None = None
        self.renewal: Link | None = None

    @property
    def newest(self) -> Link | None:
        """The one that hello goes over."""
        return self.renewal or self.current

    def find(self, number: int) -> Link | None:
        """A connection by its number; ``None`` if it is gone or was replaced."""
        return next((link for link in (self.current, self.renewal) if link and link.number == number), None)

    def promote(self) -> None:
        """Make the renewal the current connection."""
        self.current, self.renewal = self.renewal, None

    def remove(self, number: int) -> bool:
        """Remove a connection that is gone. True if it was the current one; its renewal, if any, takes its place."""
        if self.renewal is not None and self.renewal.number == number:
            self.renewal = None
        elif self.current is not None and self.current.number == number:
            self.promote()
            return True
        return False

    def tick(self, now: float) -> None:
        """Give up those that are silent for too long."""
        for link in (self.current, self.renewal):
            if link is not None:
                link.tick(now)
