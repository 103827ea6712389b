"""Access to the model, tried at the start: a worker that the model refuses does not become ready.

A model that does not exist where it is asked for, or is closed to this account or role, ends the worker's start, and
with it the deployment. Anything else that may go wrong (too much to do, no answer in time) may be over when a caller
comes, and ends nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from strands.bidi.models import BidiModel

from shared.log import logger
from worker.providers.continuity import ContinuousModel
from worker.providers.errors import classify
from worker.settings import EnvironmentProblem

LIMIT_SECONDS: Final = 10.0
"""For the connection. A provider that takes longer is not waited for."""

LISTEN_SECONDS: Final = 2.0
"""After it: some refuse with their first event only."""


async def check_access(model: BidiModel, limit: float = LIMIT_SECONDS, listen: float = LISTEN_SECONDS) -> None:
    """Open one connection, listen for a refusal, and close it.

    Args:
        model: Strands' model, not connected.
        limit: Seconds for the connection.
        listen: Seconds that a refusal is waited for.

    Raises:
        EnvironmentProblem: The model is not there, or does not take this worker's role or key.
    """
    inner = model.inner if isinstance(model, ContinuousModel) else model
    try:
        async with asyncio.timeout(limit):
            await inner.start(None, None, [])
        await _listen(inner, listen)
    except Exception as error:
        known = classify(error)
        if known.code == "model_access":
            name = inner.get_config().get("model_id", "the model")
            raise EnvironmentProblem(
                f"{name} cannot be used: {known.message} ({known.kind.value}). `make preflight` says what is missing; "
                "the setting model_id chooses another"
            ) from error
        logger.warning("the model could not be tried", kind=known.kind.value, reason=type(error).__name__)
    finally:
        with contextlib.suppress(Exception):  # of a connection that may never have been one
            await inner.stop()


async def _listen(model: BidiModel, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            async for _ in model.receive():
                pass
