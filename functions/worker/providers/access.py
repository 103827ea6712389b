"""Access to the voice model, tried at the start: a worker that the model refuses does not become ready.

A model that does not exist where it is asked for, or is closed to this account or role, ends the worker's start, and
with it the deployment. ``shared.model_access`` judges, for the text function's model as well.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from strands.bidi.models import BidiModel

from shared.model_access import LIMIT_SECONDS, refusal
from worker.providers.continuous_model import ContinuousModel

LISTEN_SECONDS: Final = 2.0
"""Seconds that a refusal is waited for on an open connection: some providers refuse with their first event only. After
them access is granted."""


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
        if refused := refusal(error, inner.get_config(), "model_id"):
            raise refused from error
    finally:
        with contextlib.suppress(Exception):  # of a connection that may never have been one
            await inner.stop()


async def _listen(model: BidiModel, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            async for _ in model.receive():
                pass
