"""Path from a queue's message to a turn: the session's holder, its clients, and its release whatever happens."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable
from typing import Final, Protocol

import msgspec
from aws_lambda_powertools import Logger

from segue import SessionHeld
from segue.session.heartbeat import STORAGE_TIMEOUT_SECONDS
from segue.wire.claims import ClientAddress
from segue.wire.delivery import Delivery
from segue.wire.frames import AnswerInput, FrameError, TextInput, encode_frame, error_frame
from segue.wire.rate import FrameRate
from shared.conversation.history_pages import PAGES_AT_ONCE, PAGES_PER_SECOND, asks_for_page
from turn.post import MessagePost
from turn.sessions import TextSession, TurnSessions
from turn.storage_pause import pauses_told
from turn.turn import TURN_SETTINGS, Attempt, Turn, TurnSettings
from turn.turn_outbox import TurnOutbox, Undelivered

BUSY: Final = "busy"

logger = Logger()


class Clients(Protocol):
    """Addresses of a session's clients: see ``shared.connections.ConnectionsTable``."""

    def clients(self, session_key: str) -> Iterable[ClientAddress]:
        """The newest connection of each client of a session."""
        ...


class TurnRunner:
    """Runner of turns, one at a time."""

    def __init__(
        self,
        sessions: TurnSessions,
        clients: Clients,
        post: MessagePost,
        settings: TurnSettings = TURN_SETTINGS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Keep the parts; ``clock`` paces the pages of history."""
        self._sessions = sessions
        self._clients = clients
        self._post = post
        self._settings = settings
        self._pages = FrameRate(clock, PAGES_PER_SECOND, PAGES_AT_ONCE)

    async def run_turn(self, attempt: Attempt) -> None:
        """Take one turn, from acquiring to releasing.

        Raises:
            SessionHeld: Another holder has the session, and this is not the first try.
            OutOfTime: The rest is left to another invocation.
            Undelivered: The client could not be told.
            SegueError: Storage did not allow it now, or another holder acquired the session.
            Exception: What the agent raised.
        """
        delivery = attempt.delivery
        if asks_for_page(delivery.frame):
            try:
                self._pages.admit(f"{delivery.session_key} {delivery.client_id}")
            except FrameError as refused:  # before the session is acquired, which is most of what a page costs
                self.apologise(delivery, refused.code)
                return
        try:
            session = await self._sessions.acquire_session(delivery.session_key)
        except SessionHeld as held:
            if attempt.repeated:
                raise  # an earlier try may have recorded the text, whose client then does not send it again
            self._leave_to_holder(delivery, held.holder)
            return
        try:
            await self._take(session, attempt)
        except Undelivered:
            await self._sessions.keep_session(session, self._left(attempt))  # nothing is wrong with the session
            raise
        except BaseException:
            await self._sessions.release_session(session, self._left(attempt))
            raise
        await self._sessions.keep_session(session, self._left(attempt))

    async def _take(self, session: TextSession, attempt: Attempt) -> None:
        manager, delivery = session.manager, attempt.delivery
        addresses, trace = self._addresses(delivery), delivery.frame.trace
        outbox = TurnOutbox(manager.epoch, addresses, self._post, manager.lease_is_fresh, trace)
        try:
            async with pauses_told(manager, outbox, self._settings.pause_seconds, self._settings.look_seconds):
                await Turn(session, attempt, outbox, self._settings).run()
        except Exception:
            # What was durable before a failure is said as well: it is true, and it may be all there will be.
            with contextlib.suppress(Undelivered):
                await self._spoken(outbox, attempt)
            raise
        else:
            await self._spoken(outbox, attempt)
        finally:
            outbox.discard()
        logger.info("turn taken", session=delivery.session_key, epoch=manager.epoch, client=delivery.client_id)

    def _leave_to_holder(self, delivery: Delivery, holder: str) -> None:
        """Leave a frame to the voice worker that acquired the session since the frame was queued.

        From now on the message function posts to that holder. A client sends numbered frames again, and the holder
        takes them in order; so they are not kept here, where they would come late.
        """
        logger.info("session is held by a worker, the turn is left to it", session=delivery.session_key, holder=holder)
        if isinstance(delivery.frame, TextInput | AnswerInput) and delivery.frame.seq is None:
            self.apologise(delivery, BUSY)

    def apologise(self, delivery: Delivery, code: str = "internal") -> None:
        """Tell a client that its input was not answered, and may be sent again."""
        error = msgspec.structs.replace(error_frame(code), trace=delivery.frame.trace)
        self._post(delivery.connection_id, encode_frame(error).encode())

    def _addresses(self, delivery: Delivery) -> list[ClientAddress]:
        """All clients of the session; the one whose turn it is in any case.

        Not those at a worker's socket, which this function cannot reach: the journal tells them with their next hello.
        """
        addresses = {address.client_id: address for address in self._clients.clients(delivery.session_key)}
        known = addresses.get(delivery.client_id)
        if known is None or known.counter < delivery.counter:
            addresses[delivery.client_id] = ClientAddress(
                client_id=delivery.client_id,
                connection_id=delivery.connection_id,
                counter=delivery.counter,
                history=delivery.history,
            )
        return [address for address in addresses.values() if address.direct is None]

    def _left(self, attempt: Attempt) -> float:
        """Seconds that the release may take: a lease not left in time is frozen with the process, and expires."""
        end_seconds = self._settings.end_seconds
        return min(STORAGE_TIMEOUT_SECONDS, max(end_seconds, attempt.seconds_left() - end_seconds))

    async def _spoken(self, outbox: TurnOutbox, attempt: Attempt) -> None:
        """Wait until everything was posted, but not so long that the session could not be released any more."""
        try:
            async with asyncio.timeout(max(0.0, attempt.seconds_left() - self._settings.release_seconds)):
                await outbox.drain(attempt.delivery.client_id)
        except TimeoutError:
            raise Undelivered from None
