"""Sessions that this worker has ready for a predecessor that still holds them.

    POST /claims prepare ─▶ read without the lease ─▶ build the agent ─▶ open the model's connection ─▶ 200
    POST /claims prepare ─▶ read, build another agent ─▶ tell the open connection what was said since ─▶ 200
    POST /claims         ─▶ acquire, start the agent, and go on
       (30 s without one ─▶ thrown away)

What is ready counts only if the session is still what was read: then nothing is left to do but one conditional write.
If it has gone on, the session is opened as any other, and its agent takes over the connection. Of a model that takes no
additions, the connection is used only if its part of the history is the same (RFC 0028).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

from strands.bidi import BidiAgent

from segue.wire.claims import Prepared
from shared.background import BackgroundTasks
from shared.log import logger
from worker.conversation.model_start import ModelStart
from worker.conversation.session_manager import Manager

READY_SECONDS: Final = 30.0
"""Seconds for which a standby is kept; after them it is discarded. The predecessor waits 5 s at most for a turn
boundary, and an idle model connection costs money."""

STOP_SECONDS: Final = 10.0
"""Seconds for a model that is not needed to end its connection; after them it is abandoned."""


class StandbyAbandoned(Exception):  # noqa: N818 - an answer, not a fault
    """Raised when a standby was not made ready: it was asked for again meanwhile, or this worker is draining."""


class StandbySession:
    """Standby of one session: its agent is built and its model connected, while another worker holds it."""

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
    async def make(
        cls, manager: Manager, new_agent: Callable[[Any], BidiAgent], earlier: StandbySession | None = None
    ) -> StandbySession:
        """Read the session, build the agent, open the model's connection.

        Args:
            manager: Neither prepared nor open.
            new_agent: Builds the agent.
            earlier: What was ready before, whose connection may be taken over. Discard it afterwards.

        Raises:
            SegueError: The session cannot be read.
            TimeoutError: The model does not connect.
            Exception: Whatever the agent's code or its model raises.
        """
        head = await manager.prepare()
        model_start = await ModelStart.build(manager, new_agent)
        if earlier is not None:
            model_start.go_on_from(earlier.model_start)
        ready = cls(manager, model_start, head)
        try:
            await model_start.open_ahead()
        except BaseException:
            await ready.stop_agent()
            raise
        return ready

    async def stop_agent(self) -> None:
        """Stop the agent. Nothing of it was recorded."""
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await self.model_start.agent.stop()
        except Exception as error:  # noqa: BLE001 - models raise what they like, and nothing depends on this one
            logger.warning("a prepared model did not stop cleanly", reason=type(error).__name__)


class Standbys:
    """All standbys of this worker: ready, or being made so."""

    def __init__(self, on_change: Callable[[], None], ready_seconds: float = READY_SECONDS) -> None:
        """Begin with none.

        Args:
            on_change: Called when the room that they take up may have changed.
            ready_seconds: For which one is kept.
        """
        self._ready_seconds = ready_seconds
        self._on_change = on_change
        self._preparing: dict[str, asyncio.Task[Prepared]] = {}
        self._ready: dict[str, tuple[StandbySession, asyncio.TimerHandle]] = {}
        self._discarding = BackgroundTasks()

    @property
    def keys(self) -> set[str]:
        """Sessions that take up room."""
        return self._preparing.keys() | self._ready.keys()

    async def prepare_standby(
        self, key: str, prepare: Callable[[StandbySession | None], Coroutine[Any, Any, StandbySession]]
    ) -> Prepared:
        """Make a session ready, in the place of what is ready of it.

        Args:
            key: The session's.
            prepare: Makes it ready, given what is ready of it.

        Raises:
            StandbyAbandoned: It was asked for anew, or claimed, meanwhile.
            Exception: See ``StandbySession.make``.
        """
        earlier = self.take_standby(key)
        making = prepare(earlier)
        # A task of its own: the request that asks may be cancelled, and the standby must not be forgotten then.
        task = self._preparing[key] = asyncio.create_task(self._prepare_in_task(key, making), name=f"prepare {key}")
        task.add_done_callback(lambda _: self.discard_standby(earlier))
        await asyncio.wait({task})
        if task.cancelled():
            raise StandbyAbandoned(key)
        return task.result()

    def take_standby(self, key: str) -> StandbySession | None:
        """Take a session's standby, None if there is none; one that is still being made is cancelled."""
        if (making := self._preparing.pop(key, None)) is not None:
            making.cancel()
        found = self._ready.pop(key, None)
        self._on_change()
        if found is None:
            return None
        ready, timer = found
        timer.cancel()
        return ready

    def discard_standby(self, ready: StandbySession | None) -> None:
        """Throw something away, in the background."""
        if ready is not None:
            self._discarding.start(ready.stop_agent(), "discard")

    async def clear(self) -> None:
        """Throw everything away, because this worker is leaving itself."""
        making = list(self._preparing.values())
        for task in making:
            task.cancel()
        await asyncio.gather(*making, return_exceptions=True)
        for key in list(self._ready):
            self.discard_standby(self.take_standby(key))
        await self._discarding.done()

    async def _prepare_in_task(self, key: str, making: Coroutine[Any, Any, StandbySession]) -> Prepared:
        try:
            ready = await making
        finally:
            if self._preparing.get(key) is asyncio.current_task():
                del self._preparing[key]
            self._on_change()
        self._ready[key] = ready, asyncio.get_running_loop().call_later(self._ready_seconds, self._expire, key)
        return Prepared(head=ready.head, additions=ready.model_start.takes_additions)

    def _expire(self, key: str) -> None:
        logger.info("a prepared session was not taken", session=key)
        self.discard_standby(self.take_standby(key))
