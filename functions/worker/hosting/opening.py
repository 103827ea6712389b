"""A claim's way to a hosted session: its manager, its agent, its parts.

    claim ─▶ manager ─┬─ open ──────────────▶ agent ─▶ parts ─▶ HostedSession
                      └─ prepare ─▶ agent, model open ─▶ standby ─ open ─▶ parts ─▶ HostedSession

On each of them a failure releases what was acquired.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from strands.bidi import BidiAgent

from segue.wire.claims import Claim
from segue.wire.frames import encode_frame, error_frame
from shared.agent_code import AgentFailed
from worker.conversation.model_start import ModelStart
from worker.conversation.outbox import Posters
from worker.conversation.parts import ConversationParts
from worker.conversation.session import HostedSession
from worker.conversation.session_manager import Manager
from worker.hosting.standby import StandbySession
from worker.hosting.stopwatch import Stopwatch
from worker.telemetry.metrics import metrics

type NewManager = Callable[[Claim], Manager]
"""Makes a manager for the session that a claim names; no I/O."""

type NewAgent = Callable[[Any], BidiAgent]
"""The user's ``build_agent``."""


class Opener:
    """Maker of hosted sessions, from claims and standbys."""

    def __init__(self, new_manager: NewManager, new_agent: NewAgent, connections: Posters) -> None:
        """Keep what sessions are made of.

        Args:
            new_manager: Makes session managers.
            new_agent: Builds agents.
            connections: What posts to clients.
        """
        self._new_manager = new_manager
        self._new_agent = new_agent
        self._connections = connections

    async def prepare(self, claim: Claim, earlier: StandbySession | None = None) -> StandbySession:
        """Make a session ready that another worker still holds.

        Args:
            claim: The session.
            earlier: What is ready of it.

        Raises:
            Exception: See ``StandbySession.make``.
        """
        return await StandbySession.make(self._manager(claim), self._new_agent, earlier)

    async def open_standby(self, ready: StandbySession) -> HostedSession:
        """Acquire a session that was prepared. If this raises, discard what is ready.

        Raises:
            SessionFenced: The session has gone on since it was prepared. Open it from the claim.
            SegueError: It could not be acquired.
        """
        await ready.manager.open()
        return await self._host(ready.manager, ready.model_start)

    async def open(self, claim: Claim, watch: Stopwatch, earlier: StandbySession | None = None) -> HostedSession:
        """Acquire and read a session, and build its agent.

        Args:
            claim: The session.
            watch: Measures what takes how long.
            earlier: What was ready of it, before it went on. Discard it once the session has started.

        Raises:
            SegueError: It could not be acquired or read.
            AgentFailed: The user's code could not build its agent. The session was released, its clients were told.
        """
        manager = self._manager(claim)
        await manager.open()
        watch.end_part("restore")
        try:
            model_start = await ModelStart.build(manager, self._new_agent)
            watch.end_part("agent")
        except AgentFailed:
            await manager.close()
            await self._apologise(claim)
            raise
        except BaseException:
            await manager.close()
            raise
        if earlier is not None:
            model_start.go_on_from(earlier.model_start)
        return await self._host(manager, model_start)

    async def _host(self, manager: Manager, model_start: ModelStart) -> HostedSession:
        try:
            return HostedSession(ConversationParts.wire(manager, model_start, self._connections))
        except BaseException:
            await manager.close()
            raise

    async def _apologise(self, claim: Claim) -> None:
        """Tell the clients of a session that has no agent. Its claim comes again: a new deployment may have one."""
        metrics.error("agent_failed")
        message = encode_frame(error_frame("agent_failed")).encode()
        connections = self._connections.of_session(claim.session_key)
        await asyncio.gather(*(connections.post(client, message) for client in claim.clients))

    def _manager(self, claim: Claim) -> Manager:
        manager = self._new_manager(claim)
        manager.on_commit(metrics.committed)
        return manager
