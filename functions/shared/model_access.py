"""Access to a text model, and the verdict on a refusal of any model: it ends the start of a worker or of a version.

Anything else that may go wrong (too much to do, no answer in time) may be over when a caller comes, and ends nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from strands.models import Model
from strands.types.content import Message

from shared.environment_problem import EnvironmentProblem
from shared.log import logger
from shared.provider_errors import classify

LIMIT_SECONDS: Final = 10.0
"""Seconds for the connection or a text model's answer; after them the check ends without a verdict."""

GREETING: Final[Message] = {"role": "user", "content": [{"text": "Answer with the word OK."}]}
"""All that a text model is asked: a few tokens."""


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
        if refused := refusal(error, model.get_config(), "text_model_id"):
            raise refused from error


def refusal(error: Exception, configured: Any, setting: str) -> EnvironmentProblem | None:
    """Return the problem behind an error that no waiting would mend; any other is logged, and None.

    Args:
        error: Of a model that was tried.
        configured: The model's configuration, with its id.
        setting: The setting that chooses another model.
    """
    known = classify(error)
    if known.code != "model_access":
        logger.warning("the model could not be tried", kind=known.kind.value, reason=type(error).__name__)
        return None
    name = configured.get("model_id", "the model") if isinstance(configured, Mapping) else "the model"
    return EnvironmentProblem(
        f"{name} cannot be used: {known.message} ({known.kind.value}). `make preflight` says what is missing; "
        f"the setting {setting} chooses another"
    )
