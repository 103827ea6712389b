"""The client's side of the protocol without any I/O: messages and time go in, frames and events come out.

connected ──▶ hello ──▶ (repeated) ──▶ ready ──▶ input, and all of it again that is not acknowledged
                ▲                                 │
                └── a gap, a new epoch, moved ◀───┘   hello carries what was shown: the rest is said again
"""

import msgspec

from segue.client.errors import SessionRefused
from segue.client.settings import ClientSettings
from segue.wire.frames import (
    MAX_NUMBER,
    ClientFrame,
    Error,
    Hello,
    InputAck,
    InputFrame,
    Modality,
    Moved,
    OutputAck,
    Ping,
    Pong,
    Ready,
    Resume,
    ServerFrame,
    TextOutput,
    Tool,
    Transcript,
    decode_server_message,
    encode_frame,
)
from segue.wire.output import Gap, JournalCursor, OutputOrder
from segue.wire.sequence import Sender

FATAL_CODES = frozenset({"bad_session", "already_bound", "superseded"})
"""After these the server will refuse whatever this client says."""


class Conversation:
    """One client id in one session, over any number of connections.

    Attributes:
        counter: connections so far.
        last_ready: the newest `Ready`; `None` before the first.
        failure: why nothing more will come of this, if so.
        must_reconnect: the server does not know this connection; open a new one.
    """

    def __init__(self, session: str, client_id: str, modality: Modality, settings: ClientSettings) -> None:
        """Start without a connection."""
        self.counter = 0
        self.last_ready: Ready | None = None
        self.failure: SessionRefused | None = None
        self.must_reconnect = False
        self._session = session
        self._client_id = client_id
        self._modality = modality
        self._settings = settings
        self._sender = Sender(settings.sender)
        self._order = OutputOrder(settings.gap_patience)
        self._cursor = JournalCursor()
        self._online = False
        self._greeted_in: int | None = None  # the epoch that said ready on this connection: input may flow
        self._hello_at = 0.0
        self._hello_pause = settings.hello_interval
        self._said_hello_at = float("-inf")
        self._ack_at: float | None = None
        self._spoke_at = 0.0

    @property
    def opened(self) -> bool:
        """Whether a holder has ever said `Ready`."""
        return self._cursor.last_record is not None

    @property
    def greeted(self) -> bool:
        """Whether a holder has said `Ready` on this connection and not moved since."""
        return self._greeted_in is not None

    @property
    def epoch(self) -> int | None:
        """The highest epoch heard of."""
        return self._order.epoch

    @property
    def last_record(self) -> int | None:
        """The last record shown without a gap before it, -1 for none; `None` before the first `Ready`."""
        return self._cursor.last_record

    @property
    def unacknowledged(self) -> int:
        """How many inputs are not known to be durable."""
        return self._sender.unacknowledged

    def connected(self, now: float) -> None:
        """A new connection is open."""
        self.counter += 1
        self.must_reconnect = False
        self._online = True
        self._greeted_in = None
        self._cursor.gap()  # what was on its way on the last connection is gone
        self._said_hello_at = float("-inf")
        self._hello_due(now)
        self._spoke_at = now

    def disconnected(self) -> None:
        """The connection is gone."""
        self._online = False
        self._greeted_in = None

    def say(self, frame: InputFrame) -> int:
        """Number an input and keep it until it is durable.

        Returns:
            Its number.

        Raises:
            FrameError: `oversize`.
            SenderFull: too much is unacknowledged.
        """
        encode_frame(msgspec.structs.replace(frame, seq=MAX_NUMBER))  # before it gets a number that must not be skipped
        numbered = self._sender.add(frame)
        assert numbered.seq is not None  # noqa: S101 - add gives one
        return numbered.seq

    def outgoing(self, now: float) -> list[ClientFrame]:
        """What to send now; it counts as sent."""
        if not self._online:
            return []
        frames: list[ClientFrame] = []
        if self._needs_hello and self._hello_at <= now:
            frames.append(self._hello(now))
        if self.greeted:
            frames += self._sender.due(now)
        if self._ack_at is not None and self._ack_at <= now:
            self._ack_at = None
            if self._order.epoch is not None and self._order.released:  # nothing yet, in an epoch that has just begun
                frames.append(OutputAck(epoch=self._order.epoch, seq=self._order.released))
        if not frames and self._spoke_at + self._settings.ping_interval <= now:
            frames.append(Ping())
        if frames:
            self._spoke_at = now
        return frames

    def received(self, message: str | bytes, now: float) -> list[ServerFrame]:
        """Take a message; return the events that it makes, in order."""
        shown: list[ServerFrame] = []
        for frame in decode_server_message(message):
            if not self._is_stale(frame):
                self._obey(frame, now)
                shown += self._show(self._order.offer(frame, now), now)
        return shown

    def tick(self, now: float) -> list[ServerFrame]:
        """Give up what has been waited for long enough; return the events that were held up by it."""
        return self._show(self._order.expire(now), now)

    def wakeup(self, now: float) -> float | None:
        """Seconds until `tick` or `outgoing` may have something; `None` for not before something happens."""
        waits = [self._order.wakeup(now)]
        if self._online:
            waits.append(self._spoke_at + self._settings.ping_interval - now)
            waits.append(self._hello_at - now if self._needs_hello else None)
            waits.append(self._sender.wakeup(now) if self.greeted else None)
            waits.append(None if self._ack_at is None else self._ack_at - now)
        return min((max(0.0, wait) for wait in waits if wait is not None), default=None)

    def _hello(self, now: float) -> Hello:
        self._said_hello_at = now
        self._hello_at = now + self._hello_pause
        self._hello_pause = min(self._hello_pause * 1.5, self._settings.longest_hello_interval)
        return Hello(
            session=self._session,
            client_id=self._client_id,
            connection=self.counter,
            last_record=self._cursor.last_record,
            modality=self._modality,
        )

    @property
    def _needs_hello(self) -> bool:
        """Whether hello has to be said, again and again: no holder listens, or something shown may be incomplete."""
        return not self.greeted or not self._cursor.complete

    def _hello_due(self, at: float) -> None:
        """Say the first of several hellos at a time; never too soon after the last one."""
        self._hello_at = max(at, self._said_hello_at + self._settings.shortest_hello_interval)
        self._hello_pause = self._settings.hello_interval

    def _lose_holder(self, hello_at: float) -> None:
        if not self._needs_hello:
            self._hello_due(hello_at)
        self._greeted_in = None

    def _is_stale(self, frame: ServerFrame) -> bool:
        epoch = self._order.epoch
        return frame.epoch is not None and epoch is not None and frame.epoch < epoch

    def _obey(self, frame: ServerFrame, now: float) -> None:
        """Do what a frame asks, as soon as it is there: none of this depends on order."""
        match frame:
            case Ready():
                self._ready(frame)
            case InputAck():
                self._sender.ack(frame.upto, frame.beyond)
            case Resume():
                self._sender.resend_all()
            case Moved():
                # The successor says ready by itself; hello is for the case that it does not.
                self._lose_holder(hello_at=now + self._settings.hello_interval)
            case Error():
                self._error(frame, now)
            case _:
                pass

    def _ready(self, frame: Ready) -> None:
        self.last_ready = frame
        self._sender.ack(frame.known.upto, frame.known.beyond)
        if self._greeted_in != frame.epoch:
            # A new holder has nothing of what is unacknowledged, and a dead connection may have swallowed it.
            self._sender.resend_all()
        self._greeted_in = frame.epoch
        self._cursor.open(frame.head)

    def _error(self, frame: Error, now: float) -> None:
        if frame.code in FATAL_CODES:
            self.failure = SessionRefused(frame.code, frame.message)
        elif frame.code == "hello_first":
            self._lose_holder(hello_at=now)
        elif frame.code == "unknown_connection":
            self.must_reconnect = True
        elif frame.code == "busy":
            self._sender.hold(now + self._settings.busy_pause)

    def _show(self, items: list[ServerFrame | Gap], now: float) -> list[ServerFrame]:
        events: list[ServerFrame] = []
        for item in items:
            if isinstance(item, Gap):
                if not self._needs_hello:
                    self._hello_due(now)
                self._cursor.gap()
                continue
            if not self._cursor.accept(item):
                continue
            if isinstance(item, Transcript | TextOutput | Tool) and item.record is not None and self._ack_at is None:
                self._ack_at = now + self._settings.ack_delay
            if not isinstance(item, Pong):
                events.append(item)
        return events
