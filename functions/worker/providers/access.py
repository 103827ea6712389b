"""Access to the model, tried at the start: a worker that the model refuses does not become ready.

A model that does not exist where it is asked for, or is closed to this account or role, ends the worker's start, and
with it the deployment. Anything else that may go wrong (too much to do, no answer in time) may be over when a caller
comes, and ends nothing. The same holds for the text function's model, which is tried by a deployment's test invocation.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any, Final

from strands.bidi.models import BidiModel
from strands.models import Model
from strands.types.content import Message

from shared.log import logger
from worker.providers.continuous_model import ContinuousModel
from worker.providers.errors import classify
from worker.settings import EnvironmentProblem

LIMIT_SECONDS: Final = 10.0
"""Seconds for the connection or a text model's answer; after them the check ends without a verdict."""

LISTEN_SECONDS: Final = 2.0
"""Seconds that a refusal is waited for on an open connection: some providers refuse with their first event only. After
them access is granted."""

GREETING: Final[Message] = {"role": "user", "content": [{"text": "Answer with the word OK."}]}
"""All that a text model is asked: a few tokens."""


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
        if refusal := _refusal(error, inner.get_config(), "model_id"):
            raise refusal from error
    finally:
        with contextlib.suppress(Exception):  # of a connection that may never have been one
            await inner.stop()


async def check_text_access(model: Model, limit: float = LIMIT_SECONDS) -> None:
    """Ask a text model for one word.

    Args:
        model: Strands' model.
        limit: Seconds for the whole answer. A model that takes longer is not waited for.

    Raises:
        EnvironmentProblem: The model is not there, or does not take this function's role or key.
    """
    try:
        async with asyncio.timeout(limit):
            async for _ in model.stream([GREETING]):
                pass
    except Exception as error:
        if refusal := _refusal(error, model.get_config(), "text_model_id"):
            raise refusal from error


def _refusal(error: Exception, configured: Any, setting: str) -> EnvironmentProblem | None:
    """The problem behind an error that no waiting would mend; any other is logged, and None."""
    known = classify(error)
    if known.code != "model_access":
        logger.warning("the model could not be tried", kind=known.kind.value, reason=type(error).__name__)
        return None
    name = configured.get("model_id", "the model") if isinstance(configured, Mapping) else "the model"
    return EnvironmentProblem(
        f"{name} cannot be used: {known.message} ({known.kind.value}). `make preflight` says what is missing; "
        f"the setting {setting} chooses another"
    )


async def _listen(model: BidiModel, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            async for _ in model.receive():
                pass
