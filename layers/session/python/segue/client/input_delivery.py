"""A client's input on its way to the session's holder: sent over a connection that was greeted, again to each new one.

Ready of a new holder ─▶ everything again         Received ─▶ has arrived there: not sent to it again
Ready of the same one ─▶ what may be lost again   InputAck ─▶ durable: forgotten
"""

from __future__ import annotations

from collections.abc import Collection
from math import inf

from segue.client.settings import ClientSettings
from segue.wire.frames import InputAck, InputFrame, Ready, Received, Resume
from segue.wire.sender import Sender


class InputDelivery:
    """Input of one client, kept until it is durable, and what of it the holder has."""

    def __init__(self, settings: ClientSettings) -> None:
        """Begin without a holder, and without input."""
        self._settings = settings
        self._sender = Sender(settings.sender)
        self._greeted_in: int | None = None  # the epoch that said ready on this connection: input may flow
        self._holder: int | None = None  # the epoch that has what has arrived
        self._asked_again_at = 0  # what it said before that is no news any more
        self._silences = 0  # renewals in a row that were opened because nothing was confirmed

    @property
    def greeted(self) -> bool:
        """Tell whether a holder has said ``Ready`` on this connection and not moved since."""
        return self._greeted_in is not None

    def greeted_in(self, epoch: int | None) -> bool:
        """Tell whether it was the holder of this epoch that has said ``Ready`` on this connection."""
        return self._greeted_in == epoch

    @property
    def unacknowledged(self) -> int:
        """The number of inputs that are not known to be durable."""
        return self._sender.unacknowledged

    @property
    def given_up(self) -> int:
        """The number of pieces of audio that were dropped because too much was unacknowledged."""
        return self._sender.given_up

    def add(self, *frames: InputFrame) -> int:
        """Keep inputs until they are durable; return how many older pieces of audio were given up for it.

        Raises:
            SenderFull: too much text is unacknowledged.
        """
        return self._sender.add(*frames)

    def due(self, now: float) -> list[InputFrame]:
        """Return the inputs to send now; they count as sent."""
        return self._sender.due(now)

    def wakeup(self, now: float) -> float | None:
        """Seconds until ``due`` may have something, ``None`` while it has nothing."""
        return self._sender.wakeup(now)

    def hold(self, until: float) -> None:
        """Send nothing until a time: the holder is busy."""
        self._sender.hold(until)

    def silent_at(self, told_at: float) -> float:
        """The time when the holder has been silent for too long: what was sent is confirmed in a second.

        A holder without a window confirms nothing.

        Args:
            told_at: when its connection has last brought more than a ``Pong``.
        """
        since = self._sender.unheard_since
        if since is None or not self.greeted or self._sender.window is None:
            return inf
        return max(since, told_at) + self.patience

    @property
    def patience(self) -> float:
        """Seconds that a direct connection may be silent: longer on a slow path, and longer each time in a row."""
        return self.grown(self._silences)

    def grown(self, times: int) -> float:
        """Return the seconds in which a direct worker answers: longer on a slow path, and after so many in vain."""
        return self._sender.grown(self._settings.received_timeout, times)

    def renewed(self, *, silent: bool) -> None:
        """Note that a connection gets a renewal, which is given longer if the last ones were silent, too."""
        self._silences += silent

    def answered(self, asked_since: float | None, now: float) -> None:
        """Note that a message came over a direct connection: it ends the row of silences of a client that only listens.

        What was sent and is not confirmed has a silence of its own.

        Args:
            asked_since: the time of the oldest ping behind a hello without an answer so far.
            now: seconds.
        """
        in_time = asked_since is not None and now - asked_since < self.grown(0)
        if in_time and self._sender.unheard_since is None:
            self._silences = 0

    def ready(self, frame: Ready) -> None:
        """Send what the holder that said ``Ready`` has not, or may not have."""
        self._sender.window = frame.window
        if self._holder != frame.epoch:
            self._asked_again_at = frame.seq or 0
            self._sender.resend_all()  # a new holder has nothing of it
        elif self._greeted_in != frame.epoch:
            self._sender.resend_lost()  # a dead connection may have swallowed some
        self._greeted_in = self._holder = frame.epoch

    def stop(self) -> None:
        """Send nothing until the next ``Ready``."""
        self._greeted_in = None

    def moved(self) -> None:
        """Note that the holder has released: the next one has nothing of the input."""
        self._holder = None

    def swallowed(self) -> None:
        """Send again what a silent connection may have swallowed."""
        self._sender.resend_lost()

    def durable(self, upto: int, beyond: Collection[int], now: float) -> None:
        """Forget what is durable; harmless if repeated or late.

        Args:
            upto: every number up to this.
            beyond: those above it.
            now: seconds.
        """
        self._sender.ack(upto, beyond, now=now)

    def acknowledged(self, frame: InputAck, now: float) -> None:
        """Forget what is durable; its holder is not silent."""
        self._silences = 0
        self.durable(frame.upto, frame.beyond, now)

    def arrived(self, frame: Received, now: float) -> None:
        """Note what the holder has received, unless it has asked for everything again since."""
        self._silences = 0
        if frame.epoch == self._greeted_in and (frame.seq or 0) > self._asked_again_at:
            self._sender.arrived(frame.upto, frame.beyond, now=now)

    def asked_again(self, frame: Resume) -> None:
        """Send everything again."""
        self._asked_again_at = frame.seq or 0
        self._sender.resend_all()
