"""A post to a holder, and beside it the search for another one: for workers that forward frames to a session's holder.

    post ──── 0.5 s: no answer yet ──── answer, or an error: returned as it is
                      └─ search: once for a session in 2 s, to its end, whatever the post brings

A worker to which a client's socket belongs posts its frames to the holder as the gateway does
(``segue.wire.delivery``). The natural successor of a holder that is hung is that worker itself::

    async def search() -> None:
        claim = Claim(session_key=key, ..., reason="unreachable", clients=...)
        try:
            claims.offer_claim(claim)   # worker.hosting.claims.ClaimTaker: acquires, with a probe of the holder
        except NoRoom:
            ...                         # post the claim to another worker, or queue it

    status = await self._searches.post(key, forward(body), search)

The claim's reason has to be "unreachable": it lets the acquisition probe the holder and, if that lives, end after one
heartbeat (``worker.hosting.holder_probe``). Only a frame with ``seq`` may then be posted to the new holder while the
post to the old one is unanswered; all others wait until that has ended.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final

from segue.bounded import BoundedDict
from segue.wire.delivery import SEARCH_AFTER_SECONDS
from shared.background import BackgroundTasks
from shared.log import logger

QUIET_SECONDS: Final = 2.0
"""Seconds between two searches for a session's holder; further ones are left out. A session may have ten unanswered
frames a second; they share one search. The same as the gateway's."""

SESSIONS: Final = 2048
"""Sessions whose last search is remembered; one that is forgotten is searched for once too often."""


class SearchesBeside:
    """Posts to holders, each with a search for another one beside it once no answer comes in time."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, after_seconds: float = SEARCH_AFTER_SECONDS
    ) -> None:
        """Have looked for none.

        Args:
            clock: Seconds.
            after_seconds: Without an answer, before the search begins.
        """
        self._clock = clock
        self._after_seconds = after_seconds
        self._searched: BoundedDict[str, float] = BoundedDict(SESSIONS)
        self._searches = BackgroundTasks()

    async def post[T](
        self, session_key: str, post: Coroutine[Any, Any, T], search: Callable[[], Coroutine[Any, Any, None]]
    ) -> T:
        """Post to a session's holder.

        Args:
            session_key: The session.
            post: The post. Its time-outs are its own; cancelled with this call.
            search: Looks for another holder. It runs on if the post ends first; what it raises is logged.

        Returns:
            What the post returns; what it raises is raised.
        """
        posting = asyncio.ensure_future(post)
        try:
            await asyncio.wait({posting}, timeout=self._after_seconds)
            if not posting.done():
                self._begin(session_key, search)
            return await posting
        finally:
            posting.cancel()

    async def done(self) -> None:
        """Wait for the searches that run now."""
        await self._searches.done()

    def _begin(self, session_key: str, search: Callable[[], Coroutine[Any, Any, None]]) -> None:
        now = self._clock()
        if now - self._searched.get(session_key, -math.inf) < QUIET_SECONDS:
            return
        self._searched[session_key] = now
        logger.warning("the holder has not answered yet", session=session_key)
        self._searches.start(self._search(session_key, search), f"search for a holder of {session_key}")

    async def _search(self, session_key: str, search: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            await search()
        except Exception:  # noqa: BLE001 - whatever it raises, the post goes on
            logger.exception("no other holder could be looked for", session=session_key)
