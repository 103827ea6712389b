"""The sessions that this process holds: found by key, opened from claims, ended when they have no client any more."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from hashlib import sha256

from segue import SessionFenced
from segue.ids import session_key
from segue.wire.claims import Claim, ClientAddress, Prepared
from shared.background import BackgroundTasks
from shared.log import logger
from worker.conversation.outbox import Posters
from worker.conversation.session import HostedSession
from worker.hosting.opening import NewAgent, NewManager, Opener
from worker.hosting.recent_handoffs import RecentHandoffs
from worker.hosting.standby import READY_SECONDS, Standbys, StandbySession
from worker.hosting.stopwatch import Stopwatch
from worker.telemetry.metrics import Count, Level, Size, Time, metrics


class NoRoom(Exception):  # noqa: N818 - an answer, not a fault
    """Raised when this worker takes no more sessions, or has this one already."""


class Host:
    """Sessions of this worker, from their claims to their ends.

    Attributes:
        standbys: Sessions that are ready here while another worker holds them.
        on_held: Called with a session's key when it is held.
        on_suspected: Called with the key of a session that is being opened, when its holder does not answer.
        on_left: Called with a session's key when it is held no more.
        on_hello: Called with a session and the address of a client that said ``hello`` to it.
        on_opened: Called with a session that was opened for the clients of a claim.
    """

    def __init__(
        self,
        new_manager: NewManager,
        new_agent: NewAgent,
        connections: Posters,
        *,
        capacity: int,
        linger_seconds: float,
        ready_seconds: float = READY_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin with no session.

        Args:
            new_manager: Makes session managers.
            new_agent: Builds agents.
            connections: What posts to clients.
            capacity: Sessions at once.
            linger_seconds: How long a session without clients is kept.
            ready_seconds: How long a session is kept ready for its predecessor.
            clock: Seconds, for handoffs of a moment ago.
        """
        self._opener = Opener(new_manager, new_agent, connections)
        self._capacity = capacity
        self._linger_seconds = linger_seconds
        self._sessions: dict[str, HostedSession] = {}
        self._by_token: dict[bytes, HostedSession] = {}
        self._opening: dict[str, asyncio.Task[None]] = {}
        self._linger_timers: dict[str, asyncio.TimerHandle] = {}
        self._handed_over = RecentHandoffs(clock)
        self._endings = BackgroundTasks()
        self._room_changed = asyncio.Event()
        self.standbys = Standbys(self._room_changed.set, ready_seconds)
        self.on_held: Callable[[str], None] = lambda _: None
        self.on_suspected: Callable[[str], None] = lambda _: None
        self.on_left: Callable[[str], None] = lambda _: None
        self.on_hello: Callable[[HostedSession, ClientAddress], None] = lambda _, __: None
        self.on_opened: Callable[[HostedSession], None] = lambda _: None

    @property
    def sessions(self) -> tuple[HostedSession, ...]:
        """All sessions that are held, or on their way in or out."""
        return tuple(self._sessions.values())

    @property
    def room(self) -> int:
        """The number of sessions that still fit."""
        return max(0, self._capacity - len(self._sessions.keys() | self._opening.keys() | self.standbys.keys))

    def find(self, key: str) -> HostedSession | None:
        """Return a session by its key."""
        return self._sessions.get(key)

    def holding(self, route_token: bytes) -> HostedSession | None:
        """Return the session whose route token this is. How long that takes tells nothing of the token."""
        return self._by_token.get(_digest(route_token))

    def handed_over(self, key: str) -> bool:
        """Return true if a session was just released to a successor that has it ready."""
        return key in self._handed_over

    def handed_over_by(self, route_token: bytes) -> bool:
        """Return the same for the session whose route token this was."""
        return _digest(route_token) in self._handed_over

    def is_opening(self, key: str) -> bool:
        """Return true if a session is being opened here: its lease may name this worker already."""
        return key in self._opening

    async def until_room(self) -> None:
        """Wait until another session fits."""
        while not self.room:
            self._room_changed.clear()
            await self._room_changed.wait()

    async def until_opened(self) -> None:
        """Wait until nothing is being opened any more, whatever became of it."""
        while self._opening:
            await asyncio.wait(self._opening.values())

    def fits(self, key: str) -> bool:
        """Return true if there is room for a session, or it is here in some form already."""
        return bool(self.room) or key in self._sessions.keys() | self._opening.keys() | self.standbys.keys

    async def prepare(self, claim: Claim) -> Prepared:
        """Make a session ready that another worker still holds; ``open_session`` then goes on from there.

        Raises:
            NoRoom: There is none.
            Exception: It could not be read, or its agent could not be built or started.
        """
        key = self._checked(claim)
        if key in self._sessions or key in self._opening or not self.fits(key):
            raise NoRoom(key)
        return await self.standbys.prepare_standby(key, partial(self._opener.prepare, claim))

    async def open_session(self, claim: Claim) -> None:
        """Hold the session that a claim names, and say ``ready`` to its clients. Held already: only the latter.

        Raises:
            SessionHeld: Another holder has it and lives.
            StorageUnavailable: It could not be read now.
            Exception: The agent could not be built or started. The session was released again.
        """
        self._checked(claim)
        while (present := self._sessions.get(claim.session_key)) is not None and not present.open:
            # On its way in or out: afterwards it is open, or gone and can be opened anew.
            opening = self._opening.get(claim.session_key)
            await (present.ended.wait() if opening is None else asyncio.wait({opening}))
        if present is not None:
            present.welcome(claim.clients)
            return
        opening = self._opening.get(claim.session_key)
        if opening is not None:
            if claim.reason == "unreachable":
                self.on_suspected(claim.session_key)  # else it waits as for a predecessor that is about to release
            await asyncio.wait({opening})
            await self.open_session(claim)
            return
        opening = self._opening[claim.session_key] = asyncio.create_task(self._open(claim))
        opening.add_done_callback(lambda _: self._on_opening_done(claim.session_key))
        await asyncio.shield(opening)

    @staticmethod
    def _checked(claim: Claim) -> str:
        if claim.session_key != session_key(claim.principal, claim.session_id):
            raise ValueError(f"the claim's key {claim.session_key!r} does not belong to its principal and session id")
        return claim.session_key

    async def _open(self, claim: Claim) -> None:
        watch = Stopwatch(asyncio.get_running_loop().time)
        ready = self.standbys.take_standby(claim.session_key)
        prepared: HostedSession | None = None
        try:
            prepared = None if ready is None else await self._open_standby(ready)
            watch.end_part("lease")
            session = prepared or await self._opener.open(claim, watch, ready)
            await self._start(session, claim)
            watch.end_part("model")
        finally:
            if prepared is None:  # not before the start, which may take over its connection
                self.standbys.discard_standby(ready)
        metrics.size(Size.RESTORE, session.restored_bytes)
        self._record_opening(claim, session, watch, prepared=prepared is not None)
        self.on_opened(session)

    async def _start(self, session: HostedSession, claim: Claim) -> None:
        self._sessions[claim.session_key] = session
        self._by_token[_digest(session.route_token.encode())] = session
        self._watch(session)
        if claim.reason == "handoff":
            session.handed_over_at = asyncio.get_running_loop().time()
        self.on_held(session.key)
        try:
            await session.start(claim.clients)
        except BaseException:
            await session.drop()
            raise

    async def _open_standby(self, ready: StandbySession) -> HostedSession | None:
        """Go on with what is ready, if the session is still what it was."""
        try:
            return await self._opener.open_standby(ready)
        except SessionFenced:
            logger.info("the session has gone on since it was prepared", session=ready.manager.session_key)
            return None

    def _record_opening(self, claim: Claim, session: HostedSession, watch: Stopwatch, *, prepared: bool) -> None:
        handoff, seconds = claim.reason == "handoff", watch.seconds
        if handoff:
            metrics.time(Time.HANDOFF_GAP, seconds + claim.paused_ms / 1000)
        elif claim.reason == "unreachable":
            metrics.count(Count.TAKEOVERS)
        metrics.count(Count.RESTORES)
        metrics.time(Time.RESTORE, seconds)
        logger.info(
            "session opened",
            session=session.key,
            epoch=session.epoch,
            reason=claim.reason,
            clients=len(claim.clients),
            prepared=prepared,
            opened_ahead=session.opened_ahead,
            ms=round(seconds * 1000),
            parts_ms=watch.parts_ms,
            gap_ms=round(seconds * 1000 + claim.paused_ms) if handoff else None,
        )

    def _on_opening_done(self, key: str) -> None:
        self._opening.pop(key, None)
        self._room_changed.set()
        metrics.level(Level.ACTIVE_SESSIONS, len(self._sessions))

    def _watch(self, session: HostedSession) -> None:
        def clients_changed(any_left: bool) -> None:  # noqa: FBT001 - a callback with one fact
            timer = self._linger_timers.pop(session.key, None)
            if timer is not None:
                timer.cancel()
            if not any_left and session.open:
                self._linger_timers[session.key] = asyncio.get_running_loop().call_later(
                    self._linger_seconds, self._end, session
                )

        session.on_clients = clients_changed
        session.on_ended = lambda: self._on_session_ended(session)
        session.on_hello = lambda address: self.on_hello(session, address)

    def _on_session_ended(self, session: HostedSession) -> None:
        if (timer := self._linger_timers.pop(session.key, None)) is not None:
            timer.cancel()
        shown = _digest(session.route_token.encode())
        self._by_token.pop(shown, None)
        if session.successor_ready:
            self._handed_over.note_handoff(session.key, shown)
        if self._sessions.get(session.key) is session:
            del self._sessions[session.key]
            self.on_left(session.key)
        self._room_changed.set()
        metrics.level(Level.ACTIVE_SESSIONS, len(self._sessions))
        logger.info("session ended", session=session.key, epoch=session.epoch)

    def _end(self, session: HostedSession) -> None:
        """End a session to which no client has come back."""
        self._linger_timers.pop(session.key, None)
        if not session.clients:
            logger.info("no client came back", session=session.key, epoch=session.epoch)
            self._endings.start(session.stop(), f"ending {session.key}")


def _digest(token: bytes) -> bytes:
    return sha256(token).digest()
