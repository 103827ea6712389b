"""One hosted conversation: its agent between the clients' input and their output.

A session that is opened anew after its end is another ``HostedSession``, with a higher epoch.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable
from typing import Final

from segue import SegueError, SessionFenced
from segue.wire import frames
from segue.wire.claims import ClientAddress
from segue.wire.delivery import Delivery
from segue.wire.frames import (
    AnswerInput,
    AudioInput,
    Bye,
    FrameError,
    Hello,
    HistoryRequest,
    ImageInput,
    OutputAck,
    TextInput,
)
from segue.wire.rate import FrameRate
from shared.conversation.history_pages import PAGES_AT_ONCE, PAGES_PER_SECOND, asks_for_page
from shared.log import logger
from worker.conversation.audience import Arrival
from worker.conversation.input.intake import CLIENTS
from worker.conversation.lifecycle import Lifecycle, State
from worker.conversation.parts import ConversationParts
from worker.providers import AnswerCut

SETTLE_SECONDS: Final = 5.0
"""Seconds between two writes that settle silence. Each is a write of the guard item, in which a call is silent for
most of its time (docs/scale.md). With a longer interval clients keep more, and send more again to a successor."""


class SessionMoved(Exception):  # noqa: N818 - an answer, not a fault
    """Raised when the session takes no frames here: it is being handed over or closed."""


class HostedSession:
    """Agent of one session's clients, from ``start`` until ``ended``.

    Attributes:
        key: ``<principal>/<session id>``.
        epoch: The fencing token under which it is held.
        route_token: The secret that callers show.
        lifecycle: Where it is between its opening and its end.
        ended: Set when it is released or dropped.
        turn: Where the conversation is between turns.
        successor_ready: Whether another worker has it ready, and acquires it once it is released.
        handed_over_at: When another worker handed it over to this one, on the loop's clock; None: it did not.
        on_clients: Called with whether there are clients, whenever that may have changed.
        on_ended: Called when it has ended.
        on_hello: Called with the address of a client that said ``hello``.
    """

    def __init__(self, parts: ConversationParts) -> None:
        """Keep the parts; nothing runs yet.

        Args:
            parts: The conversation's, wired to each other.
        """
        manager = parts.manager
        self.key = manager.session_key
        # Copies: releasing raises the manager's epoch and clears its token.
        self.epoch = manager.epoch
        self.route_token = manager.route_token
        self.lifecycle = Lifecycle(parts)
        self.lifecycle.on_ended = self._call_on_ended
        self.ended = self.lifecycle.ended
        self.turn = parts.turn
        self.successor_ready = False
        self.handed_over_at: float | None = None
        self.on_clients: Callable[[bool], None] = lambda _: None
        self.on_ended: Callable[[], None] = lambda: None
        self.on_hello: Callable[[ClientAddress], None] = lambda _: None
        self._manager = manager
        self._agent = parts.agent
        self._model_start = parts.model_start
        self._handing_over = False
        self._hold = parts.hold
        self._audience = parts.audience
        self._output = parts.output
        self._input = parts.input
        parts.audience.on_change = self._clients_changed
        self._rate = FrameRate(asyncio.get_running_loop().time, senders=CLIENTS)
        self._pages = FrameRate(asyncio.get_running_loop().time, PAGES_PER_SECOND, PAGES_AT_ONCE, senders=CLIENTS)
        self._early_hellos: dict[str, Hello] = {}

    @property
    def state(self) -> State:
        """The session's state, between its opening and its end."""
        return self.lifecycle.state

    @property
    def open(self) -> bool:
        """True while the agent runs and takes frames."""
        return self.state is State.OPEN

    @property
    def lost(self) -> bool:
        """True if another holder has the session, or may have."""
        return self._hold.lost

    @property
    def position(self) -> int:
        """Records committed or queued."""
        return self._manager.position

    @property
    def restored_bytes(self) -> int:
        """Bytes read when the session was opened."""
        return self._manager.restored_bytes

    @property
    def opened_ahead(self) -> bool:
        """True if its model's connection was opened before the session was acquired."""
        return self._model_start.opened_ahead

    @property
    def clients(self) -> tuple[ClientAddress, ...]:
        """The clients' addresses."""
        return self._audience.addresses

    async def start(self, clients: tuple[ClientAddress, ...]) -> None:
        """Start the agent and greet the clients.

        Raises:
            SessionFenced: The session was lost meanwhile; call ``drop``.
            TimeoutError: The agent's model does not connect; call ``drop``.
            Exception: Whatever the agent's model raises; call ``drop``.
        """
        self._input.register()
        self._output.register()
        self._manager.on_lost(self.lifecycle.lose)
        if hasattr(self._agent.model, "on_trouble"):  # one of worker.providers
            self._agent.model.on_trouble = self._output.apologise
        for client in clients:
            self._audience.add_client(client)
        await self._model_start.start()
        if self.state is not State.OPENING:
            raise SessionFenced(self.epoch, None)
        self.lifecycle.open(
            self._feed,
            listen=self._listen,
            gate=self._output.gate.run,
            watch=self._audience.watch,
            settle=self._settle,
            receipts=self._input.receipts.run,
        )
        for client in self._audience.addresses:
            self._output.greet(client.client_id, self._early_hellos.get(client.client_id))
        self._early_hellos.clear()
        self._clients_changed()
        if self._model_start.unanswered is not None:
            self.turn.asked()

    def welcome(self, clients: tuple[ClientAddress, ...]) -> None:
        """Add clients that a claim names, and say ``ready`` to each."""
        for client in clients:
            if self._audience.add_client(client) is not Arrival.SUPERSEDED:
                self._greet(client.client_id)

    def deliver(self, delivery: Delivery) -> None:
        """Take a frame from the gateway. Never waits.

        Raises:
            Moved: The session is on its way out.
            FrameError: The frame was not taken; its code says why.
        """
        if self.state is not State.OPEN and self.state is not State.OPENING:
            raise SessionMoved
        client_id, frame = delivery.client_id, delivery.frame
        if isinstance(frame, Bye):
            if self._audience.remove_client(client_id, delivery.connection_id):
                self._input.drop_client(client_id)
            return
        self._rate.admit(client_id)
        if isinstance(frame, AudioInput):  # nearly all
            if not self._audience.hears(client_id, delivery.connection_id, history=delivery.history):
                self._note_client(delivery)
            self._input.offer_frame(client_id, frame)
            return
        if asks_for_page(frame):
            self._pages.admit(client_id)
        self._note_client(delivery)
        if isinstance(frame, TextInput | ImageInput | AnswerInput):
            self._input.offer_frame(client_id, frame)
        elif isinstance(frame, OutputAck):
            self._output.played(client_id, frame)
        elif isinstance(frame, HistoryRequest) and self.state is State.OPEN:
            self._output.tell_page(client_id, frame.before)

    def _note_client(self, delivery: Delivery) -> None:
        """Take note of where a client is, and greet it if it says ``hello`` or is here for the first time."""
        hello = delivery.frame if isinstance(delivery.frame, Hello) else None
        address = _address(delivery)
        arrival = self._audience.add_client(address, retold=hello is not None and hello.last_record is not None)
        if hello is not None and arrival is Arrival.SUPERSEDED:
            raise FrameError("superseded")
        if hello is not None or arrival is Arrival.NEW:
            self._greet(delivery.client_id, hello)
        if hello is not None:
            self.on_hello(address)

    def _greet(self, client_id: str, hello: Hello | None = None) -> None:
        """Say ``ready``; while the session is opening, that waits until the agent has started."""
        if self.state is State.OPEN:
            self._output.greet(client_id, hello)
        elif hello is not None:
            self._early_hellos[client_id] = hello

    def refuse_frames(self) -> None:
        """Take no more input: what the agent was not given yet is left to the successor."""
        self.lifecycle.refuse_frames()

    def say_moved(self) -> None:
        """Tell the clients to hold their input back until the successor says ``ready``."""
        self._audience.send(frames.Moved())

    async def settle(self) -> None:
        """Before a handoff: deal with silence now and not again, and wait until all that happened is durable.

        Raises:
            SegueError: It will not be.
        """
        self._handing_over = True
        if self.state is State.OPEN:  # a record of one that has ended would acquire the session again, for no client
            self._input.settle_silence()
        await self.durable()

    async def durable(self) -> None:
        """Wait until all that happened so far is durable.

        Raises:
            SegueError: It will not be.
        """
        await self._manager.durable()

    def stay(self) -> None:
        """Take frames again after ``settle``, if there is no handoff after all."""
        self._handing_over = False

    async def saved(self) -> None:
        """Wait until all that happened so far is durable, or is known not to become it."""
        with contextlib.suppress(SegueError):
            await self.durable()

    async def spoken(self) -> None:
        """Wait until everything that was said so far has been posted."""
        await self._output.spoken()

    async def stop(self) -> None:
        """Stop the agent, flush and release, and post what became durable by that."""
        await self.lifecycle.stop()

    async def release(self) -> bool:
        """Flush and release now, so that the successor need not wait for the model to stop; ``stop`` does the rest.

        Only between two turns: what the agent does from here on is refused. False if it was not released.
        """
        return await self.lifecycle.release()

    async def drop(self) -> None:
        """Give up on a session that is lost or never started: silent, and released if it is still ours."""
        await self.lifecycle.drop()

    async def _feed(self) -> None:
        await self._model_start.ask()
        await self._input.feed()

    async def _settle(self) -> None:
        pause = SETTLE_SECONDS * random.random()  # noqa: S311 - sessions of one moment do not commit in one for ever
        while True:
            await asyncio.sleep(pause)
            pause = SETTLE_SECONDS
            # Not while it is passed on, or else what a successor has made ready would be out of date.
            if self.state is State.OPEN and not self._handing_over:
                self._input.settle_silence()

    async def _listen(self) -> None:
        """Turn the agent's events into frames. Waits for no client: a slow one must not slow the agent."""
        async for event in self._agent.receive():
            self.turn.saw(event)
            self._output.show(event)
            if isinstance(event, AnswerCut):
                await self._output.correct(event)
        logger.info("the agent ended the conversation", session=self.key, epoch=self.epoch)
        self.lifecycle.stop_soon()

    def _call_on_ended(self) -> None:
        self.on_ended()

    def _clients_changed(self) -> None:
        self.on_clients(bool(self._audience.addresses))


def _address(delivery: Delivery) -> ClientAddress:
    """Return where a frame's client is."""
    frame = delivery.frame
    return ClientAddress(
        client_id=delivery.client_id,
        connection_id=delivery.connection_id,
        counter=delivery.counter,
        history=delivery.history or (isinstance(frame, Hello) and frame.history),
        direct=delivery.direct,
    )
