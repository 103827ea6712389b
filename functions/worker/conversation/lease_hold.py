"""A hosted session's hold on its lease: the right to send frames, and its release.

held ─▶ releasing ─▶ released     by this worker: frames that became durable may still go out
  └───────┴────────▶ lost         another holder has it, or may have: no frame goes out any more

A process that has stood still may have been taken for dead, and its sessions taken over long before their leases ended
(``worker.hosting.holder_probe``). So it renews a lease before it speaks again: a write that storage accepts shows that
no other process has the session, and defeats those that are about to try.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from strands.bidi import BidiAgent

from segue import SegueError
from segue.session.heartbeat import STORAGE_TIMEOUT_SECONDS
from shared.log import logger
from worker.conversation.session_manager import Manager
from worker.telemetry.blocked_loop import standstills

STOP_SECONDS: Final = STORAGE_TIMEOUT_SECONDS + 20.0
"""Seconds for stopping an agent: its model, then flush and release, which wait for storage. After them the lease is
left to expire. A worker that drains waits less: see ``worker.hosting.drain``."""

RENEW_AGAIN_SECONDS: Final = 0.5
"""Seconds until the next renewal after one that storage did not confirm. Until one is, or the lease has ended, nothing
is said."""

LOST_SECONDS: Final = 40.0
"""Seconds for stopping the agent of a session that is lost; after them it is abandoned. Its callers may come back to
this worker, and wait for the end of it."""


class Hold:
    """One session's hold on its lease.

    Attributes:
        lost: Whether another holder has the session, or may have.
        released: Whether this worker released the session.
        on_stale: Called when frames may no longer go out although no loss was told of.
    """

    def __init__(self, manager: Manager, agent: BidiAgent) -> None:
        """Keep who holds and who uses it.

        Args:
            manager: Opened.
            agent: Built with it; stopping it releases.
        """
        self.lost = False
        self.released = False
        self.on_stale: Callable[[], None] = lambda: None
        self._manager = manager
        self._agent = agent
        self._releasing = False
        self._stopped = False

    @property
    def leaving(self) -> bool:
        """True from the release on: a write that is refused from then on is no loss of the lease."""
        return self._releasing

    @property
    def firm(self) -> bool:
        """True if frames may still go out: the lease is fresh by this process's clock, or was until its release."""
        return not self.lost if self._releasing else self._manager.lease_is_fresh()

    async def may_speak(self) -> bool:
        """Return ``firm``, after a standstill once the lease is renewed, and tell ``on_stale`` if it is False."""
        while self.firm:
            if self._releasing or self._manager.lease_renewed_at > standstills.latest():
                return True
            if not await self._manager.renew_lease() and self.firm:
                await asyncio.sleep(RENEW_AGAIN_SECONDS)
        self.on_stale()
        return False

    async def flush_and_release(self) -> bool:
        """Flush and release, with the agent still there: the agent's records are refused from here on."""
        return await self._release(stop=False)

    async def stop(self) -> bool:
        """Stop the agent; flush and release, if that was not done. False if the session could not be released.

        Only the first call in any state does this: two endings may meet.
        """
        if self._stopped:
            return self.released
        self._stopped = True
        return await self._release(stop=True)

    async def _release(self, *, stop: bool) -> bool:
        # From here on a missing lease is this worker's release. If another holder acquires it first, ``on_lost`` tells.
        self._releasing, released_before = True, self.released
        try:
            async with asyncio.timeout(LOST_SECONDS if self.lost else STOP_SECONDS):
                await (self._stop_agent() if stop else self._manager.leave())
        except (SegueError, TimeoutError) as error:
            if released_before:
                return True  # what came too late to be recorded
            # Nothing acknowledged is lost, and a lease that was not released expires.
            key, reason = self._manager.session_key, type(error).__name__
            logger.warning("session not released", session=key, reason=reason)
            return False
        self.released = not self.lost
        return True

    async def _stop_agent(self) -> None:
        try:
            await self._agent.stop()
        except SegueError:
            raise
        except asyncio.CancelledError as error:
            if (task := asyncio.current_task()) is None or task.cancelling():
                raise
            await self._close_without(error)  # not this task's: a provider's client cancelled its own request
        except Exception as error:  # noqa: BLE001 - models raise what they like
            await self._close_without(error)

    async def _close_without(self, error: BaseException) -> None:
        """Release the session although its model did not end cleanly."""
        key, reason = self._manager.session_key, type(error).__name__
        logger.warning("the model did not stop cleanly", session=key, reason=reason)
        await self._manager.close()
