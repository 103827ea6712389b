"""The machinery of ``make model``, on searches of a moment: what holds is seen to hold, and a fault is found."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.model.__main__ import MUTANTS, SMALL_BUILD, CannotRunError, Search, search, tools, verdict

ROOT = Path(__file__).parents[2]

try:
    TOOLS = tools()
    MISSING = ""
except CannotRunError as error:
    TOOLS, MISSING = ("", ""), str(error)

needs_spin = pytest.mark.skipif(bool(MISSING), reason=MISSING)


@needs_spin
def test_a_small_search_comes_to_its_end() -> None:
    spec = Search("two holders", (2, 2, 2, 1, 1), ("RELEASE",))
    found = search(spec, *TOOLS, build=SMALL_BUILD)
    assert verdict(spec, found) == (True, "holds")
    assert found.states > 1000


@needs_spin
def test_a_search_that_is_cut_short_is_no_proof() -> None:
    spec = Search("two holders", (3, 3, 4, 2, 1), ("RELEASE",))
    assert verdict(spec, search(spec, *TOOLS, memory_mb=130, build=SMALL_BUILD)) == (False, "NOT COMPLETE")


@needs_spin
def test_a_mutant_is_found() -> None:
    spec = next(row for row in MUTANTS if row.mutant == "COMMIT_BY_ANY_PROCESS")
    fine, result = verdict(spec, search(spec, *TOOLS))
    assert fine, result


def test_every_fault_that_the_model_knows_is_searched_for() -> None:
    lines = (ROOT / "tests/model/segue.pml").read_text().splitlines()
    conditions = [line for line in lines if line.startswith("#if")]
    known = {word.strip("()") for line in conditions for word in line.replace("(", " (").split() if "MUTANT_" in word}
    assert known == {f"MUTANT_{row.mutant}" for row in MUTANTS}


def test_without_spin_one_line_says_what_to_install(tmp_path: Path) -> None:
    environment = {**os.environ, "PATH": str(tmp_path)}
    command = [sys.executable, "-m", "tests.model"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "error: the model needs spin: install the Debian package 'spin' (apt-get install spin)"
    ]


@needs_spin
def test_without_a_compiler_one_line_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "spin").symlink_to(shutil.which("spin") or "")
    environment = {name: value for name, value in os.environ.items() if name != "CC"} | {"PATH": str(tmp_path)}
    command = [sys.executable, "-m", "tests.model"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "'gcc'" in done.stderr


@pytest.mark.parametrize("left_out", ["", "1"])
def test_ci_fails_without_the_model_unless_it_is_left_out_on_purpose(tmp_path: Path, left_out: str) -> None:
    # A stand-in `make` does nothing, records its targets, and fails for the model. The user may not install packages.
    targets = f'for word; do case "$word" in -*) ;; *) echo "$word" >>{tmp_path}/made ;; esac; done'
    programs = {"make": f'{targets}; [ "$word" != model ]', "id": "echo 1000"}
    for name, body in programs.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "dirname").symlink_to(shutil.which("dirname") or "")
    environment = {"PATH": str(tmp_path), "SEGUE_WITHOUT_MODEL": left_out}
    command = [shutil.which("bash") or "", str(ROOT / ".ci" / "run")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    made = (tmp_path / "made").read_text().split()
    assert (done.returncode == 0, made[-1]) == ((True, "test") if left_out else (False, "model")), done.stderr
    assert "SEGUE_WITHOUT_MODEL=1" in done.stdout
