"""A limit fails its test and not the run; a run that stands still is stopped; nothing that it started outlives it."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support.leftovers import MARK
from tests.support.waiting import eventually_sync

ROOT = Path(__file__).resolve().parents[3]
SLEEPER = "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], start_new_session=True).pid"

INI = """
[pytest]
asyncio_mode = auto
asyncio_default_fixture_loop_scope = function
timeout = 1
timeout_method = signal
"""
NAMES = ("pytest_timeout", "pytest_asyncio.plugin", "xdist.plugin", "tests.support.limits", "tests.support.scheduling")
PLUGINS = [part for name in NAMES for part in ("-p", name)]
ONLY_THESE = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
"""Each process would import for half a second what no test here has a use for."""

EXAMPLES_DEADLINE = settings.default.deadline  # type: ignore[attr-defined]  # as modules of tests meet it when they are imported

Run = Callable[..., subprocess.Popen[str]]


def started(folder: Path, module: str, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    """Start pytest on a module of tests, in a folder of its own."""
    head = "import asyncio, os, pathlib, subprocess, sys, threading, time\nimport pytest\n"
    (folder / "test_it.py").write_text(head + textwrap.dedent(module))
    (folder / "pytest.ini").write_text(INI)
    command = [sys.executable, "-m", "pytest", *PLUGINS, "-p", "no:cacheprovider"]
    return subprocess.Popen(
        [*command, "-c", str(folder / "pytest.ini"), *(arguments or ("-n0",)), str(folder)],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name != MARK}
        | {"SEGUE_TEST_AGAIN_S": "0.5", "KEPT": str(folder), **ONLY_THESE}
        | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Start pytest on a module of tests."""
    return functools.partial(started, tmp_path)


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


HANGS = {
    "blocks": "def test_it():\n    time.sleep(600)",
    "waits": "async def test_it():\n    await asyncio.Event().wait()",
    "waits for a thread": "def test_it():\n    threading.Event().wait()",
    "swallows": """
        def test_it():
            try:
                time.sleep(600)
            except BaseException:
                pass
        """,
    "hangs in a finalizer too": """
        @pytest.fixture
        def thing():
            yield
            time.sleep(600)

        def test_it(thing):
            time.sleep(600)
        """,
}


@pytest.mark.slow
@pytest.mark.parametrize("how", HANGS)
def test_a_limit_fails_its_test_and_the_next_one_runs(run: Run, how: str) -> None:
    module = textwrap.dedent(HANGS[how]) + "\n\ndef test_next():\n    pass\n"

    output, _ = (process := run(module)).communicate()

    assert process.returncode == 1, output
    assert "passed its limit" in output
    assert "1 failed, 1 passed" in output


@pytest.mark.slow
def test_a_process_that_nothing_interrupts_is_replaced(run: Run) -> None:
    module = """
        @pytest.mark.parametrize("number", range(4))
        def test_before(number):
            pass

        def test_it():
            while True:
                try:
                    time.sleep(600)
                except BaseException:
                    pass

        @pytest.mark.parametrize("number", range(8))
        def test_next(number):
            pass
        """

    output, _ = (process := run(module, "-n2", "--dist", "loadfile", SEGUE_TEST_AGAIN_S="0.1")).communicate()

    assert process.returncode == 1, output
    assert "1 failed, 12 passed" in output


STANDS_STILL = f"""
    @pytest.mark.timeout(600)
    def test_it():
        pathlib.Path(os.environ["KEPT"], "pid").write_text(str({SLEEPER}))
        time.sleep(600)
    """

Standing = tuple[Path, subprocess.Popen[str]]


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Standing]:
    """Start a run of each kind that stands still. They wait for their limits together."""
    folders = {kind: tmp_path_factory.mktemp("standing") for kind in ("-n0", "-n1")}
    limit = {"SEGUE_TEST_STANDSTILL_S": "8"}
    return {kind: (folder, started(folder, STANDS_STILL, kind, **limit)) for kind, folder in folders.items()}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["-n0", "-n1"])
def test_a_run_that_stands_still_is_stopped(standing: dict[str, Standing], kind: str) -> None:
    folder, process = standing[kind]
    output, _ = process.communicate()

    assert process.returncode == 3, output
    assert "RUN STOPPED" in output
    assert "test_it.py::test_it" in output
    assert not alive(int((folder / "pid").read_text()))


@pytest.mark.slow
def test_a_process_left_by_a_test_is_ended_and_named(run: Run, tmp_path: Path) -> None:
    module = f"""
        def test_it():
            pathlib.Path(os.environ["KEPT"], "pid").write_text(str({SLEEPER}))
        """

    output, _ = (process := run(module)).communicate()

    assert process.returncode == 0, output
    assert "left behind" in output
    assert not alive(int((tmp_path / "pid").read_text()))


@pytest.mark.slow
def test_a_run_that_is_killed_leaves_nothing_behind(run: Run, tmp_path: Path) -> None:
    module = f"""
        @pytest.mark.timeout(600)
        def test_it():
            started = {SLEEPER}
            path = pathlib.Path(os.environ["KEPT"], "pid")
            path.with_suffix(".new").write_text(str(started))
            path.with_suffix(".new").rename(path)
            time.sleep(600)
        """
    process = run(module)
    eventually_sync((tmp_path / "pid").exists)
    process.send_signal(signal.SIGKILL)
    process.communicate()

    eventually_sync(lambda: not alive(int((tmp_path / "pid").read_text())))


def test_examples_of_hypothesis_have_no_deadline_that_a_busy_machine_would_pass() -> None:
    assert EXAMPLES_DEADLINE is None
