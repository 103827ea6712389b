"""The types and the unit tests of web/, which are TypeScript and have runners of their own."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

WEB = Path(__file__).resolve().parents[3] / "web"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def run(*command: str) -> None:
    done = subprocess.run(["npm", "run", "--silent", *command], cwd=WEB, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-4000:]


def test_the_types_are_right() -> None:
    run("check")


def test_the_unit_tests_pass() -> None:
    run("test")
