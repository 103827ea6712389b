"""A release of Strands that lacks a name that Segue needs is refused at the import, in one line."""

from __future__ import annotations

import subprocess
import sys

import pytest

from segue.strands.private import NEEDED, missing

RENAMED = """
from strands.agent._concurrency import _ConcurrencyController
del _ConcurrencyController.release_lock
import segue.strands.manager
"""


def test_this_release_has_all_names() -> None:
    assert missing() == []


@pytest.mark.parametrize(
    "name",
    [
        "strands.none:Agent",
        "strands.agent.agent:NoAgent",
        "strands.agent.agent:Agent.__init__._renamed",
        "strands.hooks.events:BeforeToolCallEvent._renamed",
    ],
)
def test_a_name_that_is_not_there_is_missing(name: str) -> None:
    assert missing((*NEEDED, name)) == [name]


@pytest.mark.slow
def test_the_import_says_in_one_line_what_is_missing() -> None:
    done = subprocess.run([sys.executable, "-c", RENAMED], capture_output=True, text=True, timeout=100, check=False)

    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: strands-agents 1.")
    assert "lacks strands.agent._concurrency:_ConcurrencyController.release_lock: pip install 'strands-" in last
