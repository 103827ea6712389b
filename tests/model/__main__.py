"""Search the model of the guard exhaustively, and see that each of its mutants is found.

python -m tests.model            needs spin and a C compiler (Debian: apt-get install spin gcc)
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MODEL = Path(__file__).with_name("segue.pml")
SIZE = ("HOLDERS=3", "ACQUISITIONS=3", "CHANGES=3", "COMMITS=2", "LATE=1")
SEARCHES = ((), ("FOLD",), ("RELEASE",))
"""What is searched to the end. With COLLECT or DELETE the space is too large for that: they are for mutants only."""

MUTANTS = {
    "ACKNOWLEDGED_EARLY": (),
    "ACQUIRE_ANY_BEAT": ("RELEASE",),
    "ACQUIRE_ANY_EPOCH": (),
    "COLLECTED_WHATEVER_EPOCH": ("COLLECT",),
    "COMMIT_AT_ANY_HEAD": (),
    "COMMIT_BEFORE_SEGMENT": (),
    "COMMIT_BY_ANYBODY": (),
    "COMMIT_ID_FIXED": (),
    "DROPPED_BEFORE_COMMIT": ("FOLD",),
    "LIFE_NOT_IN_KEYS": ("DELETE",),
    "LOST_ANSWER_IS_FAILURE": (),
    "PAGE_AFTER_COMMIT": ("FOLD",),
    "REGROUPED": (),
    "RELEASE_KEEPS_EPOCH": ("RELEASE",),
    "REOPENED_BLINDLY": ("RELEASE",),
    "SEGMENT_KEY_REUSED": (),
}
"""Each deliberate fault with what must be modelled to show it."""

MEMORY_MB = 3500
SECONDS = 300


def search(defines: tuple[str, ...]) -> tuple[bool, int]:
    """Search one configuration; return whether an error was found, and how many states were stored.

    Raises:
        RuntimeError: The search could not be made, or did not come to its end.
    """
    with tempfile.TemporaryDirectory() as folder:
        options = [f"-D{define}" for define in (*SIZE, *defines)]
        subprocess.run(["spin", "-a", *options, str(MODEL)], cwd=folder, check=True, capture_output=True)
        compiler = ["gcc", "-O2", "-DSAFETY", "-DCOLLAPSE", f"-DMEMLIM={MEMORY_MB}", "-w", "-o", "pan", "pan.c"]
        subprocess.run(compiler, cwd=folder, check=True, capture_output=True)
        searched = subprocess.run(
            ["./pan", "-m20000"], cwd=folder, check=True, capture_output=True, text=True, timeout=SECONDS
        ).stdout
    errors, states = re.search(r"errors: (\d+)", searched), re.search(r"(\d+) states, stored", searched)
    if errors is None or states is None or "max search depth too small" in searched or "out of memory" in searched:
        raise RuntimeError(f"the search did not come to its end:\n{searched[-2000:]}")
    return errors[1] != "0", int(states[1])


def main() -> int:
    """Print a line a search; the exit code is 1 if the model has an error or a mutant has none."""
    missing = [program for program in ("spin", "gcc") if shutil.which(program) is None]
    if missing:
        print(f"error: {' and '.join(missing)} not found (Debian: apt-get install spin gcc)", file=sys.stderr)
        return 2
    wrong = 0
    cases = [("the protocol", defines, False) for defines in SEARCHES]
    cases += [(f"mutant {name.lower()}", (*defines, f"MUTANT_{name}"), True) for name, defines in MUTANTS.items()]
    for title, defines, expected in cases:
        began = time.monotonic()
        found, states = search(defines)
        verdict = "error found" if found else "no error"
        wrong += found is not expected
        mark = "" if found is expected else "   <- WRONG"
        shown = " ".join(define for define in defines if not define.startswith("MUTANT_"))
        seconds = time.monotonic() - began
        print(f"{title:34} {shown:8} {states:>9,} states  {verdict:12} {seconds:5.1f} s{mark}", flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
