"""The local stack in a folder of its own, by its command line, as a plugin of pytest.

A deployment takes twenty seconds of processor time, so the modules that only talk to a stack share one: the fixture
``local_stack``. It is put up for the first test that asks for it, and taken down before a test that does not.
``tests.support.scheduling`` has these modules run one after another, in one process.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from infra.constants import ROOT
from local.settings import Settings
from tests.support.waiting import eventually_sync

UP_SECONDS, DOWN_SECONDS = 320.0, 120.0

WORKERS = 2


def command(home: Path, *, forked: bool = True) -> list[str]:
    """Return the command line of a stack in a folder; forked workers take a third of the time to start."""
    return [sys.executable, "-m", "local", "--home", str(home), *(["--forked"] if forked else [])]


@contextmanager
def deployed(command: Sequence[str], *options: str) -> Iterator[dict[str, Any]]:
    """Deploy and run a stack of the test's own; what ``up`` says of it.

    Args:
        command: ``python -m local``, with the folder.
        *options: Of ``up``.
    """
    up = [*command, "up", "--detach", "--json", *options]
    started = subprocess.run(up, cwd=ROOT, capture_output=True, text=True, timeout=UP_SECONDS, check=False)
    assert started.returncode == 0, started.stdout + started.stderr
    try:
        yield json.loads(started.stdout)
    finally:
        subprocess.run([*command, "down"], cwd=ROOT, capture_output=True, timeout=DOWN_SECONDS, check=False)


_shared: pytest.StashKey[LocalStack] = pytest.StashKey()


class LocalStack:
    """A local stack with both ways in, and two workers.

    Attributes:
        home: Its folder.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self._up = False

    def up(self) -> None:
        """Deploy and run it. If it runs, wait until its workers do: the module before may have killed some."""
        if self._up:
            eventually_sync(self._complete, 60)
            return
        self._up = True
        try:
            self.run("up", "--detach", "--transport", "both", "--workers", str(WORKERS), seconds=UP_SECONDS)
        except BaseException:
            self.down()  # something may have been started
            raise

    def down(self) -> None:
        """Stop it, if it was put up."""
        if self._up:
            self._up = False
            subprocess.run(self.command("down"), cwd=ROOT, capture_output=True, timeout=DOWN_SECONDS, check=False)

    def command(self, *arguments: str) -> list[str]:
        """Return a command of the local stack."""
        return [*command(self.home), *arguments]

    def run(self, *arguments: str, seconds: float = 300) -> str:
        """Run a command of the local stack to its end, and return what it printed."""
        done = subprocess.run(
            self.command(*arguments), cwd=ROOT, capture_output=True, text=True, timeout=seconds, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def link(self, *arguments: str) -> str:
        """Return another link to the page."""
        return self.run("link", *arguments).strip()

    def facts(self) -> dict[str, Any]:
        """Return the answer of ``status``."""
        from local.stack import control, run_file  # not in each process of a run

        return asyncio.run(control.Client(run_file.require(replace(Settings(), home=self.home))).status())

    @contextmanager
    def redeploying(self) -> Iterator[None]:
        """Redeploy meanwhile, and wait for its end."""
        process = subprocess.Popen(
            self.command("redeploy"), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        try:
            yield
            output, _ = process.communicate(timeout=300)
            assert process.returncode == 0, output
        finally:
            process.kill()
            process.communicate()

    def _complete(self) -> bool:
        answering = [worker for worker in self.facts()["workers"] if worker["answers"] and not worker["draining"]]
        return len(answering) == WORKERS


@pytest.fixture(scope="session")
def shared_local_stack(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[LocalStack]:
    """The stack of this process; whether it runs is the affair of ``local_stack``."""
    stack = pytestconfig.stash[_shared] = LocalStack(tmp_path_factory.mktemp("stack"))
    yield stack
    stack.down()


@pytest.fixture(scope="module")
def local_stack(shared_local_stack: LocalStack) -> LocalStack:
    """A stack that runs, with all its workers; other modules have left sessions in it."""
    shared_local_stack.up()
    return shared_local_stack


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """Take the stack down once no test needs it: its processes would cost the others time."""
    try:
        return (yield)
    finally:
        stack = item.config.stash.get(_shared, None)
        within_module = nextitem is not None and nextitem.path == item.path  # whose fixture puts it up once
        if stack is not None and not within_module and "local_stack" not in getattr(nextitem, "fixturenames", ()):
            stack.down()
