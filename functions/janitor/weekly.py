"""The weekly sweep: objects of lives that no guard item knows, whatever was missed."""

from __future__ import annotations

import time
from typing import Any

from aws_lambda_powertools import Logger

from janitor.again import dependencies
from janitor.sweeper import Life

logger = Logger()

YOUNG_S = 86_400
"""Lives younger than this are left alone: a fork writes its objects first and its item last."""

RESERVE_MS = 60_000
"""Time left at which a run ends and says where the next one goes on, in milliseconds."""


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Sweep lives that are not known.

    Args:
        event: ``{"after": "<session_key>/<born>"}`` to go on where another run ended.
        context: The Lambda context, for the time that is left.

    Returns:
        ``{"swept": n, "after": …}``; ``after`` is null once everything was seen.
    """
    sweeper, _ = dependencies()
    swept = 0
    for life in sweeper.all_lives(event.get("after") or ""):
        if not _young(life):
            swept += sweeper.sweep(life)
        if context.get_remaining_time_in_millis() < RESERVE_MS:
            logger.warning("weekly sweep not finished", swept=swept, after=f"{life.session_key}/{life.born}")
            return {"swept": swept, "after": f"{life.session_key}/{life.born}"}
    logger.info("weekly sweep finished", swept=swept)
    return {"swept": swept, "after": None}


def _young(life: Life) -> bool:
    """Whether a life began so lately that its item may still be on its way; ``born`` begins with the time."""
    stamp = life.born.partition("-")[0]
    return stamp > time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(time.time() - YOUNG_S))
