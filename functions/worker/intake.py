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
from segue.wire.frames import FrameError, InputFrame
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
        again: Whether the agent was given it before, on another connection of its model.
    """

    client_id: str
    frame: InputFrame
    again: bool = False


class Intake:
    """Orders the input of a session."""

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

    def put_back(self, again: list[Said]) -> None:
        """Let inputs that were taken before be the next ones, in their order."""
        self._queue.extendleft(reversed(again))
        if self._queue:
            self._arrived.set()

    def skipped(self, client_id: str, *seqs: int | None) -> None:
        """Note input that the agent was not given, because it says nothing or was refused."""
        self._blanks.setdefault(client_id, []).extend(seq for seq in seqs if seq is not None)

    def blanks(self, client_id: str) -> list[int]:
        """Take the numbers of a client's inputs that were skipped."""
        return self._blanks.pop(client_id, [])

    def _receiver(self, client_id: str) -> Receiver[InputFrame]:
        if client_id not in self._receivers:
            self._receivers[client_id] = Receiver(self._known(client_id))
        self._receivers.move_to_end(client_id)
        while len(self._receivers) > CLIENTS:
            self._receivers.popitem(last=False)
        return self._receivers[client_id]
