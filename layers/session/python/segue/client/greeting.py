"""Hellos: repeated until a holder listens and nothing is missing of what is shown, over the newest connection.

What a hello and unacknowledged input wait for shows when a connection is silent for too long.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import repeat
from math import inf
from typing import Final

import msgspec

from segue.backoff import backoff
from segue.client.input_delivery import InputDelivery
from segue.client.link import Link, Links
from segue.client.settings import ClientSettings
from segue.client.shown_output import ShownOutput
from segue.ids import valid_id
from segue.wire.frames import AnswerInput, Hello, InputFrame, TextInput, decode_client_frame, encode_frame

PAUSE_GROWTH: Final = 1.5
"""Length of each pause between two hellos, in lengths of the one before."""


class HelloTimer:
    """Timer of hellos."""

    def __init__(self, settings: ClientSettings) -> None:
        """Begin with none said."""
        self._settings = settings
        self._said_at = float("-inf")
        self._at = 0.0
        self._pauses = self._growing()

    def restart(self, at: float) -> None:
        """Make the first of several hellos due at a time."""
        self._at = max(at, self._said_at + self._settings.shortest_hello_interval)
        self._pauses = self._growing()

    def reset(self) -> None:
        """Begin a new connection: the last hello went over another."""
        self._said_at = float("-inf")

    def slow_down(self, now: float) -> None:
        """Take the longest pause: no worker has room for the session."""
        self._pauses = repeat(self._settings.longest_hello_interval)
        self._at = now + next(self._pauses)

    def said(self, now: float) -> None:
        """Note that a hello was said; the next comes after a growing pause."""
        self._said_at = now
        self._at = now + next(self._pauses)

    def wait(self, now: float) -> float:
        """Seconds until the next one is due; not positive if it is."""
        return self._at - now

    def _growing(self) -> Iterator[float]:
        settings = self._settings
        return backoff(settings.hello_interval, settings.longest_hello_interval, factor=PAUSE_GROWTH, jitter=False)


class Greeting:
    """Hellos of one client, as long as they are needed."""

    def __init__(
        self, hello: Hello, settings: ClientSettings, links: Links, delivery: InputDelivery, output: ShownOutput
    ) -> None:
        """Begin without a connection.

        Args:
            hello: what each hello says of the client.
            settings: times.
            links: the client's connections.
            delivery: its input, which stops without a holder.
            output: what it shows.

        Raises:
            ValueError: the session id or the client id is not one.
        """
        valid_id(hello.session, "session id")
        decode_client_frame(encode_frame(hello))
        self._hello = hello
        self._timer = HelloTimer(settings)
        self._links = links
        self._input = delivery
        self._output = output
        output.on_gap(self.expect)

    @property
    def needed(self) -> bool:
        """Tell whether to repeat hello: no holder listens, or the shown output may be incomplete."""
        return not self._input.greeted or not self._output.complete or self._links.renewal is not None

    @property
    def answer_due(self) -> bool:
        """Tell whether the server owes an answer: to hello, or to input."""
        return self.needed or self._input.unacknowledged > 0

    def silent_at(self, link: Link) -> float:
        """The time when a direct connection is silent for too long. Where there is a gateway, that finds who hangs.

        Its holder confirms what was sent, and the worker of its socket answers the ping behind a hello.
        """
        confirms = link.direct and link is self._links.current
        answers = link.asked_since if self.needs(link) else None
        unheard = self._input.silent_at(link.told_at) if confirms else inf
        return min(unheard, inf if answers is None else answers + self._input.patience)

    def due(self, now: float, link: Link) -> list[Hello]:
        """Return the hello to send over a connection now, if one is due; it counts as sent."""
        wait = self.wait(now, link)
        if wait is None or wait > 0:
            return []
        self._timer.said(now)
        return [msgspec.structs.replace(self._hello, connection=link.number, last_record=self._output.last_record)]

    def wait(self, now: float, link: Link) -> float | None:
        """Seconds until a hello is due over a connection, ``None`` while none is needed over it."""
        return self._timer.wait(now) if self.needs(link) else None

    def needs(self, link: Link) -> bool:
        """Tell whether hello is repeated over a connection."""
        return self.needed and link is self._links.newest

    def expect(self, at: float) -> None:
        """Say hello at a time, unless hellos are being said already."""
        if not self.needed:
            self._timer.restart(at)

    def lose_holder(self, hello_at: float) -> None:
        """Send no more input until a holder says ``Ready``, which hello asks for from a time on."""
        self.expect(hello_at)
        self._input.stop()

    def miss_output(self, now: float) -> None:
        """Show no more content of the journal until what may be missing was said again."""
        self.expect(now)
        self._output.gap()

    def connected(self, now: float) -> None:
        """Say hello over a new connection at once."""
        self._timer.reset()
        self._timer.restart(now)

    def slow_down(self, now: float) -> None:
        """Take the longest pause: no worker has room for the session."""
        self._timer.slow_down(now)

    def placed(self, frame: InputFrame) -> InputFrame:
        """Say with an input what was shown before it, where each turn may have a holder of its own."""
        if isinstance(frame, AnswerInput) or (self._hello.modality == "text" and isinstance(frame, TextInput)):
            return msgspec.structs.replace(frame, last_record=self._output.last_record)
        return frame
