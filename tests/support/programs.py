"""Whole programs that a test runs, each in an interpreter of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import textwrap
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

OPENING = """
import asyncio, contextlib, gc, os, sys, threading, time
from strands import Agent
from strands.bidi import BidiAgent
from segue import GuardedFileSessionManager, GuardedS3SessionManager
from tests.support.fake_model import FakeModel
from tests.support.scripted_model import ScriptedModel
"""


@dataclass(frozen=True)
class Ended:
    """A program that has ended."""

    code: int
    stdout: str
    stderr: str


class Programs:
    """Runs one program after the other."""

    def __init__(self) -> None:
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.support.program_server"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )

    def __call__(self, program: str, *arguments: object, code: int = 0, **environment: str) -> Ended:
        """Run a program to its end, and check its exit code. It has what ``OPENING`` imports, and its arguments."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        with tempfile.TemporaryDirectory() as directory:
            output = [str(Path(directory, name)) for name in ("stdout", "stderr")]
            job = {
                "program": OPENING + textwrap.dedent(program),
                "arguments": [str(argument) for argument in arguments],
                "environment": environment,
                "output": output,
            }
            self._server.stdin.write(f"{json.dumps(job)}\n")
            self._server.stdin.flush()
            ended = Ended(int(self._server.stdout.readline()), *(Path(name).read_text() for name in output))
        assert ended.code == code, ended.stderr
        return ended

    def end(self) -> None:
        """End the server."""
        with self._server:
            assert self._server.stdin is not None
            self._server.stdin.close()
