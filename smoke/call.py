"""A caller on the public client, who types, speaks, and notes when what came."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable

from segue.client import Client
from segue.wire.fields import DIRECT
from segue.wire.frames import AudioOutput, BargeIn, Ready, ServerFrame, TextOutput, Transcript
from smoke.background import running
from smoke.speech import PIECE_SECONDS, pieces


class Call:
    """A call with one client.

    Attributes:
        client: The client.
        heard: Everything that came, with its time on the monotonic clock.
        silent_at: When the agent's speech, as far as it came, has been played.
    """

    def __init__(self, client: Client) -> None:
        self.client = client
        self.heard: list[tuple[float, ServerFrame]] = []
        self.silent_at = 0.0
        self._changed = asyncio.Condition()

    @property
    def rate(self) -> int | None:
        """Samples a second that the session hears; None if it hears nothing."""
        ready = self.client.ready
        return ready.audio.input.rate if ready and ready.audio else None

    async def listen(self) -> None:
        """Note what comes, until the client ends."""
        async for frame in self.client.events():
            now = time.monotonic()
            self.heard.append((now, frame))
            if isinstance(frame, AudioOutput):
                self.silent_at = max(self.silent_at, now) + len(frame.pcm) / 2 / frame.rate
            elif isinstance(frame, BargeIn):
                self.silent_at = now
            async with self._changed:
                self._changed.notify_all()

    async def first(
        self, matches: Callable[[ServerFrame], bool], within: float, after: int = 0
    ) -> tuple[float, ServerFrame]:
        """Wait for a frame that fits, among those after a place; its time, and itself.

        Raises:
            TimeoutError: None came in time.
        """
        async with asyncio.timeout(within), self._changed:
            while True:
                for at, frame in self.heard[after:]:
                    if matches(frame):
                        return at, frame
                await self._changed.wait()

    async def ask(self, text: str, within: float) -> tuple[float, str]:
        """Type something when the agent is silent; the seconds to the answer, and the answer."""
        await self.silence()
        place, began = len(self.heard), time.monotonic()
        await self.client.send_text(text)
        at, answer = await self.first(is_answer, within, place)
        return at - began, words(answer)

    async def silence(self) -> None:
        """Wait until the agent's speech has been played."""
        while (rest := self.silent_at - time.monotonic()) > 0:  # noqa: ASYNC110 - a moment, which audio moves on
            await asyncio.sleep(rest)

    @contextlib.asynccontextmanager
    async def speaking(self, pcm: bytes) -> AsyncIterator[asyncio.Future[float]]:
        """Speak while the block runs, in real time, and then be silent on an open microphone.

        Yields:
            The time at which the last piece of the speech was sent.
        """
        ended: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        async with running(self._talk(pcm, ended)):
            yield ended

    async def _talk(self, pcm: bytes, ended: asyncio.Future[float]) -> None:
        rate = self.rate or 16000
        loop = asyncio.get_running_loop()
        due = loop.time()
        remaining = pieces(pcm, rate)
        while True:
            piece = remaining.pop(0) if remaining else bytes(2 * int(rate * PIECE_SECONDS))
            await self.client.send_audio(piece)
            if not remaining and not ended.done():
                ended.set_result(time.monotonic())
            due += PIECE_SECONDS
            await asyncio.sleep(max(0.0, due - loop.time()))


@contextlib.asynccontextmanager
async def calling(client: Client) -> AsyncIterator[Call]:
    """Connect, and listen while the block runs."""
    async with client:
        call = Call(client)
        async with running(call.listen()):
            yield call


def is_answer(frame: ServerFrame) -> bool:
    """True for the agent's words in the journal."""
    return isinstance(frame, TextOutput) or (
        isinstance(frame, Transcript) and frame.final and frame.role == "assistant" and frame.replaces is None
    )


def is_direct(ready: Ready | None) -> bool:
    """True if the connection leads to a worker itself."""
    return ready is not None and DIRECT in ready.features


def words(frame: ServerFrame) -> str:
    """The words of an answer."""
    return frame.text if isinstance(frame, TextOutput | Transcript) else ""
