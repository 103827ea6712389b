"""What clients say, brought into one order for the agent.

    frames of a client ─▶ its Receiver (order, repeats) ─▶ one bounded queue of the session ─▶ the agent

Frames without a number have no order and no promise: they go straight into the queue. When the queue is full, frames
are refused before their Receiver sees them, so that a client that sends them again later is heard.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from segue.item import Known
from segue.wire.frames import AudioInput, FrameError, InputFrame
from segue.wire.sequence import Receiver

QUEUE_FRAMES: Final = 512
"""Frames that wait for the agent at most: 50 s of one client's audio. The agent takes them as fast as they come, except
while its model's connection restarts."""

CLIENTS: Final = 64
"""Clients whose order is kept. One that falls out is taken up again from what the journal contains."""


@dataclass(frozen=True, slots=True)
class Said:
    """One input in its turn.

    Attributes:
        client_id: Who said it.
        frame: What.
    """

    client_id: str
    frame: InputFrame


class Intake:
    """Orders the input of a session, and remembers which audio no transcript has answered yet."""

    def __init__(self, known: Callable[[str], Known], limit: int = QUEUE_FRAMES) -> None:
        """Begin empty.

        Args:
            known: Returns which input of a client the journal contains.
            limit: Frames that wait at most.
        """
        self._known = known
        self._limit = limit
        self._receivers: OrderedDict[str, Receiver[InputFrame]] = OrderedDict()
        self._queue: deque[Said] = deque()
        self._arrived = asyncio.Event()
        self._heard: dict[str, list[int]] = {}
        self._blanks: dict[str, list[int]] = {}

    def offer(self, client_id: str, frame: InputFrame) -> None:
        """Take a frame as it arrives.

        Raises:
            FrameError: ``busy`` or ``beyond_window``; nothing was taken.
        """
        if len(self._queue) >= self._limit:
            raise FrameError("busy")
        ready = [frame] if frame.seq is None else self._receiver(client_id).offer(frame.seq, frame)
        self._queue.extend(Said(client_id, one) for one in ready)
        if self._queue:
            self._arrived.set()

    async def next(self) -> Said:
        """Return the input whose turn it is, when there is one."""
        while not self._queue:
            self._arrived.clear()
            await self._arrived.wait()
        return self._queue.popleft()

    def forget_numbered(self) -> None:
        """Drop what waits and will be sent again, because nobody acknowledged it."""
        self._queue = deque(said for said in self._queue if said.frame.seq is None)

    def heard(self, said: Said) -> None:
        """Note that the agent was given a piece of audio."""
        if isinstance(said.frame, AudioInput) and said.frame.seq is not None:
            self._heard.setdefault(said.client_id, []).append(said.frame.seq)

    def skipped(self, client_id: str, *seqs: int | None) -> None:
        """Note input that the agent was not given, because it says nothing or was refused."""
        self._blanks.setdefault(client_id, []).extend(seq for seq in seqs if seq is not None)

    def blanks(self, client_id: str) -> list[int]:
        """Take the numbers of a client's inputs that were skipped."""
        return self._blanks.pop(client_id, [])

    def answered(self) -> tuple[str, list[int]] | None:
        """Take the audio that a user's transcript has now answered: who spoke, and which frames.

        A record carries the input of one client. Where several have spoken since the last transcript, it is taken to be
        the one heard most; the others' audio stays unanswered until a later one.
        """
        if not self._heard:
            return None
        client_id = max(self._heard, key=lambda one: len(self._heard[one]))
        return client_id, self._heard.pop(client_id)

    def _receiver(self, client_id: str) -> Receiver[InputFrame]:
        if client_id not in self._receivers:
            self._receivers[client_id] = Receiver(self._known(client_id))
        self._receivers.move_to_end(client_id)
        while len(self._receivers) > CLIENTS:
            self._receivers.popitem(last=False)
        return self._receivers[client_id]
