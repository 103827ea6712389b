"""The sessions of this process: one is held during its turn, the last few are kept for the next.

take ── kept, and no record since ──▶ resumed: two requests to the lock table, none to the bucket
   └─── all else ───────────────────▶ opened: acquired, read, and the agent built anew
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from aws_lambda_powertools import Logger
from strands import Agent
from strands.hooks import BeforeToolsEvent, MessageAddedEvent
from strands.middleware.stages import InvokeModelStage

from segue import SegueError, SessionFenced
from segue.bounded import BoundedDict
from segue.strands.manager import GuardedSessionManager
from shared import metrics
from shared.agent_code import build
from shared.metrics import FunctionCount, FunctionTime
from turn.history import shown_to_text_model

KEPT: Final = 16
"""Sessions that a warm process keeps; one beyond them is dropped, and restored when it is needed. A group's messages
often come back to the process that had the last one."""

AFTER_THE_MANAGER: Final = 1_000_000
"""A hook order beyond all that Strands and the session manager use: by then the message is durable."""

type NewManager = Callable[[str, str], GuardedSessionManager]
"""Makes a manager for a principal's session; no I/O."""

type NewAgent = Callable[[Any], Agent]
"""The user's ``build_text_agent``."""

logger = Logger()


def _no_listener() -> None:
    pass


@dataclass(slots=True)
class TextSession:
    """A session with its agent.

    Attributes:
        manager: Its manager, which holds the lease during a turn.
        agent: Its agent.
        on_durable: Called whenever another message of the agent has become durable. Must not wait.
        denial: Why the tools that the agent is resumed with must not run; None if they may.
    """

    manager: GuardedSessionManager
    agent: Agent
    on_durable: Callable[[], None] = field(default=_no_listener)
    denial: str | None = None

    def listen(self) -> None:
        """Register with the agent. Once, after the manager did."""
        self.agent.add_middleware(InvokeModelStage.Input, shown_to_text_model)
        self.agent.hooks.add_callback(MessageAddedEvent, lambda _: self.on_durable(), order=AFTER_THE_MANAGER)
        self.agent.hooks.add_callback(BeforeToolsEvent, self._deny, order=AFTER_THE_MANAGER)

    def _deny(self, event: BeforeToolsEvent) -> None:
        """Cancel the tools that were denied, whatever the agent's own code says; those that follow run."""
        if self.denial is not None:
            event.cancel, self.denial = self.denial, None


class TurnSessions:
    """Sessions of text turns: acquired, released, and kept warm."""

    def __init__(self, new_manager: NewManager, new_agent: NewAgent, kept: int = KEPT) -> None:
        """Begin with none.

        Args:
            new_manager: Makes managers, with the durability "await".
            new_agent: Builds agents.
            kept: Sessions that are kept between turns.
        """
        self._new_manager = new_manager
        self._new_agent = new_agent
        self._kept: BoundedDict[str, TextSession] = BoundedDict(kept)

    async def acquire_session(self, session_key: str) -> TextSession:
        """Hold a session, as it is now.

        Raises:
            SessionHeld: Another holder has it and lives.
            SegueError: It cannot be read now, or at all.
            AgentFailed: The user's code could not build the agent. The session was released again.
        """
        session = self._kept.pop(session_key, None)
        if session is not None:
            try:
                await session.manager.resume()
            except SessionFenced:
                logger.debug("kept session is out of date, opening it anew", session=session_key)
            else:
                return session
        return await self._open(session_key)

    async def keep_session(self, session: TextSession, seconds: float | None = None) -> None:
        """Release a session after a turn that went well, and keep it.

        Args:
            session: The session.
            seconds: For storage to answer; default: the manager's own. After that the lease expires.

        Raises:
            SegueError: What was queued could not be committed.
        """
        session.on_durable = _no_listener
        await session.manager.close(seconds)
        self._kept[session.manager.session_key] = session

    async def release_session(self, session: TextSession, seconds: float | None = None) -> None:
        """Release a session after a turn that did not go well: its agent may be ahead of the journal, or behind.

        Args:
            session: The session.
            seconds: As that of ``keep_session``.
        """
        session.on_durable = _no_listener
        try:
            await session.manager.close(seconds)
        except SegueError as error:
            # Nothing acknowledged is lost, and a lease that could not be released expires.
            logger.warning(
                "session not released, its lease expires",
                session=session.manager.session_key,
                reason=type(error).__name__,
            )

    async def _open(self, session_key: str) -> TextSession:
        principal, _, session_id = session_key.partition("/")
        begun = time.monotonic()
        manager = self._new_manager(principal, session_id)
        manager.on_commit(_committed)
        await manager.open()
        try:
            session = TextSession(manager, build(self._new_agent, manager, logger))
            session.listen()
        except BaseException:
            await manager.close()
            raise
        metrics.count(FunctionCount.RESTORES)
        metrics.time(FunctionTime.RESTORE, time.monotonic() - begun)
        return session


def _committed(_records: int, seconds: float) -> None:
    metrics.count(FunctionCount.COMMITS)
    metrics.time(FunctionTime.COMMIT, seconds)
