"""What the client receives: every frame with its time, and the agent's speech put back into words."""

import asyncio
import time
from dataclasses import dataclass

from segue.client import Client
from segue.wire import frames
from worker.rehearsal import Ear


@dataclass(frozen=True)
class Answer:
    """One spoken answer.

    Attributes:
        transcript: Its final transcript.
        heard: What its audio says, by ear; None where it was garbled or missing.
        record: The journal record that the transcript shows.
        first_audio: Seconds from the question to the first audio.
        whole: Seconds from the question to the final transcript.
        epoch: The epoch that the transcript carried.
    """

    transcript: str
    heard: str | None
    record: int | None
    first_audio: float | None
    whole: float
    epoch: int | None


class Listener:
    """Listens to one client.

    Attributes:
        finals: Every final transcript that was shown, as (role, text, record).
        readies: Every `ready`, as (time on the monotonic clock, frame).
        last_frame_at: When anything came last.
        moved_at: When a worker last said that it hands the session over.
    """

    def __init__(self, client: Client) -> None:
        self.finals: list[tuple[str, str, int | None]] = []
        self.readies: list[tuple[float, frames.Ready]] = []
        self.last_frame_at = time.monotonic()
        self.moved_at: float | None = None
        self._client = client
        self._frames: list[tuple[float, frames.ServerFrame]] = []
        self._changed = asyncio.Condition()

    async def listen(self) -> None:
        """Take every event until the client ends."""
        async for frame in self._client.events():
            now = self.last_frame_at = time.monotonic()
            if isinstance(frame, frames.Transcript) and frame.final:
                self.finals.append((frame.role, frame.text, frame.record))
            if isinstance(frame, frames.Moved):
                self.moved_at = now
            if isinstance(frame, frames.Ready):
                self.readies.append((now, frame))
            async with self._changed:
                self._frames.append((now, frame))
                self._changed.notify_all()

    async def ask(self, text: str, within: float) -> Answer:
        """Say something and wait for the answer and all of its speech.

        Raises:
            TimeoutError: No answer within so many seconds.
        """
        began, seen = time.monotonic(), len(self._frames)
        await self._client.send_text(text)
        ear: Ear | None = None
        heard: list[str | None] = []
        first_audio: float | None = None
        final: tuple[float, frames.Transcript] | None = None
        async with asyncio.timeout(within):
            while final is None or not heard:
                for at, frame in await self._frames_after(seen):
                    seen += 1
                    if isinstance(frame, frames.AudioOutput):
                        first_audio = at - began if first_audio is None else first_audio
                        ear = ear or Ear(frame.rate)
                        heard += [one.text for one in ear.feed(frame.pcm)]
                    elif isinstance(frame, frames.Transcript) and frame.final and frame.role == "assistant":
                        final = at, frame
        at, frame = final
        return Answer(frame.text, heard[-1], frame.record, first_audio, at - began, frame.epoch)

    async def _frames_after(self, seen: int) -> list[tuple[float, frames.ServerFrame]]:
        async with self._changed:
            await self._changed.wait_for(lambda: len(self._frames) > seen)
            return self._frames[seen:]

    async def epoch_above(self, epoch: int, within: float) -> tuple[float, frames.Ready]:
        """Wait for the `ready` of a later epoch.

        Raises:
            TimeoutError: Nobody took the session within so many seconds.
        """
        async with asyncio.timeout(within), self._changed:
            while True:
                for at, ready in self.readies:
                    if ready.epoch is not None and ready.epoch > epoch:
                        return at, ready
                await self._changed.wait()
