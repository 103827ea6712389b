"""The clients of one session: where each can be reached, and what waits for it.

A client may come back on a newer connection (a higher counter), and several clients may share a session: all of them
hear, and any may speak. A client hears nothing before its first ``ready``. What waits for an older connection goes over
the newer one: a client that renews its connection while it listens must not miss a word. Journal content is left out
of that if the ``ready`` on the newer one is followed by all that the client has not shown.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum, auto
from itertools import count
from typing import Final

from segue.bounded import BoundedDict
from segue.wire.claims import ClientAddress
from segue.wire.frames import Error, OutputAck, Pause, Ready, ServerFrame
from segue.wire.output import OutputNumbering
from shared.log import logger
from worker.aws.poster import PostOutcome
from worker.conversation.barge_in import SentSound
from worker.conversation.outbox import ConnectionPoster, Outbox
from worker.conversation.waiting_frames import is_retold
from worker.telemetry.metrics import metrics

QUIET_SECONDS: Final = 60.0
"""Seconds without a message after which a connection is asked for: API Gateway reports disconnects on a best effort,
and a session whose client has vanished silently would be held for ever."""

SOUNDS: Final = 16
"""Clients whose sound is remembered: more do not play it at once. Of others, and of one that has not come back for so
many, no account is taken. Each page that is loaded again is a new client, and its sound takes half a megabyte."""


class Arrival(Enum):
    """The meaning of a client's address for the audience."""

    NEW = auto()
    """A client that is to be greeted: it was not here, or comes on a newer connection."""
    PRESENT = auto()
    SUPERSEDED = auto()
    """An older connection of a client that has a newer one."""


@dataclass(slots=True)
class _Listener:
    """A client where it is now.

    Attributes:
        address: Where.
        outbox: What waits for it.
        sender: Posts that.
        heard_at: When it spoke last.
        greeted: Whether it hears everything: its ``ready`` has been said. Before that it hears only of a ``pause``.
        listens: Whether it was greeted, be it on an older connection, and hears what no ``ready`` brings again.
    """

    address: ClientAddress
    outbox: Outbox
    sender: asyncio.Task[None]
    heard_at: float
    greeted: bool = False
    listens: bool = False

    def put(self, frame: ServerFrame) -> None:
        if isinstance(frame, Ready):
            self.greeted = self.listens = True
        if self.greeted or isinstance(frame, Pause) or (self.listens and not is_retold(frame)):
            self.outbox.put(frame)


