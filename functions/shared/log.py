"""The process's JSON logger. Sentences and keys only: no payloads, no tokens."""

from __future__ import annotations

import logging
from typing import Final

from aws_lambda_powertools import Logger
from aws_lambda_powertools.logging.utils import copy_config_to_registered_loggers
from opentelemetry.trace import format_trace_id, get_current_span

logger: Final = Logger()
"""Named by POWERTOOLS_SERVICE_NAME, at the level of LOG_LEVEL."""


def _with_trace_id(record: logging.LogRecord) -> bool:
    """Let a line say which trace it belongs to, if its task works for one."""
    context = get_current_span().get_span_context()
    if context.is_valid:
        record.trace_id = format_trace_id(context.trace_id)
    return True


logger.registered_handler.addFilter(_with_trace_id)


def adopt_libraries() -> None:
    """Send what the libraries warn about through the same formatter, so that every line of the process is JSON."""
    copy_config_to_registered_loggers(
        source_logger=logger, log_level="WARNING", include={"segue", "strands", "aiohttp.server", "asyncio"}
    )
