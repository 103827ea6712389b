"""Frames of a turn to the clients of its session: in order, numbered within its epoch, one POST a client at a time.

The agent never waits for a client: frames are queued, and each client has a sender. Every turn has an epoch of its own,
so every turn begins to each client with ``ready``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

import msgspec
from aws_lambda_powertools import Logger

from segue.wire.claims import ClientAddress
from segue.wire.frames import ServerFrame
from segue.wire.output import OutputNumbering
from shared.encoding import encode_message
from turn.post import MessageOutcome, MessagePost

logger = Logger()


class Undelivered(Exception):  # noqa: N818 - it names what is left to do
    """A client that is there could not be told. The turn has to be taken again; what is durable is said again."""


class TurnOutbox:
    """Outbox of one turn.

    Attributes:
        asking_history: The clients that asked for history.
    """

    def __init__(
        self,
        epoch: int,
        addresses: Iterable[ClientAddress],
        post: MessagePost,
        may_speak: Callable[[], bool],
        trace: str | None = None,
    ) -> None:
        """Begin; nothing is said yet.

        Args:
            epoch: Of the turn's lease.
            addresses: The clients, and where each is.
            post: Posts.
            may_speak: Whether the session is still this turn's to speak for, asked before each POST.
            trace: W3C traceparent of what the turn answers, said with all of it.
        """
        self._numbering = OutputNumbering(epoch)
        self._post = post
        self._may_speak = may_speak
        self._trace = trace
        self._queues: dict[str, asyncio.Queue[ServerFrame | None]] = {}
        self._senders: dict[str, asyncio.Task[MessageOutcome]] = {}
        self.asking_history: set[str] = set()
        for address in addresses:
            if address.history:
                self.asking_history.add(address.client_id)
            queue = self._queues[address.client_id] = asyncio.Queue()
            self._senders[address.client_id] = asyncio.create_task(self._send(address, queue))

    @property
    def client_ids(self) -> tuple[str, ...]:
        """The clients that frames are sent to."""
        return tuple(self._queues)

    def queue_frame(self, client_id: str, frame: ServerFrame) -> None:
        """Queue a frame for one client. Never waits."""
        self._queues[client_id].put_nowait(msgspec.structs.replace(frame, trace=self._trace))

    async def drain(self, client_id: str) -> None:
        """Wait until everything was posted; nothing can be said afterwards.

        Args:
            client_id: The client whose turn it is.

        Raises:
            Undelivered: That client is there and could not be told. Others notice what they miss, and ask.
        """
        for queue in self._queues.values():
            queue.put_nowait(None)
        await asyncio.gather(*self._senders.values())
        if self._senders[client_id].result() is MessageOutcome.FAILED:
            raise Undelivered

    def discard(self) -> None:
        """Post nothing more."""
        for sender in self._senders.values():
            sender.cancel()

    async def _send(self, address: ClientAddress, queue: asyncio.Queue[ServerFrame | None]) -> MessageOutcome:
        while (frame := await queue.get()) is not None:
            if not self._may_speak():
                return MessageOutcome.FAILED
            message = encode_message([self._numbering.stamp(address.client_id, frame)], address.connection_id)
            outcome = await asyncio.to_thread(self._post, address.connection_id, message)
            if outcome is not MessageOutcome.DELIVERED:
                return outcome
        return MessageOutcome.DELIVERED
