"""The clients of one session: where each can be reached, and what waits for it.

A client may come back on a newer connection (a higher counter), and several clients may share a session: all of them
hear, and any may speak. A client hears nothing before its ``ready``, and after a reconnect nothing of the old queue:
the ``ready`` that answers its ``hello`` is followed by all it missed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from segue.wire.claims import ClientAddress
from segue.wire.frames import Error, Ready, ServerFrame
from segue.wire.output import OutputNumbering
from worker.log import logger
from worker.metrics import metrics
from worker.outbox import Connections, Outbox
from worker.poster import Outcome

QUIET_SECONDS: Final = 60.0
"""A connection over which nothing went for so long is asked for: API Gateway reports disconnects on a best effort, and
a session whose client has vanished silently would be held for ever."""


class Arrival(Enum):
    """What an address means to the audience."""

    NEW = auto()
    """A client that is to be greeted: it was not here, or comes on a newer connection."""
    PRESENT = auto()
    SUPERSEDED = auto()
    """An older connection of a client that has a newer one."""


@dataclass(slots=True)
class _Listener:
    address: ClientAddress
    outbox: Outbox
    sender: asyncio.Task[None]
    heard_at: float
    greeted: bool = False


class Audience:
    """Delivers frames to clients."""

    def __init__(
        self,
        epoch: int,
        connections: Connections,
        may_speak: Callable[[], bool],
        on_change: Callable[[], None],
    ) -> None:
        """Begin with nobody.

        Args:
            epoch: Every frame says it.
            connections: What posts.
            may_speak: Whether the session is still this worker's to speak for.
            on_change: Called when a client came or went.
        """
        self._numbering = OutputNumbering(epoch)
        self._connections = connections
        self._may_speak = may_speak
        self._on_change = on_change
        self._listeners: dict[str, _Listener] = {}
        self._silent = False

    @property
    def addresses(self) -> tuple[ClientAddress, ...]:
        """Where the clients are."""
        return tuple(listener.address for listener in self._listeners.values())

    def meet(self, address: ClientAddress) -> Arrival:
        """Take note of where a client speaks from."""
        present = self._listeners.get(address.client_id)
        if present is not None:
            present.heard_at = asyncio.get_running_loop().time()
            if address.connection_id == present.address.connection_id:
                return Arrival.PRESENT
            if address.counter < present.address.counter:
                return Arrival.SUPERSEDED
            present.sender.cancel()
        if not self._silent:
            self._listeners[address.client_id] = self._listen(address)
            self._on_change()
        return Arrival.NEW

    def leave(self, client_id: str, connection_id: str) -> None:
        """Forget a client that said good-bye, unless it is here on another connection already.

        Its numbering is kept: should it come back after all, it would take 1 for a repeat.
        """
        listener = self._listeners.get(client_id)
        if listener is not None and listener.address.connection_id == connection_id:
            self._remove(client_id)

    def send(self, frame: ServerFrame, client_id: str | None = None) -> None:
        """Queue a frame. Never waits.

        Args:
            frame: What to send; a ``Ready`` opens a client's ears.
            client_id: To whom; None: to everybody who was greeted.
        """
        if isinstance(frame, Error):
            metrics.error(frame.code)
        if client_id is None:
            for listener in self._listeners.values():
                if listener.greeted:
                    listener.outbox.put(frame)
        elif (listener_ := self._listeners.get(client_id)) is not None:
            listener_.greeted = listener_.greeted or isinstance(frame, Ready)
            if listener_.greeted:
                listener_.outbox.put(frame)

    def drop_audio(self) -> None:
        """Forget the audio that waits, for everybody."""
        for listener in self._listeners.values():
            listener.outbox.drop_audio()

    async def drained(self) -> None:
        """Wait until everything that waits was posted, or its client is gone."""
        for listener in list(self._listeners.values()):
            drained = asyncio.ensure_future(listener.outbox.drained())
            try:
                await asyncio.wait({drained, listener.sender}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                drained.cancel()

    def silence(self) -> None:
        """Post nothing more, and break off what is under way. Safe to call at any moment."""
        self._silent = True
        for listener in self._listeners.values():
            listener.sender.cancel()

    async def watch(self) -> None:
        """Ask for connections over which nothing has gone for long, until cancelled."""
        while True:
            await asyncio.sleep(QUIET_SECONDS)
            quiet_since = asyncio.get_running_loop().time() - QUIET_SECONDS
            for client_id, listener in list(self._listeners.items()):
                if max(listener.heard_at, listener.outbox.delivered_at) > quiet_since:
                    continue
                gone = await self._connections.look(listener.address.connection_id) is Outcome.GONE
                if gone and self._listeners.get(client_id) is listener:
                    self._remove(client_id)

    def _listen(self, address: ClientAddress) -> _Listener:
        client_id = address.client_id
        outbox = Outbox(
            address.connection_id,
            self._connections,
            lambda frame: self._numbering.stamp(client_id, frame),
            self._may_speak,
        )
        sender = asyncio.create_task(outbox.run(), name=f"outbox {address.connection_id}")
        sender.add_done_callback(lambda task: self._ended(client_id, task))
        return _Listener(address, outbox, sender, asyncio.get_running_loop().time())

    def _ended(self, client_id: str, sender: asyncio.Task[None]) -> None:
        """A sender ends by itself when its connection is gone."""
        if sender.cancelled():
            return
        if (error := sender.exception()) is not None:
            logger.error("posting ended unexpectedly", client=client_id, reason=repr(error))
        listener = self._listeners.get(client_id)
        if listener is not None and listener.sender is sender:
            self._remove(client_id)

    def _remove(self, client_id: str) -> None:
        listener = self._listeners.pop(client_id, None)
        if listener is not None:
            listener.sender.cancel()
            self._on_change()
