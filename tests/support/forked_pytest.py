"""Several processes of pytest, forked from one that has imported what takes seconds to import.

    python -m tests.support.forked_pytest PROCESSES ARGUMENT…    the arguments are pytest's, the same for each process

They share a queue of test files (``work_queue``). What the first prints is seen at once, the others' output follows.
"""

from __future__ import annotations

import gc
import importlib
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from typing import IO, Any

import pytest

IMPORTED = (
    *("boto3", "moto.backends", "moto.dynamodb.responses", "moto.s3.responses", "s3transfer.manager"),
    *("strands.bidi", "strands.multiagent"),
    *("aiohttp.test_utils", "aiohttp.web", "click.testing", "websockets.asyncio.server"),
    *("segue.cli.app", "segue.testing", "turn.handler", "worker.app"),
)
"""Modules that many test files import. None starts a thread: threads do not survive a fork."""


def import_modules() -> None:
    """Import what all processes need, and spare their collections of garbage it."""
    gc.disable()
    for name in IMPORTED:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    gc.enable()


def run_forked(arguments: Sequence[str], output: IO[Any]) -> int:
    """Fork a process that runs pytest and ends; return its id."""
    if process := os.fork():
        return process
    for stream in (sys.stdout, sys.stderr):
        os.dup2(output.fileno(), stream.fileno())
    sys.exit(pytest.main(list(arguments)))


def main(count: int, arguments: Sequence[str]) -> int:
    """Run pytest in so many processes; return the code of the first that has failed, or 0."""
    import_modules()
    sys.stdout.flush()
    outputs = [tempfile.TemporaryFile() for _ in range(count - 1)]  # noqa: SIM115 - they end with this process
    others = [run_forked(arguments, output) for output in outputs]
    codes = [int(pytest.main(list(arguments)))]
    for process, output in zip(others, outputs, strict=True):
        codes.append(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]))
        sys.stdout.flush()
        output.seek(0)
        shutil.copyfileobj(output, sys.stdout.buffer)
        sys.stdout.flush()
    return next((code for code in codes if code), 0)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
