"""The client's side of the protocol without any I/O: messages and time go in, frames and events come out.

connected ──▶ hello ──▶ (repeated) ──▶ ready ──▶ input, and all of it again that is not acknowledged
                ▲                                 │
                └── a gap, a new epoch, moved ◀───┘   hello carries what was shown: the rest is said again

A second connection that is opened beside the first is its renewal: hello goes over the new one, input over the old one
until ``ready`` comes over the new one, and what both bring is one stream, because its numbers are the client's. It is
opened before the first grows old, when its worker says ``reconnect``, and when a worker does not confirm what was sent.
"""

from __future__ import annotations

from math import inf

import msgspec

from segue.client.errors import SessionRefused
from segue.client.greeting import HelloTimer
from segue.client.link import Link, Links
from segue.client.pages import Pages
from segue.client.player import Player
from segue.client.settings import ClientSettings
from segue.ids import valid_id
from segue.wire.binary import decode_binary_server, encode_binary
from segue.wire.fields import HISTORY, PLAYED
from segue.wire.frames import (
    MAX_NUMBER,
    AnswerInput,
    Approval,
    AudioInput,
    AudioOutput,
    BargeIn,
    ClientFrame,
    Error,
    Hello,
    HistoryOutput,
    InputAck,
    InputFrame,
    Modality,
    Moved,
    OutputAck,
    Ping,
    Pong,
    Ready,
    Received,
    Reconnect,
    Resume,
    ServerFrame,
    TextInput,
    TextOutput,
    Tool,
    Transcript,
    decode_client_frame,
    decode_server_message,
    encode_frame,
)
from segue.wire.output import Gap, JournalCursor, OutputOrder
from segue.wire.sender import Sender

FATAL_CODES = frozenset({"bad_session", "already_bound", "superseded"})
"""After these the server will refuse whatever this client says."""

OVERDUE_SECONDS = 0.5
"""After an approval's time is over, hello is said so much later: the holder's clock may be behind."""

CREDENTIAL_CODES = frozenset({"unauthorized", "expired"})
"""After these it refuses what comes over this connection."""


