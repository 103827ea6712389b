"""The client's side: every frame with its place, and the agent's speech decoded to words."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from local.timeouts import patient
from segue.client import Client
from segue.testing.offline import Ear
from segue.wire import frames


@dataclass(frozen=True)
class Final:
    """A final transcript, as it was shown.

    Attributes:
        role: Who said it.
        text: The words.
        record: The record of the journal that it shows.
        epoch: The epoch that it came from.
        at: When, on the monotonic clock.
    """

    role: str
    text: str
    record: int | None
    epoch: int | None
    at: float


class Listener:
    """Listener to one client. Seconds that it waits at most are those of a usual machine; a busy one is given more.

    Attributes:
        finals: Every final transcript that was shown.
        readies: Every ``ready``, as (time on the monotonic clock, frame).
        moves: When a worker said that it hands the session over.
        heard: What was understood of the agent's speech; None for what was damaged.
        count: Frames by type.
        doubled: Frames that the client let through again, or from an epoch that was over: it should drop them.
        missing: Frames that were skipped within an epoch. No fault by itself: a new epoch begins with a gap, after
            which the client holds journal content back until it is said again.
        last_frame_at: When anything came last.
        silent_at: When what came of the agent's speech has been played, on the monotonic clock.
    """

    def __init__(self, client: Client) -> None:
        self.finals: list[Final] = []
        self.readies: list[tuple[float, frames.Ready]] = []
        self.moves: list[float] = []
        self.heard: list[str | None] = []
        self.count: Counter[str] = Counter()
        self.doubled = 0
        self.missing = 0
        self.last_frame_at = self.silent_at = time.monotonic()
        self._client = client
        self._ear: Ear | None = None
        self._last_position = (0, 0)
        self._upto = 0
        self._beyond: frozenset[int] = frozenset()
        self._changed = asyncio.Condition()

    async def listen(self) -> None:
        """Take every event until the client ends."""
        async for frame in self._client.events():
            self.last_frame_at = time.monotonic()
            self._note_frame(frame)
            async with self._changed:
                self._changed.notify_all()

    def acknowledged(self, number: int) -> bool:
        """Return true if an input frame is known to be durable."""
        return number <= self._upto or number in self._beyond

    async def final_after(self, count: int, text: str, within: float) -> Final:
        """Wait for the agent to say something, after so many final transcripts.

        Raises:
            TimeoutError: It was not said within so many seconds.
        """

        def find_final() -> Final | None:
            finals = (final for final in self.finals[count:] if final.role == "assistant" and text in final.text)
            return next(finals, None)

        return await self._until(find_final, within)

    async def ready_above(self, epoch: int, within: float) -> tuple[float, frames.Ready]:
        """Wait for the ``ready`` of a later epoch, and return it with its time.

        Raises:
            TimeoutError: No worker acquired the session within so many seconds.
        """
        return await self._until(
            lambda: next(((at, one) for at, one in self.readies if (one.epoch or 0) > epoch), None), within
        )

    async def all_acknowledged(self, numbers: list[int], within: float) -> None:
        """Wait until input frames are durable.

        Raises:
            TimeoutError: They were not within so many seconds.
        """
        await self._until(lambda: all(map(self.acknowledged, numbers)) or None, within)

    async def until_heard(self, text: str, within: float) -> None:
        """Wait until the agent's speech was heard to its end.

        Raises:
            TimeoutError: It was not within so many seconds.
        """
        await self._until(lambda: text in self.heard or None, within)

    async def _until[Found](self, find: Callable[[], Found | None], within: float) -> Found:
        async with asyncio.timeout(patient(within)), self._changed:
            while (found := find()) is None:
                await self._changed.wait()
            return found

    def _note_frame(self, frame: frames.ServerFrame) -> None:
        self.count[type(frame).__name__] += 1
        if frame.epoch is not None and frame.seq is not None:
            self._note_sequence(frame.epoch, frame.seq)
        match frame:
            case frames.Transcript(final=True):
                self.finals.append(Final(frame.role, frame.text, frame.record, frame.epoch, self.last_frame_at))
            case frames.AudioOutput():
                self._ear = self._ear or Ear(frame.rate)
                self.heard += [utterance.text for utterance in self._ear.feed(frame.pcm)]
                self.silent_at = max(self.silent_at, self.last_frame_at) + len(frame.pcm) / 2 / frame.rate
            case frames.BargeIn():
                self._ear = None  # what was being said is cut off
                self.silent_at = self.last_frame_at
            case frames.Moved():
                self.moves.append(self.last_frame_at)
            case frames.Ready():
                self.readies.append((self.last_frame_at, frame))
                self._note_acknowledged(frame.known.upto, frame.known.beyond)
            case frames.InputAck():
                self._note_acknowledged(frame.upto, frame.beyond)
            case _:
                pass

    def _note_sequence(self, epoch: int, seq: int) -> None:
        last_epoch, last_seq = self._last_position
        if epoch > last_epoch:
            last_seq = 0
            self._ear = None
        if epoch < last_epoch or seq <= last_seq:
            self.doubled += 1
            return
        self.missing += seq - last_seq - 1
        self._last_position = epoch, seq

    def _note_acknowledged(self, upto: int, beyond: list[int] | tuple[int, ...]) -> None:
        self._upto = max(self._upto, upto)
        self._beyond |= frozenset(beyond)
