"""Search the protocol's model exhaustively, and see that each deliberate fault in it is found.

python -m tests.model            # what has to pass, about a minute on two cores
python -m tests.model --deep     # larger bounds, for a night
python -m tests.model commit     # only the rows whose name contains this

Needs spin (Debian package ``spin``) and a C compiler. Exit code: 0 all as expected, 1 not, 2 cannot run.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

MODEL = Path(__file__).with_name("segue.pml")
NICE = 5
"""Niceness of the searches: two fill all cores, and give way to mypy beside them in ``.ci/run``, which has one only."""

MEMORY_MB = 3500
"""Memory limit of one search, in MB; two run side by side."""

DEPTH = 20_000

SMALL_BUILD = ("-O0",)
"""The compiler's options of a search of a moment, as that for a mutant is: it takes longer to optimise than to run."""

BUILD = ("-O2",)
DEEP_BUILD = ("-O2", "-DCOLLAPSE")
"""States are compressed, without loss: they take a third of the memory, and half as much time again."""


@dataclass(frozen=True)
class Search:
    """One build of the model.

    Attributes:
        name: What it shows.
        bounds: (holders, acquisitions, epochs, commits, requests that may be late at once).
        features: What may happen besides acquiring, committing, taking over and crashing.
        mutant: The deliberate fault that has to be found; None: there must be nothing to find.
    """

    name: str
    bounds: tuple[int, int, int, int, int]
    features: tuple[str, ...] = ()
    mutant: str | None = None

    @property
    def definitions(self) -> list[str]:
        """The model's macros."""
        names = ("HOLDERS", "ACQUISITIONS", "EPOCHS", "COMMITS", "LATE")
        values = [f"-D{name}={value}" for name, value in zip(names, self.bounds, strict=True)]
        mutant = [f"-DMUTANT_{self.mutant}"] if self.mutant else []
        return [*values, *(f"-D{feature}" for feature in self.features), *mutant]


PROTOCOL = (
    Search("takeovers, releases and pages", (3, 3, 4, 2, 1), ("RELEASE", "FOLD")),
    Search("several requests late", (3, 3, 3, 2, 2), ("RELEASE",)),
    Search("page after page", (3, 3, 3, 3, 1), ("FOLD",)),
    Search("orphans collected", (3, 3, 3, 2, 1), ("COLLECT",)),
    Search("orphans collected among pages", (3, 3, 3, 2, 1), ("FOLD", "COLLECT")),
    Search("deleted and begun anew", (3, 3, 4, 2, 1), ("DELETE",)),
    Search("deleted among releases and pages", (3, 3, 3, 2, 1), ("RELEASE", "FOLD", "DELETE")),
)

DEEP = (
    Search("many acquisitions", (3, 4, 5, 3, 1), ("RELEASE",)),
    Search("four holders", (4, 4, 4, 2, 1), ("RELEASE",)),
    Search("several requests late", (3, 3, 4, 2, 2), ("RELEASE",)),
    Search("pages, several requests late", (3, 3, 3, 3, 2), ("FOLD",)),
    Search("page after page, released", (3, 3, 4, 3, 1), ("RELEASE", "FOLD")),
    Search("orphans collected among releases", (3, 3, 3, 2, 1), ("RELEASE", "COLLECT")),
    Search("orphans collected, page after page", (3, 3, 3, 3, 1), ("FOLD", "COLLECT")),
    Search("orphans collected, deleted and begun anew", (3, 3, 3, 2, 1), ("RELEASE", "COLLECT", "DELETE")),
    Search("deleted, released, page after page", (3, 3, 4, 2, 1), ("RELEASE", "FOLD", "DELETE")),
    Search("everything", (3, 3, 3, 2, 1), ("RELEASE", "FOLD", "COLLECT", "DELETE")),
)

_SMALL = (2, 2, 3, 2, 1)

MUTANTS = (
    Search("commit without the holder clause", _SMALL, mutant="COMMIT_BY_ANY_PROCESS"),
    Search("commit without the head clause", _SMALL, mutant="COMMIT_AT_ANY_HEAD"),
    Search("acquire without the exact epoch", _SMALL, mutant="ACQUIRE_ANY_EPOCH"),
    Search("acquire without the beat", _SMALL, ("RELEASE",), "ACQUIRE_ANY_BEAT"),
    Search("release without raising the epoch", _SMALL, ("RELEASE",), "RELEASE_KEEPS_EPOCH"),
    Search("reopened without looking what was left", _SMALL, ("RELEASE",), "REOPENED_BLINDLY"),
    Search("segment key used again", _SMALL, mutant="SEGMENT_KEY_REUSED"),
    Search("commit before its segment is there", _SMALL, mutant="COMMIT_BEFORE_SEGMENT"),
    Search("acknowledged before the commit", _SMALL, mutant="ACKNOWLEDGED_EARLY"),
    Search("regrouped while the outcome is unknown", _SMALL, mutant="REGROUPED"),
    Search("lost answer taken for a failure", _SMALL, mutant="LOST_ANSWER_IS_FAILURE"),
    Search("commit id fixed", _SMALL, mutant="COMMIT_ID_FIXED"),
    Search("page counted before it is written", _SMALL, ("FOLD",), "PAGE_AFTER_COMMIT"),
    # One commit to fold, one that puts the page and loses, one that folds it after all.
    Search("page replaced whatever is there", (2, 2, 3, 3, 1), ("FOLD",), "PAGE_UNCONDITIONAL"),
    Search("segments dropped before the commit", _SMALL, ("FOLD",), "DROPPED_BEFORE_COMMIT"),
    Search("collected whatever the epoch", _SMALL, ("COLLECT",), "COLLECTED_WHATEVER_EPOCH"),
    Search("uncommitted pages deleted", _SMALL, ("FOLD", "COLLECT"), "UNCOMMITTED_PAGES_DELETED"),
    Search("deleted though something was committed since", _SMALL, ("DELETE",), "BURY_AT_ANY_HEAD"),
    Search("life not in the keys", _SMALL, ("DELETE",), "LIFE_NOT_IN_KEYS"),
)
"""Searches for faults, within bounds in which the protocol itself holds: ``PROTOCOL`` searches each of them."""