class Conversation:
    """One client id in one session, over any number of connections.

    Attributes:
        counter: connections so far.
        last_ready: the newest ``Ready``; ``None`` before the first.
        last_error: the newest ``Error`` since then.
        failure: why nothing more will come of this, if so.
        approval: what the agent waits for, as it was shown; ``None`` if it waits for nothing.
        pages: the pages of the conversation so far that this client asks for.
    """

    def __init__(
        self,
        session: str,
        client_id: str,
        modality: Modality,
        settings: ClientSettings,
        *,
        renewable: bool = False,
        approvals: bool = False,
        history: bool = False,
        binary: bool = False,
    ) -> None:
        """Start without a connection.

        Args:
            session: session id.
            client_id: this client's id.
            modality: what will mostly be sent.
            settings: times and limits.
            renewable: whether each new connection has new credentials, so that expired ones are no end.
            approvals: whether this client can answer approvals.
            history: whether this client wants the conversation so far, and what others type.
            binary: whether binary messages are taken.

        Raises:
            ValueError: ``session`` or ``client_id`` is not one.
        """
        self._greeting = Hello(
            session=valid_id(session, "session id"),
            client_id=client_id,
            connection=1,
            modality=modality,
            approvals=approvals,
            history=history,
            binary=binary,
        )
        decode_client_frame(encode_frame(self._greeting))
        self.counter = 0
        self.last_ready: Ready | None = None
        self.last_error: Error | None = None
        self.failure: SessionRefused | None = None
        self.approval: Approval | None = None
        self._settings = settings
        self._renewable = renewable
        self._sender = Sender(settings.sender)
        self.pages = Pages(settings, wanted=history)
        self._player = Player()
        self._order = OutputOrder(settings.gap_patience)
        self._cursor = JournalCursor()
        self._hellos = HelloTimer(settings)
        self._links = Links()
        self._greeted_in: int | None = None  # the epoch that said ready on this connection: input may flow
        self._holder: int | None = None  # the epoch that has what has arrived
        self._asked_again_at = 0  # what it said before that is no news any more
        self._ack_at: float | None = None
        self._overdue_at: float | None = None  # when the approval's time is over
        self._silences = 0  # renewals in a row that were opened because nothing was confirmed

    @property
    def greeted(self) -> bool:
        """Tell whether a holder has said ``Ready`` on this connection and not moved since."""
        return self._greeted_in is not None

    @property
    def epoch(self) -> int | None:
        """The highest epoch heard of."""
        return self._order.epoch

    @property
    def last_record(self) -> int | None:
        """The last record shown without a gap before it, -1 for none; ``None`` before the first ``Ready``."""
        return self._cursor.last_record

    @property
    def unacknowledged(self) -> int:
        """The number of inputs that are not known to be durable."""
        return self._sender.unacknowledged

    @property
    def given_up(self) -> int:
        """The number of pieces of audio that were dropped because too much was unacknowledged."""
        return self._sender.given_up

    def offers(self, feature: str) -> bool:
        """Tell if the latest ``Ready`` names a feature."""
        return self.last_ready is not None and feature in self.last_ready.features

    def played(self, frame: AudioOutput | None, ms: float, now: float) -> None:
        """Note how far the player has come; told at once if it has stopped after a ``BargeIn``.

        Args:
            frame: the last one of which anything was played, ``None`` if there is none.
            ms: milliseconds of it that were played.
            now: seconds.
        """
        if self._order.epoch is not None and self._player.came(frame, ms, self._order.epoch):
            self._ack_at = now

    def link(self, number: int) -> Link | None:
        """Return the state of a connection; ``None`` if it was replaced."""
        return self._links.find(number)

    def connected(self, now: float) -> int:
        """A new connection is open: the only one, or the renewal of one that still works. Returns its number."""
        self.counter += 1
        self._links.renewal = Link(number=self.counter, settings=self._settings, spoke_at=now)
        if self._links.current is None:
            self._go_on()
        self._hellos.forget()
        self._hellos.restart(now)
        return self.counter

    def disconnected(self, number: int) -> None:
        """A connection is gone."""
        if self._links.remove(number):
            self._go_on()

    def say(self, *frames: InputFrame) -> int:
        """Keep inputs until they are durable.

        Returns:
            How many older pieces of audio were given up for it.

        Raises:
            FrameError: ``oversize`` or ``bad_frame``: the server would not take it.
            SenderFull: too much text is unacknowledged.
        """
        for frame in frames:  # before they get numbers that must not be skipped
            decode_client_frame(encode_frame(msgspec.structs.replace(self._placed(frame), seq=MAX_NUMBER)))
        return self._sender.add(*frames)

    def outgoing(self, now: float, number: int) -> list[ClientFrame]:
        """Return the frames to send over a connection now; they count as sent."""
        link = self._links.find(number)
        if link is None or link.lost:
            return []
        frames: list[ClientFrame] = []
        if self._overdue_at is not None and self._overdue_at <= now:
            self._overdue_at = None
            self._missing(now)  # nothing runs between two turns: the hello has the approval denied
        if self._says_hello(link) and self._hellos.wait(now) <= 0:
            self._hellos.said(now)
            frames.append(
                msgspec.structs.replace(self._greeting, connection=link.number, last_record=self._cursor.last_record)
            )
        if link is self._links.current:
            frames += map(self._placed, self._sender.due(now) if self.greeted else [])
            frames += self._output_ack(now)
            if self.greeted and self.offers(HISTORY):
                frames += self.pages.due(now, self._cursor.last_record)
        if frames:
            link.spoke(now)
        if link.ping(now, expecting=self._expecting):
            link.spoke(now)
            frames.append(Ping())
        return frames

    def message(self, frame: ClientFrame, number: int) -> str | bytes:
        """Return the message for a frame, as the connection takes it."""
        link = self._links.find(number)
        if link is not None and link.binary and isinstance(frame, AudioInput) and frame.audio:
            return encode_binary(frame)
        return encode_frame(frame)

    def wants_renewal(self, now: float, number: int) -> bool:
        """Tell, once for each connection, whether the next one is to be opened beside it now."""
        link = self._links.newest
        if link is None or link.number != number or not link.wants_renewal(now, self._silent_at(link)):
            return False
        self._silences += link.silent
        return True

    def received(self, message: str | bytes, now: float, number: int) -> list[ServerFrame]:
        """Take a message of a connection; return the events that it makes, in order."""
        link = self._links.find(number)
        if link is not None:
            link.heard()
        events: list[ServerFrame] = []
        for frame in _frames_of(message):
            if self._is_stale(frame):
                continue
            if link is not None and not isinstance(frame, Pong | Reconnect):
                link.told_at = now
            if self._obey(frame, now, link):
                events += self._show(self._order.offer(frame, now), now)
        return events

    def tick(self, now: float) -> list[ServerFrame]:
        """Give up what has been waited for long enough; return the events that were held up by it."""
        self._links.tick(now)
        return self._show(self._order.expire(now), now)

    def wakeup(self, now: float, number: int) -> float | None:
        """Seconds until ``tick`` or ``outgoing`` may have something; ``None`` for not before something happens."""
        waits = [self._order.wakeup(now)]
        link = self._links.find(number)
        if link is not None:
            waits.append(link.wakeup(now, expecting=self._expecting))
            waits.append(self._hellos.wait(now) if self._says_hello(link) else None)
            waits.append(None if self._overdue_at is None else self._overdue_at - now)
        if link is not None and link is self._links.newest:
            waits.append(link.renewal_wait(now, self._silent_at(link)))
        if link is not None and link is self._links.current:
            waits.append(self._sender.wakeup(now) if self.greeted else None)
            waits.append(None if self._ack_at is None else self._ack_at - now)
            waits.append(self.pages.wakeup(now) if self.greeted and self.offers(HISTORY) else None)
        return min((max(0.0, wait) for wait in waits if wait is not None and wait < inf), default=None)

    def _placed(self, frame: InputFrame) -> InputFrame:
        """Say with an input what was shown before it, where each turn may have a holder of its own."""
        if isinstance(frame, AnswerInput) or (self._greeting.modality == "text" and isinstance(frame, TextInput)):
            return msgspec.structs.replace(frame, last_record=self._cursor.last_record)
        return frame

    def _go_on(self) -> None:
        """Go on over a connection that has heard nothing of what came before it, if there is one."""
        if self._links.current is None:
            self._links.promote()
        self._greeted_in = None
        self._cursor.gap()  # what was on its way on the last connection is gone

    @property
    def _needs_hello(self) -> bool:
        """Tell whether to repeat hello: no holder listens, or the shown output may be incomplete."""
        return not self.greeted or not self._cursor.complete or self._links.renewal is not None

    def _says_hello(self, link: Link) -> bool:
        return self._needs_hello and link is self._links.newest

    @property
    def _expecting(self) -> bool:
        """Tell whether an answer of the server is due."""
        return self._needs_hello or self._sender.unacknowledged > 0

    def _silent_at(self, link: Link) -> float:
        """The time when a direct connection's holder is silent for too long: what was sent is confirmed in a second.

        Where there is a gateway, that one finds a holder that hangs. A holder without a window confirms nothing.
        """
        since = self._sender.unheard_since
        if since is None or not link.direct or link is not self._links.current or not self.greeted:
            return inf
        if self._sender.window is None:
            return inf
        return max(since, link.told_at) + self._sender.grown(self._settings.received_timeout, self._silences)

    def _output_ack(self, now: float) -> list[OutputAck]:
        if self._ack_at is None or self._ack_at > now:
            return []
        self._ack_at = None
        if self._order.epoch is None or not self._order.released:
            return []  # nothing yet, in an epoch that has just begun
        played = self._player.report(self._order.epoch) if self.offers(PLAYED) else None
        return [OutputAck(epoch=self._order.epoch, seq=self._order.released, played=played)]

    def _lose_holder(self, hello_at: float) -> None:
        if not self._needs_hello:
            self._hellos.restart(hello_at)
        self._greeted_in = None

    def _is_stale(self, frame: ServerFrame) -> bool:
        epoch = self._order.epoch
        return frame.epoch is not None and epoch is not None and frame.epoch < epoch

    def _obey(self, frame: ServerFrame, now: float, link: Link | None) -> bool:
        """Apply a frame whose effect does not depend on order, on arrival. False: no caller needs to see it."""
        match frame:
            case Ready():
                self._ready(frame, now, link)
            case InputAck():
                self._silences = 0
                self._sender.ack(frame.upto, frame.beyond, now=now)
            case Reconnect():
                if link is not None:
                    link.renew(now + frame.after_ms / 1000)
                return False
            case Received():
                self._silences = 0
                if frame.epoch == self._greeted_in and (frame.seq or 0) > self._asked_again_at:
                    self._sender.arrived(frame.upto, frame.beyond, now=now)
            case Resume():
                self._asked_again_at = frame.seq or 0
                self._sender.resend_all()
            case Moved():
                # The successor says ready by itself; hello is for the case that it does not.
                self._holder = None
                self._lose_holder(hello_at=now + self._settings.hello_interval)
            case Error():
                return self._error(frame, now, link)
            case _:
                pass
        return True

    def _ready(self, frame: Ready, now: float, link: Link | None) -> None:
        self.last_ready, self.last_error = frame, None
        self._sender.ack(frame.known.upto, frame.known.beyond, now=now)
        self._cursor.open(frame.head)
        if link is None:
            # Said over a connection that has been replaced: the new holder does not know of the present one yet.
            if self._greeted_in != frame.epoch:
                self._lose_holder(hello_at=now)
            return
        link.greeted(frame.features)
        if link is self._links.renewal:
            if self._links.current is not None and self._links.current.silent:
                self._sender.resend_lost()  # the silent connection may have swallowed some
            self._links.promote()
            if frame.since is None:
                self._missing(now)  # the holder has not heard hello here: what waited for the old one may be gone
        self._sender.window = frame.window
        if self._holder != frame.epoch:
            self._asked_again_at = frame.seq or 0
            self._sender.resend_all()  # a new holder has nothing of it
        elif self._greeted_in != frame.epoch:
            self._sender.resend_lost()  # a dead connection may have swallowed some
        self._greeted_in = self._holder = frame.epoch
        self.pages.greeted(now)

    def _error(self, frame: Error, now: float, link: Link | None) -> bool:
        if link is None or (frame.code == "superseded" and link.number < self.counter):
            if link is not None and link is self._links.newest:
                link.lost = True  # superseded by a connection of ours that has broken meanwhile: only a newer one helps
            return False
        self.last_error = frame
        if frame.code in FATAL_CODES:
            self.failure = SessionRefused(frame.code, frame.message)
        elif frame.code in CREDENTIAL_CODES:
            if not self._renewable or not self.greeted:
                self.failure = SessionRefused(frame.code, frame.message)
            else:
                link.lost = True
        elif frame.code == "unknown_connection":
            link.lost = True
        elif frame.code == "hello_first":
            self._lose_holder(hello_at=now)
        elif frame.code in {"busy", "too_fast"}:
            self._sender.hold(now + self._settings.busy_pause)
        elif frame.code == "too_many_sessions":
            self._hellos.slow_down(now)
        return True

    def _missing(self, now: float) -> None:
        if not self._needs_hello:
            self._hellos.restart(now)
        self._cursor.gap()

    def _show(self, items: list[ServerFrame | Gap], now: float) -> list[ServerFrame]:
        events: list[ServerFrame] = []
        for item in items:
            if isinstance(item, Gap):
                self._missing(now)
                continue
            if isinstance(item, Approval):
                self._follow(item, now)
            elif isinstance(item, BargeIn):
                self._player.barge_in(item.epoch)
            elif isinstance(item, HistoryOutput) and item.more is not None:
                if self.pages.wants(item.before):
                    events += self.pages.take(self._cursor.accept_page(item))
                continue
            if not self._cursor.accept(item):
                continue
            if (
                isinstance(item, Transcript | TextOutput | Tool | Approval | HistoryOutput)
                and item.record is not None
                and self._ack_at is None
            ):
                self._ack_at = now + self._settings.ack_delay
            if not isinstance(item, Pong):
                events.append(item)
        return events

    def _follow(self, frame: Approval, now: float) -> None:
        """Note what is waited for, and until when; said again it says the same."""
        if frame.status == "asked":
            self.approval = frame
            self._overdue_at = now + (frame.seconds or 0.0) + OVERDUE_SECONDS
        else:
            self.approval = self._overdue_at = None


def _frames_of(message: str | bytes) -> list[ServerFrame]:
    if isinstance(message, str):
        return decode_server_message(message)
    frame = decode_binary_server(message)
    return [] if frame is None else [frame]