class Audience:
    """Clients of one session, and delivery of frames to them.

    Attributes:
        on_change: Called when a client came or went.
    """

    def __init__(
        self,
        epoch: int,
        connections: ConnectionPoster,
        may_speak: Callable[[], Awaitable[bool]],
    ) -> None:
        """Begin without clients.

        Args:
            epoch: Every frame says it.
            connections: What posts.
            may_speak: Whether the session is still this worker's to speak for.
        """
        self._epoch = epoch
        self._numbering = OutputNumbering(epoch)
        self._messages = count(1)
        self._sounds: BoundedDict[str, SentSound] = BoundedDict(SOUNDS)
        self._connections = connections
        self._may_speak = may_speak
        self.on_change: Callable[[], None] = lambda: None
        self._listeners: dict[str, _Listener] = {}
        self._silenced = False

    @property
    def addresses(self) -> tuple[ClientAddress, ...]:
        """The clients' addresses."""
        return tuple(listener.address for listener in self._listeners.values())

    @property
    def listening(self) -> list[str]:
        """The clients that hear everything."""
        return [client_id for client_id, listener in self._listeners.items() if listener.greeted]

    @property
    def asking_history(self) -> list[str]:
        """The clients that asked for history."""
        return [client_id for client_id, listener in self._listeners.items() if listener.address.history]

    def is_direct(self, client_id: str) -> bool:
        """Tell if a client's connection is a socket at a worker."""
        listener = self._listeners.get(client_id)
        return listener is not None and listener.address.direct is not None

    def wants_history(self, client_id: str) -> bool:
        """Tell if a client asked for history."""
        return client_id in self.asking_history

    def hears(self, client_id: str, connection_id: str, *, history: bool) -> bool:
        """Note that a client spoke, if all that ``add_client`` would note is known: nearly every frame comes so.

        Args:
            client_id: The client.
            connection_id: Over which it spoke.
            history: Whether it asked for history.

        Returns:
            False if ``add_client`` has to be asked.
        """
        listener = self._listeners.get(client_id)
        if listener is None or listener.address.connection_id != connection_id:
            return False
        if history and not listener.address.history:
            return False
        listener.heard_at = asyncio.get_running_loop().time()
        return True

    def add_client(self, address: ClientAddress, *, retold: bool = False) -> Arrival:
        """Take note of where a client speaks from.

        Args:
            address: Where.
            retold: Whether its next ``ready`` is followed by the journal content that it has not shown.
        """
        present = self._listeners.get(address.client_id)
        if present is not None:
            present.heard_at = asyncio.get_running_loop().time()
            if address.connection_id == present.address.connection_id:
                if address.history:
                    present.address = address
                return Arrival.PRESENT
            if address.counter < present.address.counter:
                return Arrival.SUPERSEDED
            present.sender.cancel()
        if not self._silenced:
            self._listeners[address.client_id] = newer = self._listen(address)
            if present is not None:
                newer.listens = present.listens
                newer.greeted = present.greeted and not retold
                newer.outbox.go_on_from(present.outbox, retold=retold)
            self.on_change()
        return Arrival.NEW

    def remove_client(self, client_id: str, connection_id: str) -> bool:
        """Forget a client that said good-bye, unless it is here on another connection already: then return False.

        Its numbering is kept: should it come back after all, it would take 1 for a repeat.
        """
        listener = self._listeners.get(client_id)
        if listener is not None and listener.address.connection_id != connection_id:
            return False
        self._remove(client_id)
        self._sounds.pop(client_id, None)
        return True

    def send(self, frame: ServerFrame, client_id: str | None = None) -> None:
        """Queue a frame. Never waits.

        Args:
            frame: What to send; a ``Ready`` opens a client's ears.
            client_id: The client that it goes to; None: every client that was greeted.
        """
        if isinstance(frame, Error):
            metrics.error(frame.code)
        if client_id is None:
            for listener in self._listeners.values():
                listener.put(frame)
        elif (listener_ := self._listeners.get(client_id)) is not None:
            listener_.put(frame)

    def drop_audio(self) -> None:
        """Forget the audio that waits, for every client."""
        for listener in self._listeners.values():
            listener.outbox.drop_audio()

    def forget_sound(self) -> None:
        """Forget what clients were sent of sound: no report of it is expected any more."""
        for sound in self._sounds.values():
            sound.forget_barge_in()

    def unplayed(self, client_id: str, ack: OutputAck) -> float | None:
        """Return the seconds before the last barge-in that a client has not played, None if it does not say."""
        sound = self._sounds.get(client_id)
        return sound.unplayed(ack) if sound is not None and ack.epoch == self._epoch else None

    async def drained(self) -> None:
        """Wait until everything that waits was posted, or its client is gone."""
        for client_id in list(self._listeners):
            # Once more if it has gone over to a newer connection meanwhile.
            while (listener := self._listeners.get(client_id)) is not None and not await self._is_drained(listener):
                pass

    async def _is_drained(self, listener: _Listener) -> bool:
        """Wait for a listener's queue or sender to end; False if another has gone on from it."""
        # Not ``first_of``: the sender goes on, and ``_on_sender_end`` says what became of it.
        drained = asyncio.ensure_future(listener.outbox.drained())
        try:
            await asyncio.wait({drained, listener.sender}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            drained.cancel()
        return self._listeners.get(listener.address.client_id) is listener

    def silence(self) -> None:
        """Post nothing more, and break off what is under way. Safe to call at any moment."""
        self._silenced = True
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
                gone = await self._connections.is_connected(listener.address) is PostOutcome.GONE
                if gone and self._listeners.get(client_id) is listener:
                    self._remove(client_id)

    def _listen(self, address: ClientAddress) -> _Listener:
        client_id = address.client_id
        sound = self._sounds.use(client_id)
        if sound is None:
            sound = self._sounds[client_id] = SentSound()
        outbox = Outbox(
            address,
            self._connections,
            lambda frame: self._numbering.stamp(client_id, frame),
            self._may_speak,
            sound,
            self._messages,
        )
        sender = asyncio.create_task(outbox.run(), name=f"outbox {address.connection_id}")
        sender.add_done_callback(lambda task: self._on_sender_end(client_id, task))
        return _Listener(address, outbox, sender, asyncio.get_running_loop().time())

    def _on_sender_end(self, client_id: str, sender: asyncio.Task[None]) -> None:
        """Remove the client whose sender has ended, as one does when its connection is gone."""
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
            self.on_change()
