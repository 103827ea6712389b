"""Both clients of this repository pass all cases, and the judge finds each mutant."""

from __future__ import annotations

import asyncio
import gzip
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conformance.cases import Case, matches, read_cases
from tests.conformance.mutants import MUTANTS
from tests.conformance.running import judge

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = ROOT / "web" / "client" / "dist" / "segue.js"
PYTHON_CLIENT = shlex.join([sys.executable, "-m", "tests.conformance.python_client"])

MOST_BYTES = 25 * 1024
"""Bytes of the library for browsers, minified and compressed."""

FOUND_BY = {
    "shows_repeats": "gap",
    "ignores_order": "order",
    "forgets_input": "new-holder",
    "skips_numbers": "window",
    "speaks_too_early": "greeting",
    "knows_no_window": "window",
    "ignores_reconnect": "reconnect",
}
"""The case that finds a mutant."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def library() -> Path:
    """Build the library."""
    command = ["npx", "vite", "build", "--config", "client/vite.config.ts"]
    built = subprocess.run(command, cwd=ROOT / "web", capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    return LIBRARY


async def test_the_python_client_passes_all_cases() -> None:
    verdict = await judge(PYTHON_CLIENT, read_cases())

    assert verdict.failed == {}
    assert verdict.skipped == {}


async def test_the_typescript_client_passes_all_cases(library: Path) -> None:
    verdict = await judge(shlex.join(["node", str(library.parents[1] / "conformance.mjs")]), read_cases())

    assert verdict.failed == {}
    assert verdict.skipped == {}


def files_of(entry: Path) -> set[Path]:
    """Return a module of the library and all that it imports."""
    found = {entry}
    for name in re.findall(r'(?:from|import) ?"(\.[^"]+)"', entry.read_text()):
        found |= files_of((entry.parent / name).resolve())
    return found


def test_the_library_for_browsers_is_small(library: Path) -> None:
    assert len(files_of(library)) > 1, "it shares code with the module for sound"
    assert sum(len(gzip.compress(path.read_bytes(), 9)) for path in files_of(library)) <= MOST_BYTES


def test_sound_has_modules_of_its_own(library: Path) -> None:
    worklets = [library.parent / "worklets" / f"{name}.js" for name in ("capture", "playback")]

    for worklet in worklets:
        assert "registerProcessor" in worklet.read_text()
    assert "registerProcessor" not in "".join(path.read_text() for path in files_of(library.parent / "audio.js"))


async def test_each_mutant_is_found() -> None:
    assert FOUND_BY.keys() == MUTANTS.keys()
    cases = {case.name: case for case in read_cases()}

    async def survives(name: str) -> bool:
        verdict = await judge(f"{PYTHON_CLIENT} --mutant {name}", [cases[FOUND_BY[name]]], patience=6.0)
        return not verdict.failed

    survivors = [
        name for name, survived in zip(MUTANTS, await asyncio.gather(*map(survives, MUTANTS)), strict=True) if survived
    ]
    # A frame that must not come is waited for a moment only, and comes later on a busy machine: some are tried alone.
    assert [name for name in survivors if await survives(name) and await survives(name)] == []


def test_the_cases_are_told_apart_by_their_names() -> None:
    names = [case.name for case in read_cases()]

    assert len(names) == len(set(names))


def test_a_pattern_ignores_fields_it_does_not_name() -> None:
    frame = {"type": "text", "seq": 1, "beyond": [1, 2], "final": True}

    assert matches({"type": "text", "trace": None, "beyond": [1, 2]}, frame)
    for other in ({"seq": 2}, {"seq": True}, {"final": 1}, {"beyond": [1]}, {"seq": None}, {"lost": 1}):
        assert not matches(other, frame)


def test_a_file_with_an_unknown_step_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('[{"name": "x", "about": "x", "open": {}, "steps": [{"shout": 1}]}]')

    with pytest.raises(ValueError, match="no such step"):
        read_cases(tmp_path)
    assert isinstance(read_cases()[0], Case)
