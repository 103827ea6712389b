"""``python -m worker``: run one worker until it is told to stop."""

from __future__ import annotations

import asyncio
import sys

from segue import StorageRefused
from shared.environment_problem import EnvironmentProblem
from shared.log import adopt_libraries, logger
from worker.app import Service
from worker.aws.signing import CredentialsMissing
from worker.settings import Environment
from worker.telemetry.tracing import configure


async def main() -> None:
    """Read the environment and serve."""
    configure()
    await Service(Environment.read()).run()


if __name__ == "__main__":
    adopt_libraries()
    try:
        asyncio.run(main())
    except (EnvironmentProblem, CredentialsMissing, StorageRefused) as problem:
        logger.error(str(problem))
        sys.exit(2)
    except Exception:  # noqa: BLE001 - the last words of the process, in the same form as all others
        logger.exception("the worker failed and ends")
        sys.exit(1)
