"""Lines that a process's JSON logger writes."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator

from aws_lambda_powertools import Logger


@contextlib.contextmanager
def all_lines() -> Iterator[io.StringIO]:
    """Keep what is logged meanwhile, at the level of DEBUG and above: keys and tracebacks too."""
    logger = Logger()  # of one name, and so with one handler
    written, level = io.StringIO(), logger.log_level
    before = logger.registered_handler.setStream(written)
    logger.setLevel("DEBUG")
    try:
        yield written
    finally:
        logger.setLevel(level)
        logger.registered_handler.setStream(before)
