"""The course of a hosted session: its states, and the ways to its end.

    opening ─▶ open ─▶ leaving ─▶ ended     handed over, without clients, or broken: flushed and released
       │         │        │
       └─────────┴────────┴─▶ lost ─▶ ended   another holder has the session, or may have: silent at once

Whatever the state in which it ends, its agent is stopped, and what is still held is released.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from enum import Enum, auto
from typing import Any, Final

from segue import SessionFenced
from shared.background import BackgroundTasks
from shared.log import logger
from worker.conversation.parts import ConversationParts
from worker.providers import classify
from worker.telemetry.metrics import Count, metrics

FAREWELL_SECONDS: Final = 1.0
"""Seconds for posting what became durable only by the flush; the rest is left to the successor, which may be speaking
by then."""


type Work = Callable[[], Coroutine[Any, Any, None]]
"""The work of one task. A function, since the coroutine of a task that ends before it begins would never be awaited."""


class State(Enum):
    """State of one session."""

    OPENING = auto()
    OPEN = auto()
    LEAVING = auto()
    LOST = auto()
    ENDED = auto()


class Lifecycle:
    """Tasks and states of one session, from its opening to its end.

    Attributes:
        state: Where it is.
        ended: Set when it is released or dropped.
        on_ended: Called when it has ended.
    """

    def __init__(self, parts: ConversationParts) -> None:
        """Begin while the session is opening.

        Args:
            parts: The conversation's.
        """
        self.state = State.OPENING
        self.ended = asyncio.Event()
        self.on_ended: Callable[[], None] = lambda: None
        self._key = parts.manager.session_key
        self._epoch = parts.manager.epoch
        self._hold = parts.hold
        self._input = parts.input
        self._output = parts.output
        self._turn = parts.turn
        parts.hold.on_stale = self._lose_stale
        self._feeding: asyncio.Task[None] | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._endings = BackgroundTasks()
        self._ending = asyncio.Lock()

    def open(self, feeding: Work, **others: Work) -> None:
        """Run the tasks of a session whose agent has started.

        Args:
            feeding: Gives the agent its input; it ends before the agent does.
            others: The work of the other tasks, by their names.
        """
        self.state = State.OPEN
        self._feeding = self._run(feeding, "feed")
        self._tasks = [self._feeding, *(self._run(work, name) for name, work in others.items())]

    def refuse_frames(self) -> None:
        """Take no more input: what the agent was not given yet is left to the successor."""
        if self.state is State.OPEN:
            self.state = State.LEAVING
            self._input.leave_to_successor()

    async def stop(self) -> None:
        """Stop the agent, flush and release, and post what became durable by that."""
        self.refuse_frames()
        async with self._ending:
            try:
                if self._feeding is not None:  # else it is being started, and the task that starts it drops it
                    await self._stop_agent()
                if self.state is State.LEAVING:
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(FAREWELL_SECONDS):
                            await self._output.spoken()
            finally:
                self._end()

    def stop_soon(self) -> None:
        """Stop in a task of its own, because that ends the tasks that may have called for it."""
        self._end_in_background(self.stop())

    async def release(self) -> bool:
        """Flush and release now, so that the successor need not wait for the model to stop; ``stop`` does the rest.

        Only between two turns: what the agent does from here on is refused. False if it was not released.
        """
        async with self._ending:
            if self.state is not State.LEAVING or not self._turn.at_boundary:
                return False
            await self.stop_feeding()
            if not await self._hold.flush_and_release():
                self._output.fall_silent()
            return self._hold.released

    async def drop(self) -> None:
        """Give up on a session that is lost or never started: silent, and released if it is still ours."""
        self._output.fall_silent()
        async with self._ending:
            try:
                await self._stop_agent()
            finally:
                self._end()

    def lose(self) -> None:
        """Fall silent at once, then clean up: another holder has the session, or may have."""
        if self._hold.released or self.state in {State.LOST, State.ENDED}:
            return
        logger.warning("session lost", session=self._key, epoch=self._epoch)
        metrics.count(Count.FENCED)
        before, self.state, self._hold.lost = self.state, State.LOST, True
        self._output.fall_silent()
        if before is State.OPEN:  # otherwise the task that opens or stops it does the rest
            self._end_in_background(self.drop())

    async def stop_feeding(self) -> None:
        """Give the agent no more input."""
        if self._feeding is not None:
            self._feeding.cancel()
            await asyncio.wait({self._feeding})

    def _lose_stale(self) -> None:
        metrics.count(Count.LEASE_LOSSES, int(self.state is State.OPEN))
        self.lose()

    def _run(self, work: Work, name: str) -> asyncio.Task[None]:
        return asyncio.create_task(self._until_failure(work), name=f"{name} {self._key}")

    async def _until_failure(self, work: Work) -> None:
        try:
            await work()
        except SessionFenced:
            if not self._hold.leaving:  # else refused because it is being released; ``on_lost`` tells of a loss
                self.lose()
        except Exception as error:  # noqa: BLE001 - whatever the user's agent raises concerns this session only
            if self.state is not State.OPEN:
                return
            logger.exception("the conversation failed", session=self._key, epoch=self._epoch, kind=type(error).__name__)
            self._output.apologise(classify(error))
            self.stop_soon()

    def _end_in_background(self, ending: Coroutine[Any, Any, None]) -> None:
        self._endings.start(ending, f"ending {self._key}")

    async def _stop_agent(self) -> None:
        """Stop the agent, once, which flushes and releases if that was not done."""
        await self.stop_feeding()
        if not await self._hold.stop():
            self._output.fall_silent()

    def _end(self) -> None:
        if self.state is not State.ENDED:
            self.state = State.ENDED
            self._output.fall_silent()
            for task in self._tasks:
                task.cancel()
            self._turn.traces.close()
            self.ended.set()
            self.on_ended()
