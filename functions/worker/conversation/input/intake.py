"""Clients' input, brought into one order for the agent.

    frames of a client ─▶ its Receiver (order, repeats) ─▶ AudioLimits ─▶ one bounded queue of the session ─▶ the agent

Frames without a number have no order and no promise: they go straight into the queue. When the queue is full, frames
are refused before their Receiver sees them, so that a client that sends them again later is heard. It is asked to as
soon as there is room, because its own times for that have grown meanwhile.

What has come early waits for the number that is missing. When too much waits, more of that is refused, and never the
missing one itself: it is what makes room.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from msgspec import Struct, field

from segue.bounded import BoundedDict
from segue.lease.item import Known
from segue.wire.audio import AudioLimits
from segue.wire.frames import MAX_FRAME_BYTES, AudioInput, FrameError, InputFrame
from segue.wire.memory import kept_bytes
from segue.wire.receiver import Receiver
from worker.conversation.input.receipts import INPUT_WINDOW

QUEUE_FRAMES: Final = 512
"""Frames that wait for the agent at most, 50 s of one client's audio; more are refused with ``busy``. The agent takes
them as fast as they come, except while its model's connection restarts."""

QUEUE_BYTES: Final = 8 * 1024 * 1024
"""Bytes of the waiting frames at most: two of the largest images, or two minutes of audio; more are refused with
``busy``."""

EARLY_BYTES: Final = INPUT_WINDOW * MAX_FRAME_BYTES
"""Bytes of one client's frames that wait for a missing number; more are refused with ``beyond_window``. As much as a
client may have in flight, in the largest frames."""

ALL_EARLY_BYTES: Final = 4 * EARLY_BYTES
"""The same of all clients of a session, 8 MB; more are refused with ``busy``. A process holds many sessions."""

CLIENTS: Final = 64
"""Clients whose order is kept; one that is forgotten is taken up again from what the journal contains."""


class Said(Struct, frozen=True):
    """One input in its turn.

    Attributes:
        client_id: Who said it.
        frame: What.
        again: Whether the agent was given it before, on another connection of its model.
        refusal: Why the agent must not be given it. It counts as taken.
        arrived_ns: When it came, in nanoseconds since 1970, for traces.
    """

    client_id: str
    frame: InputFrame
    again: bool = False
    refusal: FrameError | None = None
    arrived_ns: int = field(default_factory=time.time_ns)


@dataclass(frozen=True, slots=True)
class _Client:
    """The state of one client's input."""

    receiver: Receiver[InputFrame]
    limits: AudioLimits | None

    def said(self, client_id: str, frame: InputFrame) -> Said:
        if self.limits is not None and isinstance(frame, AudioInput):
            try:
                self.limits.check(frame.pcm_bytes)
            except FrameError as refusal:
                return Said(client_id, frame, refusal=refusal)
        return Said(client_id, frame)


class Intake:
    """Ordered queue of a session's input."""

    def __init__(
        self,
        known: Callable[[str], Known],
        limit: int = QUEUE_FRAMES,
        limits: Callable[[], AudioLimits | None] = lambda: None,
    ) -> None:
        """Begin empty.

        Args:
            known: Returns which input of a client the journal contains.
            limit: Frames that wait at most.
            limits: Makes a client's limits of audio; None: the model does not hear.
        """
        self._known = known
        self._limit = limit
        self._limits = limits
        self._clients: BoundedDict[str, _Client] = BoundedDict(CLIENTS)
        self._queue: deque[Said] = deque()
        self._queued_bytes = 0
        self._arrived = asyncio.Event()
        self._refused_clients: set[str] = set()
        self._skipped_seqs: dict[str, list[int]] = {}

    def offer_frame(self, client_id: str, frame: InputFrame) -> bool:
        """Take a frame as it arrives.

        Returns:
            False for one that waits for a missing number, and for a repeat.

        Raises:
            FrameError: ``busy`` or ``beyond_window``; nothing was taken.
        """
        if len(self._queue) >= self._limit or self._queued_bytes >= QUEUE_BYTES:
            if frame.seq is not None and len(self._refused_clients) < CLIENTS:
                self._refused_clients.add(client_id)
            raise FrameError("busy")
        client = self._client(client_id)
        if frame.seq is not None and client.receiver.is_early(frame.seq):
            self._admit_early(client.receiver, frame)
        ready = [frame] if frame.seq is None else client.receiver.offer(frame.seq, frame)
        for one in ready:
            self._queue.append(client.said(client_id, one))
            self._queued_bytes += kept_bytes(one)
        if ready:
            self._arrived.set()
        return bool(ready)

    def _admit_early(self, receiver: Receiver[InputFrame], frame: InputFrame) -> None:
        if receiver.waiting_bytes + kept_bytes(frame) > EARLY_BYTES:
            raise FrameError("beyond_window")
        if sum(one.receiver.waiting_bytes for one in self._clients.values()) + kept_bytes(frame) > ALL_EARLY_BYTES:
            raise FrameError("busy")

    def drop_client(self, client_id: str) -> None:
        """Drop what a client that has left for good sent too early. What was said in its turn is given to the agent."""
        if (client := self._clients.get(client_id)) is not None:
            client.receiver.forget_early()
        self._refused_clients.discard(client_id)

    def progress(self, client_id: str) -> tuple[int, tuple[int, ...]]:
        """The number up to which all of a client's input has come, and those above it that have."""
        receiver = self._client(client_id).receiver
        return receiver.expected - 1, receiver.beyond if receiver.has_gap else ()

    async def next(self) -> Said:
        """Return the input whose turn it is, when there is one."""
        while not self._queue:
            self._arrived.clear()
            await self._arrived.wait()
        said = self._queue.popleft()
        self._queued_bytes -= kept_bytes(said.frame)
        return said

    def take_refused_clients(self) -> set[str]:
        """Take the clients that were turned away since the queue was full, once half of it is free again."""
        if not self._refused_clients or len(self._queue) > self._limit // 2 or self._queued_bytes > QUEUE_BYTES // 2:
            return set()
        relieved, self._refused_clients = self._refused_clients, set()
        return relieved

    def forget_numbered(self) -> None:
        """Drop the input that waits and is not acknowledged: clients send it again, to the successor."""
        self._refused_clients.clear()
        self._queue = deque(said for said in self._queue if said.frame.seq is None)
        self._queued_bytes = sum(kept_bytes(said.frame) for said in self._queue)
        for client in self._clients.values():
            client.receiver.forget_early()

    def put_back(self, again: list[Said]) -> None:
        """Let inputs that were taken before be the next ones, in their order."""
        self._queue.extendleft(reversed(again))
        self._queued_bytes += sum(kept_bytes(said.frame) for said in again)
        if self._queue:
            self._arrived.set()

    def note_skipped(self, client_id: str, *seqs: int | None) -> None:
        """Note input that the agent was not given, because it says nothing or was refused."""
        self._skipped_seqs.setdefault(client_id, []).extend(seq for seq in seqs if seq is not None)

    def take_skipped(self, client_id: str) -> list[int]:
        """Take the numbers of a client's inputs that were skipped."""
        return self._skipped_seqs.pop(client_id, [])

    def take_all_skipped(self) -> dict[str, list[int]]:
        """Take the skipped numbers of every client."""
        skips, self._skipped_seqs = self._skipped_seqs, {}
        return {client_id: seqs for client_id, seqs in skips.items() if seqs}

    def _client(self, client_id: str) -> _Client:
        client = self._clients.use(client_id)
        if client is None:
            client = _Client(Receiver(self._known(client_id), size=kept_bytes), self._limits())
            self._clients[client_id] = client
        return client
