"""Runs programs in forks of an interpreter that has imported what takes a second. Each ends as an interpreter does.

A job is a line of JSON on stdin: the program, its arguments, its environment and where its output goes. The answer is
a line with its exit code.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import strands.bidi  # noqa: F401 - takes a second

from tests.support import fake_model, memory_manager, scripted_model  # noqa: F401


def serve() -> dict[str, Any] | None:
    """Return a job in each child, and None in the parent, at the end."""
    for line in sys.stdin:
        if not (child := os.fork()):
            job: dict[str, Any] = json.loads(line)
            return job
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()
    return None


if __name__ == "__main__" and (job := serve()) is not None:
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for descriptor, name in enumerate(job["output"], start=1):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT), descriptor)
    os.environ.update(job["environment"])
    sys.argv[1:] = job["arguments"]
    exec(compile(job["program"], "program", "exec"))