@dataclass(frozen=True)
class Found:
    """Result of a search.

    Attributes:
        states: How many different states there are.
        complete: Whether all of them were seen.
        error: The first assertion that failed, or None.
        seconds: How long it took, building included.
    """

    states: int
    complete: bool
    error: str | None
    seconds: float


class CannotRunError(Exception):
    """Raised when a tool is missing, or the model cannot be built."""


def tools() -> tuple[str, str]:
    """Find spin and a C compiler.

    Raises:
        CannotRunError: One is not there.
    """
    spin = shutil.which("spin")
    if spin is None:
        raise CannotRunError("the model needs spin: install the Debian package 'spin' (apt-get install spin)")
    for name in (os.environ.get("CC", ""), "cc", "gcc", "clang"):
        if name and (compiler := shutil.which(name)):
            return spin, compiler
    raise CannotRunError("the model needs a C compiler: install the Debian package 'gcc' (apt-get install gcc)")


def search(spec: Search, spin: str, compiler: str, memory_mb: int = MEMORY_MB, build: Sequence[str] = BUILD) -> Found:
    """Build one search in a directory of its own and run it.

    Args:
        spec: What to search.
        spin: Path of spin.
        compiler: Path of a C compiler.
        memory_mb: Megabytes that it may take.
        build: Options of the compiler.

    Raises:
        CannotRunError: The model cannot be built.
    """
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="segue-model-") as directory:
        _run([spin, "-a", *spec.definitions, str(MODEL)], directory)
        # Safety properties only; an exact search.
        options = ["-DSAFETY", f"-DMEMLIM={memory_mb}", "-w"]
        _run([compiler, *(SMALL_BUILD if spec.mutant else build), *options, "-o", "pan", "pan.c"], directory)
        output = _run(["./pan", f"-m{DEPTH}"], directory)
    failed = re.search(r"^pan:\d+: (.*) \(at depth \d+\)", output, re.MULTILINE)
    states = re.search(r"^\s*([\d.e+]+) states, stored", output, re.MULTILINE)
    cut_short = re.search(r"max search depth too small|Search not completed|reached -DMEMLIM|out of memory", output)
    return Found(
        states=int(float(states[1])) if states else 0,
        complete=bool(states) and not cut_short,
        error=failed[1] if failed else None,
        seconds=time.monotonic() - began,
    )


def _run(command: list[str], directory: str) -> str:
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    if done.returncode != 0 and command[0] != "./pan":
        lines = (done.stdout + done.stderr).strip().splitlines()
        raise CannotRunError(f"{Path(command[0]).name} failed: {lines[-1] if lines else done.returncode}")
    return done.stdout + done.stderr


def verdict(spec: Search, found: Found) -> tuple[bool, str]:
    """Return whether a search ended as it has to, and how it ended."""
    if spec.mutant:
        noticed = found.error is not None and found.error.startswith("assertion violated")
        return noticed, f"found: {found.error}" if found.error else "NOT FOUND"
    if found.error:
        return False, f"BROKEN: {found.error}"
    return found.complete, "holds" if found.complete else "NOT COMPLETE"


def main() -> int:
    """Run the searches, two side by side, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m tests.model", description=__doc__.splitlines()[0])
    parser.add_argument("part", nargs="?", default="", help="only rows whose name contains this")
    parser.add_argument("--deep", action="store_true", help="larger bounds, instead: hours, not minutes")
    parser.add_argument(
        "--memory", type=int, default=MEMORY_MB, metavar="MB", help="MB that each search may take; default: %(default)s"
    )
    arguments = parser.parse_args()
    os.nice(NICE)
    rows = [row for row in (DEEP if arguments.deep else PROTOCOL + MUTANTS) if arguments.part in row.name]
    bad = 0
    try:
        spin, compiler = tools()
        print(f"{'holders/acquisitions/epochs/commits/late':<62}{'states':>12}{'seconds':>9}  result", flush=True)
        with ThreadPoolExecutor(max_workers=2) as pool:
            build = DEEP_BUILD if arguments.deep else BUILD
            results = pool.map(lambda row: search(row, spin, compiler, arguments.memory, build), rows)
            for row, found in zip(rows, results, strict=True):
                fine, result = verdict(row, found)
                bad += not fine
                name = f"{'mutant: ' if row.mutant else ''}{row.name} {'/'.join(map(str, row.bounds))}"
                print(f"{name:<62}{found.states:>12,}{found.seconds:>9.1f}  {result}", flush=True)
    except CannotRunError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{len(rows) - bad} of {len(rows)} as expected")
    return 1 if bad or not rows else 0


if __name__ == "__main__":
    sys.exit(main())
