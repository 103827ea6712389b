"""Long files are dealt out first, with light ones between them; everything is dealt out once.

A run of all tests has processes for those that wait beside those that compute.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from tests.support.leftovers import MARK
from tests.support.scheduling import (
    COMPUTES,
    DEPLOYS,
    PLACES,
    WAITS,
    has_tests_for,
    kind_of_test,
    pytest_cmdline_main,
    spread,
)

ROOT = Path(__file__).resolve().parents[3]


def test_heavy_files_are_spread_among_the_light_ones() -> None:
    assert list(spread("AB", "12345678")) == list("A123B45678")
    assert list(spread("ABC", "1")) == list("A1BC")
    assert list(spread("", "12")) == list("12")


PLUGINS = ["-p", "xdist.plugin", "-p", "tests.support.scheduling"]

FILES = {
    "tests/e2e/test_deployed.py": """
        def test_first(): pass
        def test_ends_its_process(): os._exit(1)
        def test_last(): pass
        """,
    "tests/integration/test_deployment.py": "def test_deploys(): pass",
    "tests/integration/test_lease.py": "def test_waits(): pass",
    "tests/integration/providers/test_fakes.py": "def test_waits(): pass",
    "tests/unit/test_sum.py": "def test_one(): pass\ndef test_two(): pass",
    "tests/simulation/test_seeds.py": "def test_seed(): pass",
    "tests/infra/test_app.py": "def test_stack(): pass",
    "tests/infra/test_auth.py": "def test_stack(): pass",
}


def test_pytest_collects_each_test_folder_in_processes_of_its_kind() -> None:
    assert all((ROOT / place).exists() for places in PLACES.values() for place in places)
    files = [path.relative_to(ROOT) for path in (ROOT / "tests").rglob("test_*.py")]
    kinds = {file: kind_of_test(file.as_posix()) for file in files}
    assert set(kinds.values()) == {COMPUTES, DEPLOYS, WAITS}
    for file, kind in kinds.items():
        folders = [f"{folder.as_posix()}/" for folder in file.parents if folder.name]
        assert [folder for folder in folders if not has_tests_for(folder, kind)] == [], file


@pytest.mark.slow
def test_all_tests_are_run_each_by_a_process_of_its_kind(tmp_path: Path) -> None:
    for name, module in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"import os\n{re.sub('^ {8}', '', module, flags=re.MULTILINE)}")
    (tmp_path / "pytest.ini").write_text("[pytest]\ntestpaths = tests\naddopts = --import-mode=importlib\n")
    command = [sys.executable, "-m", "pytest", *PLUGINS, "-p", "no:cacheprovider", "-v", "-n1"]
    environment = {name: value for name, value in os.environ.items() if name not in {MARK, "PYTEST_ADDOPTS"}}

    done = subprocess.run(
        [*command, "--dist", "loadfile"],
        cwd=tmp_path,
        env={**environment, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )

    ran = re.findall(r"\[(gw\d+)\] \[ *(\d+)%\] (PASSED|FAILED) tests/(\S+)", done.stdout)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "1 failed, 10 passed" in done.stdout, done.stdout
    assert len({name for *_, name in ran}) == 11, done.stdout
    processes: dict[str, set[str]] = {}
    for process, _, _, name in ran:
        processes.setdefault(kind_of_test(f"tests/{name}"), set()).add(process)
    assert processes[COMPUTES] == {"gw0"}
    assert processes[WAITS] == {"gw2"}
    assert processes[DEPLOYS] == {"gw1", "gw3"}, "and the one that took the place of the one that ended"
    assert max(int(percent) for _, percent, *_ in ran) == 100


@pytest.mark.parametrize(
    ("told", "source", "dist", "run"),
    [
        (2, pytest.Config.ArgsSource.TESTPATHS, "loadfile", 6),
        (4, pytest.Config.ArgsSource.TESTPATHS, "loadfile", 10),
        (1, pytest.Config.ArgsSource.TESTPATHS, "loadfile", 3),
        (16, pytest.Config.ArgsSource.TESTPATHS, "loadfile", 30),
        (2, pytest.Config.ArgsSource.ARGS, "loadfile", 2),
        (2, pytest.Config.ArgsSource.TESTPATHS, "load", 2),
        (0, pytest.Config.ArgsSource.TESTPATHS, "loadfile", 0),
        (None, pytest.Config.ArgsSource.TESTPATHS, "no", None),
    ],
)
def test_processes_that_wait_are_those_of_a_run_of_all_tests(
    told: int | None, source: object, dist: str, run: object
) -> None:
    option = SimpleNamespace(numprocesses=told, maxprocesses=None, dist=dist)
    plugins = SimpleNamespace(register=lambda *_: None)

    pytest_cmdline_main(
        cast("pytest.Config", SimpleNamespace(option=option, args_source=source, pluginmanager=plugins))
    )

    assert option.numprocesses == run
