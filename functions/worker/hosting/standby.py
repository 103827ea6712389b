"""Sessions that this worker has ready for a predecessor that still holds them.

    POST /claims prepare ─▶ read without the lease ─▶ build the agent ─▶ open the model's connection ─▶ 200
    POST /claims         ─▶ acquire, and go on
       (30 s without one ─▶ thrown away)

What is ready counts only if the session is still what was read: then nothing is left to do but one conditional write.
If it has gone on, what is ready is thrown away and the session is opened as any other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

from strands.bidi import BidiAgent

from shared.background import BackgroundTasks
from shared.log import logger
from worker.conversation.model_start import ModelStart
from worker.conversation.session_manager import Manager

READY_SECONDS: Final = 30.0
"""Seconds for which a standby is kept; after them it is discarded. The predecessor waits 5 s at most for a turn
boundary, and an idle model connection costs money."""

STOP_SECONDS: Final = 10.0
"""For a model that is not needed to end its connection."""


class Unprepared(Exception):  # noqa: N818 - an answer, not a fault
    """The session was not made ready: it was asked for again meanwhile, or this worker is leaving."""


class Preparation:
    """One session that is ready."""

    def __init__(self, manager: Manager, model_start: ModelStart, head: int) -> None:
        """Keep the parts.

        Args:
            manager: Prepared, not open.
            model_start: Of the agent that was built on it, started.
            head: Records that were read.
        """
        self.manager = manager
        self.model_start = model_start
        self.head = head

    @classmethod
    async def make(cls, manager: Manager, new_agent: Callable[[Any], BidiAgent]) -> Preparation:
        """Read the session, build the agent, open the model's connection.

        Raises:
            SegueError: The session cannot be read.
            TimeoutError: The model does not connect.
            Exception: Whatever the agent's code or its model raises.
        """
        head = await manager.prepare()
        model_start = await ModelStart.build(manager, new_agent)
        if (leave := getattr(model_start.agent.model, "leave_connection", None)) is not None:  # one of worker.providers
            leave()
        ready = cls(manager, model_start, head)
        try:
            await model_start.start()
        except BaseException:
            await ready.discard()
            raise
        return ready

    async def discard(self) -> None:
        """Stop the agent. Nothing of it was recorded."""
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await self.model_start.agent.stop()
        except Exception as error:  # noqa: BLE001 - models raise what they like, and nothing depends on this one
            logger.warning("a prepared model did not stop cleanly", reason=type(error).__name__)


class Preparations:
    """All sessions that are ready, or being made so."""

    def __init__(self, on_change: Callable[[], None]) -> None:
        """Begin with none.

        Args:
            on_change: Called when the room that they take up may have changed.
        """
        self._on_change = on_change
        self._making: dict[str, asyncio.Task[int]] = {}
        self._ready: dict[str, tuple[Preparation, asyncio.TimerHandle]] = {}
        self._discarding = BackgroundTasks()

    @property
    def keys(self) -> set[str]:
        """Sessions that take up room."""
        return self._making.keys() | self._ready.keys()

    async def make(self, key: str, making: Coroutine[Any, Any, Preparation]) -> int:
        """Make a session ready, in the place of what is ready of it; returns for how many records.

        Raises:
            Unprepared: It was asked for anew, or claimed, meanwhile.
            Exception: See ``Preparation.make``.
        """
        self.discard(self.take(key))
        # A task of its own: the request that asks may be cancelled, and the standby must not be forgotten then.
        task = self._making[key] = asyncio.create_task(self._make(key, making), name=f"prepare {key}")
        await asyncio.wait({task})
        if task.cancelled():
            raise Unprepared(key)
        return task.result()

    def take(self, key: str) -> Preparation | None:
        """Take a session's standby, None if there is none; one that is still being made is cancelled."""
        if (making := self._making.pop(key, None)) is not None:
            making.cancel()
        found = self._ready.pop(key, None)
        self._on_change()
        if found is None:
            return None
        ready, timer = found
        timer.cancel()
        return ready

    def discard(self, ready: Preparation | None) -> None:
        """Throw something away, in the background."""
        if ready is not None:
            self._discarding.start(ready.discard(), "discard")

    async def clear(self) -> None:
        """Throw everything away, because this worker is leaving itself."""
        making = list(self._making.values())
        for task in making:
            task.cancel()
        await asyncio.gather(*making, return_exceptions=True)
        for key in list(self._ready):
            self.discard(self.take(key))
        await self._discarding.done()

    async def _make(self, key: str, making: Coroutine[Any, Any, Preparation]) -> int:
        try:
            ready = await making
        finally:
            if self._making.get(key) is asyncio.current_task():
                del self._making[key]
            self._on_change()
        self._ready[key] = ready, asyncio.get_running_loop().call_later(READY_SECONDS, self._expire, key)
        return ready.head

    def _expire(self, key: str) -> None:
        logger.info("a prepared session was not taken", session=key)
        self.discard(self.take(key))
