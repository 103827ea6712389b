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

from segue.client.errors import CREDENTIAL_CODES, EXPIRIES, SessionRefused, refusal_of
from segue.client.greeting import Greeting
from segue.client.input_delivery import InputDelivery
from segue.client.link import Link, Links
from segue.client.pages import Pages
from segue.client.settings import ClientSettings
from segue.client.shown_output import ShownOutput
from segue.wire.binary import decode_message
from segue.wire.fields import DIRECT, HISTORY, PLAYED
from segue.wire.frames import (
    MAX_NUMBER,
    Approval,
    AudioOutput,
    ClientFrame,
    Error,
    Hello,
    InputAck,
    InputFrame,
    Modality,
    Moved,
    Ping,
    Pong,
    Ready,
    Received,
    Reconnect,
    Resume,
    ServerFrame,
    decode_client_frame,
    encode_frame,
)


class Conversation:
    """One client id in one session, over any number of connections.

    Attributes:
        counter: connections so far.
        last_ready: the newest ``Ready``; ``None`` before the first.
        last_error: the newest ``Error`` since then.
        failure: why nothing more will come of this, if so.
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
        self.counter = 0
        self.last_ready: Ready | None = None
        self.last_error: Error | None = None
        self.failure: SessionRefused | None = None
        self._settings = settings
        self._renewable = renewable
        self._expiries = 0  # connections in a row whose credentials expired before a Ready
        self._links = Links()
        self._input = InputDelivery(settings)
        self._output = ShownOutput(settings, history=history)
        hello = Hello(
            session=session,
            client_id=client_id,
            connection=1,
            modality=modality,
            approvals=approvals,
            history=history,
            binary=binary,
        )
        self._greeting = Greeting(hello, settings, self._links, self._input, self._output)

    @property
    def greeted(self) -> bool:
        """Tell whether a holder has said ``Ready`` on this connection and not moved since."""
        return self._input.greeted

    @property
    def epoch(self) -> int | None:
        """The highest epoch heard of."""
        return self._output.epoch

    @property
    def last_record(self) -> int | None:
        """The last record shown without a gap before it, -1 for none; ``None`` before the first ``Ready``."""
        return self._output.last_record

    @property
    def approval(self) -> Approval | None:
        """The approval that the agent waits for, as it was shown; ``None`` if it waits for nothing."""
        return self._output.approval.frame

    @property
    def pages(self) -> Pages:
        """The pages of the conversation so far that this client asks for."""
        return self._output.pages

    @property
    def unacknowledged(self) -> int:
        """The number of inputs that are not known to be durable."""
        return self._input.unacknowledged

    @property
    def given_up(self) -> int:
        """The number of pieces of audio that were dropped because too much was unacknowledged."""
        return self._input.given_up

    def offers(self, feature: str) -> bool:
        """Tell if the latest ``Ready`` names a feature."""
        return self.last_ready is not None and feature in self.last_ready.features

    def handshake_timeout(self, unanswered: int) -> float:
        """Return the seconds for a handshake, after so many that were not answered: the next may lead elsewhere."""
        if not self.offers(DIRECT):
            return self._settings.connect_timeout
        return min(self._input.grown(unanswered), self._settings.direct_connect_timeout)

    def played(self, frame: AudioOutput | None, ms: float, now: float) -> None:
        """Note how far the player has come; told at once if it has stopped after a ``BargeIn``.

        Args:
            frame: the last one of which anything was played, ``None`` if there is none.
            ms: milliseconds of it that were played.
            now: seconds.
        """
        self._output.played(frame, ms, now)

    @property
    def has_connection(self) -> bool:
        """Tell whether a connection is open, greeted or not."""
        return self._links.current is not None

    def link(self, number: int) -> Link | None:
        """Return the state of a connection; ``None`` if it was replaced."""
        return self._links.find(number)

    def connected(self, now: float) -> int:
        """Take a new connection: the only one, or the renewal of one that still works. Returns its number."""
        self.counter += 1
        self._links.renewal = Link(number=self.counter, settings=self._settings, spoke_at=now)
        if self._links.current is None:
            self._switch_connection()
        self._greeting.connected(now)
        return self.counter

    def disconnected(self, number: int) -> None:
        """Forget a connection that is gone."""
        if self._links.remove(number):
            self._switch_connection()

    def say(self, *frames: InputFrame) -> int:
        """Keep inputs until they are durable.

        Returns:
            How many older pieces of audio were given up for it.

        Raises:
            FrameError: ``oversize`` or ``bad_frame``: the server would not take it.
            SenderFull: too much text is unacknowledged.
        """
        for frame in frames:  # before they get numbers that must not be skipped
            decode_client_frame(encode_frame(msgspec.structs.replace(self._greeting.placed(frame), seq=MAX_NUMBER)))
        return self._input.add(*frames)

    def outgoing(self, now: float, number: int) -> list[ClientFrame]:
        """Return the frames to send over a connection now; they count as sent."""
        link = self._links.find(number)
        if link is None or link.lost:
            return []
        frames: list[ClientFrame] = []
        if self._output.approval.overdue(now):
            self._greeting.miss_output(now)  # nothing runs between two turns: the hello has the approval denied
        frames += self._greeting.due(now, link)
        asks = bool(frames) and self.offers(DIRECT)  # a worker that lives answers it at once, whatever the holder does
        if asks:
            link.asks(now)
        if link is self._links.current:
            frames += map(self._greeting.placed, self._input.due(now) if self.greeted else [])
            frames += self._output.acks(now, played=self.offers(PLAYED))
            if self.greeted and self.offers(HISTORY):
                frames += self.pages.due(now, self.last_record)
        if frames:
            link.spoke(now)
        if link.ping(now, expecting=self._greeting.answer_due):
            link.spoke(now)
            asks = True
        return [*frames, Ping()] if asks else frames

    def message(self, frame: ClientFrame, number: int) -> str | bytes:
        """Return the message for a frame, as the connection takes it."""
        link = self._links.find(number)
        return encode_frame(frame) if link is None else link.message(frame)

    def wants_renewal(self, now: float, number: int) -> bool:
        """Tell, once for each connection, whether the next one is to be opened beside it now."""
        link = self._links.newest
        if link is None or link.number != number or not link.wants_renewal(now, self._greeting.silent_at(link)):
            return False
        self._input.renewed(silent=link.silent)
        return True

    def received(self, message: str | bytes, now: float, number: int) -> list[ServerFrame]:
        """Take a message of a connection; return the events that it makes, in order."""
        link = self._links.find(number)
        if link is not None:
            self._input.answered(link.asked_since, now)
            link.heard()
        events: list[ServerFrame] = []
        for frame in decode_message(message):
            if self._output.is_stale(frame):
                continue
            if link is not None and not isinstance(frame, Pong | Reconnect):
                link.told_at = now
            if self._apply(frame, now, link):
                events += self._output.offer_frame(frame, now)
        return events

    def tick(self, now: float) -> list[ServerFrame]:
        """Give up what has been waited for long enough; return the events that were held up by it."""
        self._links.tick(now)
        return self._output.expire(now)

    def wakeup(self, now: float, number: int) -> float | None:
        """Seconds until ``tick`` or ``outgoing`` may have something; ``None`` for not before something happens."""
        waits = [self._output.wakeup(now)]
        link = self._links.find(number)
        if link is not None:
            waits.append(link.wakeup(now, expecting=self._greeting.answer_due))
            waits.append(self._greeting.wait(now, link))
            waits.append(self._output.approval.wakeup(now))
        if link is not None and link is self._links.newest:
            waits.append(link.renewal_wait(now, self._greeting.silent_at(link)))
        if link is not None and link is self._links.current:
            waits.append(self._input.wakeup(now) if self.greeted else None)
            waits.append(self._output.ack_wakeup(now))
            waits.append(self.pages.wakeup(now) if self.greeted and self.offers(HISTORY) else None)
        return min((max(0.0, wait) for wait in waits if wait is not None and wait < inf), default=None)

    def _switch_connection(self) -> None:
        """Go on over a connection that has heard nothing of what came before it, if there is one."""
        if self._links.current is None:
            self._links.promote()
        self._input.stop()
        self._output.gap()  # what was on its way on the last connection is gone

    def _apply(self, frame: ServerFrame, now: float, link: Link | None) -> bool:
        """Apply a frame whose effect does not depend on order, on arrival. False: no caller needs to see it."""
        match frame:
            case Ready():
                self._on_ready(frame, now, link)
            case InputAck():
                self._input.acknowledged(frame, now)
            case Reconnect():
                if link is not None:
                    link.renew(now + frame.after_ms / 1000)
                return False
            case Received():
                self._input.arrived(frame, now)
            case Resume():
                self._input.asked_again(frame)
            case Moved():
                # The successor says ready by itself; hello is for the case that it does not.
                self._input.moved()
                self._greeting.lose_holder(hello_at=now + self._settings.hello_interval)
            case Error():
                return self._on_error(frame, now, link)
            case _:
                pass
        return True

    def _on_ready(self, frame: Ready, now: float, link: Link | None) -> None:
        self.last_ready, self.last_error, self._expiries = frame, None, 0
        self._input.durable(frame.known.upto, frame.known.beyond, now)
        self._output.open(frame.head)
        if link is None:
            # Said over a connection that has been replaced: the new holder does not know of the present one yet.
            if not self._input.greeted_in(frame.epoch):
                self._greeting.lose_holder(hello_at=now)
            return
        link.greeted(frame.features)
        if link is self._links.renewal:
            if self._links.current is not None and self._links.current.silent:
                self._input.swallowed()
            self._links.promote()
            if frame.since is None:  # the holder has not heard hello here: what waited for the old one may be gone
                self._greeting.miss_output(now)
        self._input.ready(frame)
        self.pages.greeted(now)

    def _on_error(self, frame: Error, now: float, link: Link | None) -> bool:
        if link is None or (frame.code == "superseded" and link.number < self.counter):
            if link is not None and link is self._links.newest:
                link.lost = True  # superseded by a connection of ours that has broken meanwhile: only a newer one helps
            return False
        if link.lost and frame.code in CREDENTIAL_CODES:
            return False  # said once more, of credentials that are given up
        self.last_error = frame
        self._expiries += frame.code == "expired" and not self.greeted
        replaceable = self.greeted or (frame.code == "expired" and self._expiries < EXPIRIES)
        if (refusal := refusal_of(frame, renewable=self._renewable and replaceable)) is not None:
            self.failure = refusal
        elif frame.code in CREDENTIAL_CODES or frame.code == "unknown_connection":
            link.lost = True
        elif frame.code == "hello_first":
            self._greeting.lose_holder(hello_at=now)
        elif frame.code in {"busy", "too_fast"}:
            self._input.hold(now + self._settings.busy_pause)
        elif frame.code == "too_many_sessions":
            self._greeting.slow_down(now)
        return True
