"""The test invocation of a deployment: a new version shows that it can take turns before texts reach it.

A deployment invokes the new version with an empty event (CDK's trigger sends none other) and moves the alias ``live``
only if that succeeds; otherwise the version before goes on and the stack goes back. See RFC 0021.

By then ``agent.py`` has been imported: ``turn.handler`` does that. A mistake there ends the invocation before this
module.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from strands import Agent

from shared.environment_problem import EnvironmentProblem
from shared.log import logger
from shared.model_access import check_text_access
from shared.provider_errors import Kind, classify

PAUSES_SECONDS: Final = (2.0, 4.0, 8.0, 16.0)
"""Between the tries of a model that refuses: permissions of a role that was just made take some seconds to be known.
With the tries themselves they fit into an invocation."""


async def try_version(build: Callable[[None], Agent], pauses: Sequence[float] = PAUSES_SECONDS) -> dict[str, str]:
    """Build the text agent, and ask its model for a word.

    Args:
        build: ``build_text_agent`` of agent.py.
        pauses: Seconds before each further try of a model that refuses.

    Returns:
        What was tried, for the log of whatever invoked the version.

    Raises:
        EnvironmentProblem: The agent cannot be built, or its model cannot be used.
    """
    try:
        agent = build(None)
    except Exception as error:
        raise EnvironmentProblem(f"build_text_agent of agent.py raises {type(error).__name__}: {error}") from error
    for pause in (*pauses, None):
        try:
            await check_text_access(agent.model)
            break
        except EnvironmentProblem as problem:
            if pause is None or not _may_be_new(problem):
                raise
            logger.info("the model refuses, is tried again", reason=str(problem), seconds=pause)
        await asyncio.sleep(pause)
    return {"agent": agent.name, "model": type(agent.model).__name__}


def _may_be_new(problem: EnvironmentProblem) -> bool:
    """Return true for a refusal that a permission explains which is not known everywhere yet."""
    return problem.__cause__ is not None and classify(problem.__cause__).kind is Kind.ACCESS
