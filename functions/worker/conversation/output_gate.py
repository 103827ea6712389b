"""The output gate: what shows journal content leaves only when the journal has it for good.

A client must never see in a final frame what a crash could take back. So acknowledgements, final transcripts, texts,
tool results and ``ready`` wait for their position in the journal to be durable, in the order in which they came.

    event        kind                waits for its position    may overtake
    audio        spoken at once      no                        yes: it goes round the gate
    barge_in     spoken at once      no                        yes, like the audio it stops
    partial      in its order        no                        no: a partial shown after the final one, or before
                                                               that of the sentence before, would read wrong
    the others   journal content     yes                       no

A partial transcript that finds the gate empty passes at once, so it waits only when order demands it, and then for one
commit at most.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from segue import StorageUnavailable
from segue.wire.frames import Ready, ServerFrame
from shared.log import logger
from worker.telemetry.metrics import Time, metrics

RETRY_SECONDS = 0.5
"""Pause after storage failed a wait, before the wait is taken up again."""

PAUSE_SECONDS = 3.0
"""After so long without a commit the clients are told that the conversation pauses. A commit takes a tenth of a second,
and no caller wonders before a few have passed."""


class DurableJournal(Protocol):
    """The part of the session manager that the gate needs."""

    @property
    def head(self) -> int:
        """Records committed."""
        ...

    async def durable(self, position: int | None = None) -> None:
        """Return when the first ``position`` records are committed."""
        ...


@dataclass(frozen=True, slots=True)
class GatedFrame:
    """A frame at the gate.

    Attributes:
        frame: The frame that waits.
        position: Records that must be durable before it leaves; None if it only keeps its place in the order.
        client_id: The client that it is for, None for every client.
        since: When it came, on the monotonic clock.
    """

    frame: ServerFrame
    position: int | None
    client_id: str | None
    since: float


class OutputGate:
    """Gate that holds frames back until they are durable, and lets them out in order."""

    def __init__(
        self,
        journal: DurableJournal,
        release: Callable[[ServerFrame, str | None], None],
        pause: Callable[[bool], None],
        *,
        retry_seconds: float = RETRY_SECONDS,
        pause_seconds: float = PAUSE_SECONDS,
    ) -> None:
        """Keep what the gate asks and tells.

        Args:
            journal: Knows what is durable.
            release: Takes a frame that may leave, and whom it is for. Must not wait.
            pause: Called with True when what waits has waited for long, or storage fails; with False when it goes on.
            retry_seconds: Before a wait that storage failed is taken up again.
            pause_seconds: Without a commit after which the conversation pauses.
        """
        self._retry_seconds = retry_seconds
        self._pause_seconds = pause_seconds
        self._journal = journal
        self._release = release
        self._pause = pause
        self._paused = False
        self._waiting: deque[GatedFrame] = deque()
        self._arrived = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()
        self._closed = False

    def put(self, frame: ServerFrame, position: int | None, client_id: str | None = None) -> None:
        """Let a frame out in its turn. Never waits.

        Args:
            frame: The frame.
            position: Records that must be durable first, None if only the order matters.
            client_id: The client that it is for, None for every client.
        """
        if self._closed:
            return
        if not self._waiting and (position is None or position <= self._journal.head):
            self._release(frame, client_id)
            return
        self._waiting.append(GatedFrame(frame, position, client_id, time.monotonic()))
        self._empty.clear()
        self._arrived.set()

    def greeting(self, client_id: str) -> Ready | None:
        """The latest ``ready`` that waits for a client."""
        mine = (one.frame for one in reversed(self._waiting) if one.client_id == client_id)
        return next((frame for frame in mine if isinstance(frame, Ready)), None)

    async def run(self) -> None:
        """Let frames out until cancelled.

        Raises:
            SegueError: The journal will never have what waits: fenced, refused or damaged.
        """
        while True:
            await self._arrived.wait()
            while self._waiting:
                await self._wait_for_commit(self._waiting[0].position)
                if self._closed:
                    return
                first = self._waiting.popleft()
                metrics.time(Time.GATE_WAIT, time.monotonic() - first.since)
                self._release(first.frame, first.client_id)
            self._arrived.clear()
            self._empty.set()

    async def emptied(self) -> None:
        """Wait until nothing waits any more."""
        await self._empty.wait()

    def close(self) -> None:
        """Let nothing out any more, ever: what waits is forgotten at once."""
        self._closed = True
        self._waiting.clear()
        self._empty.set()

    async def _wait_for_commit(self, position: int | None) -> None:
        if position is None or position <= self._journal.head:
            return
        waiting_long = asyncio.get_running_loop().call_later(self._pause_seconds, self._say_pause)
        try:
            while position > self._journal.head:
                try:
                    await self._journal.durable(position)
                except StorageUnavailable as error:
                    logger.warning("storage does not answer, output waits", reason=str(error))
                    self._say_pause()
                    await asyncio.sleep(self._retry_seconds)
                else:
                    break
        finally:
            waiting_long.cancel()
        if self._paused:
            self._paused = False
            self._pause(False)  # noqa: FBT003 - a callback with one fact

    def _say_pause(self) -> None:
        if not self._paused and not self._closed:
            self._paused = True
            logger.warning("nothing was saved for a while, output waits", seconds=self._pause_seconds)
            self._pause(True)  # noqa: FBT003 - a callback with one fact
