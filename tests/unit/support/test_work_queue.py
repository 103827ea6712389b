"""Each file of a queue is run once, by one of the processes that share it, whatever is wrong with the others."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.support.leftovers import MARK
from tests.support.waiting import PATIENCE_SECONDS, eventually_sync
from tests.support.work_queue import take

ROOT = Path(__file__).resolve().parents[3]

CONFTEST = """
import pytest

@pytest.fixture(scope="session", autouse=True)
def begun():
    print("begun")
    yield
    print("ended")
"""
OF_A_FOLDER = """
import pytest

@pytest.fixture
def here(): pass
"""
MODULE = """
import pytest

def test_passes(here): pass

@pytest.mark.parametrize("number", [1, 2])
def test_twice(number): pass

@pytest.mark.slow
def test_slow(): raise AssertionError
"""


def test_a_queue_gives_each_file_once_and_few_at_its_end(tmp_path: Path) -> None:
    names = [f"tests/unit/test_{number}.py" for number in range(100)]
    queue = tmp_path / "queue"
    queue.write_text("\n".join(names))

    taken = [take(queue) for _ in range(100)]

    assert [name for share in taken for name in share] == names
    counts = [len(share) for share in taken if share]
    assert counts == sorted(counts, reverse=True)
    assert (counts[0], counts[-1]) == (5, 1)
    assert taken[-1] == []


WAITS = """
import pathlib, time

def test_waits(here):
    pathlib.Path("waits").touch()
    while pathlib.Path("waits").exists():
        time.sleep(0.02)
"""


def test_a_queue_that_is_gone_is_empty(tmp_path: Path) -> None:
    assert take(tmp_path / "queue") == []


def prepare(folder: Path, modules: dict[str, str]) -> list[str]:
    """Write modules and their queue; return the command that runs them."""
    (folder / "pytest.ini").write_text("[pytest]\naddopts = --import-mode=importlib\nmarkers =\n    slow\n")
    for name, text in modules.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.with_name("conftest.py").write_text(OF_A_FOLDER)
        path.write_text(text)
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "queue").write_text("\n".join(modules))
    plugins = ["-p", "tests.support.work_queue", "-p", "no:cacheprovider", f"--queue={folder / 'queue'}"]
    return [sys.executable, "-m", "pytest", *plugins, "-s", "-v", "-m", "not slow"]


def start(folder: Path, command: list[str]) -> subprocess.Popen[str]:
    kept = {name: value for name, value in os.environ.items() if name not in {MARK, "PYTEST_ADDOPTS"}}
    return subprocess.Popen(
        command,
        cwd=folder,
        env={**kept, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


FORKED = """
import sys
import os
from tests.support import forked_pytest

os.environ["FIRST"] = str(os.getpid())
forked_pytest.IMPORTED = ("json",)
sys.exit(forked_pytest.main(2, sys.argv[1:]))
"""


@pytest.mark.slow
def test_each_test_is_run_by_one_of_the_processes(tmp_path: Path) -> None:
    modules = {f"{folder}/test_{number}.py": MODULE for number in range(6) for folder in ("even", "odd")}
    modules["odd/test_broken.py"] = "import a_module_that_is_not_there"
    modules["odd/test_fails.py"] = "def test_fails(): raise AssertionError"
    python, _, _, *arguments = prepare(tmp_path, modules)

    process = start(tmp_path, [python, "-c", FORKED, *arguments])
    output = process.communicate()[0]

    ran = Counter(re.findall(r"(\w+/test_\S+::\S+) (?:begun\s+)?PASSED", output))
    assert len(ran) == 36
    assert set(ran.values()) == {1}, ran
    assert output.count("ERROR odd/test_broken.py") == 1
    assert output.count("FAILED odd/test_fails.py") == 1
    assert process.returncode == 1
    assert output.count("test session starts") == 2, "the output of both processes is shown"
    assert output.count("begun") == output.count("ended") <= 2, "a session's fixtures live through all its files"


PASSES_IN_THE_FIRST = """
import os, pathlib, time

def test_passes_in_the_first(here):
    pathlib.Path(f"began-{os.getpid()}").touch()
    while len(list(pathlib.Path().glob("began-*"))) < 2:
        time.sleep(0.02)
    assert os.environ["FIRST"] == str(os.getpid())
"""


@pytest.mark.slow
def test_a_failure_in_a_forked_process_fails_the_run(tmp_path: Path) -> None:
    # Each process takes two: the next one is taken before a test is run.
    python, _, _, *arguments = prepare(tmp_path, {f"some/test_{number}.py": PASSES_IN_THE_FIRST for number in range(4)})

    process = start(tmp_path, [python, "-c", FORKED, *arguments])
    output = process.communicate()[0]

    assert re.findall(r"(\d) (passed|failed)", output) == [("2", "passed"), ("2", "failed")]
    assert process.returncode == 1


@pytest.mark.slow
def test_a_process_that_comes_too_late_has_not_failed(tmp_path: Path) -> None:
    process = start(tmp_path, prepare(tmp_path, {}))
    process.communicate()
    assert process.returncode == 0


@pytest.mark.slow
def test_an_interrupt_ends_a_process_that_a_shell_has_started_in_the_background(tmp_path: Path) -> None:
    command = prepare(tmp_path, {f"some/test_{name}.py": MODULE for name in ("next", "last")})
    (tmp_path / "some" / "test_waits.py").write_text(WAITS)
    (tmp_path / "queue").write_text("some/test_waits.py\nsome/test_next.py\nsome/test_last.py")

    process = start(tmp_path, ["sh", "-c", "trap '' INT; exec \"$@\"", "sh", *command])
    try:
        eventually_sync((tmp_path / "waits").exists)
        process.send_signal(signal.SIGINT)
        output = process.communicate(timeout=PATIENCE_SECONDS)[0]
    finally:
        process.kill()
        process.wait()

    assert process.returncode == pytest.ExitCode.INTERRUPTED
    assert "ended" in output, "the fixtures of the session were finished"
    assert (tmp_path / "queue").read_text() == "some/test_last.py", "the next one is taken before a test is run"
