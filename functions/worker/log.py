"""The process's JSON logger. Sentences and keys only: no payloads, no tokens."""

from __future__ import annotations

from typing import Final

from aws_lambda_powertools import Logger
from aws_lambda_powertools.logging.utils import copy_config_to_registered_loggers

logger: Final = Logger()
"""Named by POWERTOOLS_SERVICE_NAME, at the level of LOG_LEVEL."""


def adopt_libraries() -> None:
    """Send what the libraries warn about through the same formatter, so that every line of the process is JSON."""
    copy_config_to_registered_loggers(
        source_logger=logger, log_level="WARNING", include={"segue", "strands", "aiohttp.server", "asyncio"}
    )
