"""A person on the line: speaks and types, while a microphone that is never switched off sends its frames.

Every line that is said is different, so that what became of each of its frames can be told at the end: speech carries
its words and a checksum (``segue.testing.offline.tones``), so that decoding them proves all of its frames, in order.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from dataclasses import dataclass, field

from local.demo.listener import Final, Listener
from segue.client import Client
from segue.testing.offline import speak

FRAME_SECONDS = 0.1

MOST_FRAMES = 200
"""Unacknowledged frames at which the microphone is held: 20 s of sound, of the 30 s and more that a client keeps. A
machine on which it is reached carries fewer frames than are spoken, and would never catch up."""


@dataclass(eq=False)
class SaidLine:
    """A line that was said, and what became of it.

    Attributes:
        text: The words.
        expected: What has to be in the answer.
        spoken: Whether it was speech; otherwise it was typed.
        at: When it began, on the monotonic clock.
        ended: When its last frame was sent, on the same.
        frames: The numbers of the frames that carried it.
        answer: The final transcript that answered it.
    """

    text: str
    expected: str
    spoken: bool
    at: float = field(default_factory=time.monotonic)
    ended: float = 0.0
    frames: list[int] = field(default_factory=list)
    answer: Final | None = None


class LineSender:
    """Sender of what the client is given, which knows its numbers: the client counts from 1, in the order of sending.

    Attributes:
        given_up: Frames that the client gave up because too much was unacknowledged.
    """

    def __init__(self, client: Client) -> None:
        self.given_up = 0
        self._client = client
        self._numbers = itertools.count(1)

    @property
    def full(self) -> bool:
        """True while so much is unacknowledged that the microphone is held."""
        return self._client.unacknowledged >= MOST_FRAMES

    @property
    def rate(self) -> int:
        """Samples a second that the session takes, of 16 bits each."""
        ready = self._client.ready
        return ready.audio.input.rate if ready and ready.audio else 16000

    async def audio(self, pcm: bytes) -> int:
        """Send a piece of sound, and return its number."""
        self.given_up += await self._client.send_audio(pcm)
        return next(self._numbers)

    async def text(self, text: str) -> int:
        """Send something typed, and return its number."""
        await self._client.send_text(text)
        return next(self._numbers)


class Microphone:
    """Microphone in real time: what is being said, and silence where nothing is.

    Attributes:
        silence: The numbers of the frames that carried nothing.
    """

    def __init__(self, line: LineSender) -> None:
        self.silence: list[int] = []
        self._line = line
        self._speech = bytearray()
        self._current_line: SaidLine | None = None
        self._spoken = asyncio.Event()

    async def run(self) -> None:
        """Send a frame whenever it is due. One that is late is followed by the next at once."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            await self._send()
            while self._line.full:
                await asyncio.sleep(FRAME_SECONDS)
                due = loop.time()
            due += FRAME_SECONDS
            await asyncio.sleep(max(0.0, due - loop.time()))

    async def _send(self) -> None:
        size = 2 * int(self._line.rate * FRAME_SECONDS)
        pcm, line = bytes(self._speech[:size]), self._current_line
        del self._speech[:size]
        number = await self._line.audio(pcm.ljust(size, b"\0"))
        (self.silence if line is None else line.frames).append(number)
        if not self._speech:
            self._current_line = None
            self._spoken.set()

    async def say(self, line: SaidLine) -> None:
        """Say a line, and return when its last frame is on its way."""
        self._spoken.clear()
        self._speech += speak(line.text, self._line.rate)
        self._current_line = line
        await self._spoken.wait()


class Caller:
    """Caller who says one line after another, each when the one before it was answered.

    Attributes:
        said: Everything that was said, in order.
        line: Where it goes.
        microphone: What it is spoken into.
    """

    def __init__(self, client: Client, listener: Listener) -> None:
        self.said: list[SaidLine] = []
        self.line = LineSender(client)
        self.microphone = Microphone(self.line)
        self._listener = listener

    async def say(self, text: str, expected: str, within: float, *, spoken: bool = True) -> SaidLine:
        """Say something, once the answer before it has been played, and wait until it is answered.

        Args:
            text: The words.
            expected: What has to be in the answer.
            within: Seconds from its last frame.
            spoken: Speak it; otherwise type it.

        Raises:
            TimeoutError: No such answer came in time.
        """
        await asyncio.sleep(max(0.0, self._listener.silent_at - time.monotonic()))
        line = SaidLine(text, expected, spoken)
        self.said.append(line)
        finals_before = len(self._listener.finals)
        if spoken:
            await self.microphone.say(line)
        else:
            line.frames.append(await self.line.text(text))
        line.ended = time.monotonic()
        line.answer = await self._listener.final_after(finals_before, expected, within)
        return line
