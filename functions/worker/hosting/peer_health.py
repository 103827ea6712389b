"""Health of another worker, as it tells it itself (``GET /health``), and the watch over one that may take its time.

Evidence against a worker is none against one that had no turns itself: if a look took longer than its time-outs allow,
it was this process that stood still.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from worker.aws.kept_connections import HTTP_ERRORS, KeptConnections, NotConnected

CONNECT_TIMEOUT_SECONDS: Final = 0.25
"""Seconds for a connection; after them the worker is not reached. Inside one region a connection takes a few
milliseconds; a lost SYN alone is sent again after a second."""

ANSWER_TIMEOUT_SECONDS: Final = 0.5
"""Seconds for the whole answer; after them the worker has not answered. It takes some milliseconds, also while the
worker's loop is blocked. A stopped process takes connections and never answers."""

STOOD_STILL_SECONDS: Final = 2.0
"""Seconds for which a holder's loop may stand still; after them it counts as hung. Calls of longer blocks are better
off elsewhere."""

LATE_SECONDS: Final = 0.25
"""Seconds beyond its time-outs after which a probe was held up here, and proves nothing."""

LOOK_SECONDS: Final = 1.0
"""Seconds between two looks at a worker that is asked for something that may take its time."""

SILENT_LOOKS: Final = 3
"""Looks in a row that bring no answer before such a worker counts as hung: one more than for a holder, because no
caller waits, and the next worker has to begin anew."""


class NotReached(Exception):  # noqa: N818 - an observation
    """Raised when no connection is made in time."""


class NotAnswered(Exception):  # noqa: N818 - an observation
    """Raised when a connection was accepted, and nothing was answered in time."""


@dataclass(frozen=True, slots=True)
class Health:
    """A worker's answer to ``GET /health``.

    Attributes:
        worker_id: Its identity; None if it did not say.
        stood_still: Seconds for which its event loop had not turned.
    """

    worker_id: str | None
    stood_still: float = 0.0

    @property
    def hangs(self) -> bool:
        """True if its event loop has stood still for too long."""
        return self.stood_still > STOOD_STILL_SECONDS


type Ask = Callable[[str], Awaitable[Health]]
"""Asks the worker at an endpoint how it is."""


async def ask_health(
    endpoint: str,
    *,
    answer_seconds: float = ANSWER_TIMEOUT_SECONDS,
    connect_seconds: float = CONNECT_TIMEOUT_SECONDS,
) -> Health:
    """Ask the worker at ``endpoint`` how it is.

    Args:
        endpoint: The worker's.
        answer_seconds: For the whole answer.
        connect_seconds: For a connection.

    Raises:
        NotReached: No connection came about.
        NotAnswered: It did not answer.
        ConnectionRefusedError: No process listens there.
        OSError: Something else went wrong.
        HttpProcessingError: The answer is none.
        ValueError: The answer is no worker's.
    """
    holder = KeptConnections(
        endpoint, most=1, idle_seconds=0.0, seconds=answer_seconds, connect_seconds=connect_seconds
    )
    try:
        # A connection of its own for every look: a kept one would say nothing about who listens there now.
        answer = await holder.once(f"{endpoint}/health", answer_seconds)
    except NotConnected:
        raise NotReached from None
    except TimeoutError:
        raise NotAnswered from None
    said = json.loads(answer.body)
    if not isinstance(said, dict):
        raise ValueError("the answer to /health is not a worker's")  # noqa: TRY004 - the bytes are what is wrong
    identity, stood_still_ms = said.get("worker_id"), said.get("stood_still_ms")
    return Health(
        worker_id=identity if isinstance(identity, str) else None,
        stood_still=stood_still_ms / 1000 if isinstance(stood_still_ms, int | float) else 0.0,
    )


async def until_hung(
    endpoint: str,
    ask: Ask = ask_health,
    clock: Callable[[], float] = time.monotonic,
    *,
    look_seconds: float = LOOK_SECONDS,
) -> None:
    """Return when a worker has not answered some looks in a row, or its loop stood still. What is uncertain is no sign.

    Args:
        endpoint: The worker's.
        ask: Asks it how it is.
        clock: Seconds.
        look_seconds: Between two looks.
    """
    silent = 0
    while silent < SILENT_LOOKS:
        await asyncio.sleep(look_seconds)
        began = clock()
        try:
            hung = (await ask(endpoint)).hangs
        except (NotReached, NotAnswered):
            hung = not was_held_up(clock() - began)
        except (*HTTP_ERRORS, ValueError):
            hung = False  # the request to it ends as well, or brings an answer
        silent = silent + 1 if hung else 0


def was_held_up(seconds: float) -> bool:
    """Tell whether a look took longer than its time-outs allow: it was this process that had no turn."""
    return seconds > CONNECT_TIMEOUT_SECONDS + ANSWER_TIMEOUT_SECONDS + LATE_SECONDS
