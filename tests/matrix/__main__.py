"""Print the table: one line for each interpreter and each release of Strands.

python -m tests.matrix                         # all of the supported range
python -m tests.matrix --strands 1.63.0        # one release, with the library's own tests: says what it breaks

Exit code: 0 all passed, 1 one did not, 2 nothing was tried.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.matrix.environments import (
    ENVIRONMENT,
    PYTHONS,
    RELEASES,
    ROOT,
    UV,
    NotInstalled,
    installed,
    interpreter,
    round_trip,
    version_of,
    wheel,
)

TRIED = (
    ["tests/unit/providers/test_contract.py"],
    ["tests/unit/session", "tests/unit/copies", "tests/unit/admin"],
    ["tests/unit/providers", "tests/integration/providers"],
)
"""First the tests that name what is lacking; without that the others may not even be imported."""


def cell(python: Path, strands: str, wheel_path: Path, *, bidi: bool) -> tuple[str, dict[str, str]]:
    """Try one interpreter with one release: the release's exact version, and each step's outcome."""
    with tempfile.TemporaryDirectory() as folder:
        home, sessions = Path(folder) / "environment", Path(folder) / "sessions"
        sessions.mkdir()
        try:
            there = installed(home, python, wheel_path, strands, extras="[bidi]" if bidi else "")
        except NotInstalled as error:
            return strands, {"install": str(error)}
        return version_of(there, "strands-agents"), round_trip(there, sessions)


def fine(outcomes: dict[str, str]) -> bool:
    """Tell whether all steps passed: Nova Sonic's may be refused."""
    return bool(outcomes) and all(outcome == "ok" for name, outcome in outcomes.items() if name != "nova sonic")


def own_tests(version: str) -> bool:
    """Run what this project tests with one release, beside everything else that requirements/dev.txt locks."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "override.txt").write_text(f"strands-agents=={version}\n")
        python = home / "bin" / "python"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", home], check=True)
        options = ["--quiet", "--no-verify-hashes", "--override", home / "override.txt"]
        install = [UV, "pip", "install", "--python", python, *options, "-r", ROOT / "requirements" / "dev.txt"]
        subprocess.run(install, check=True, cwd=ROOT, env=ENVIRONMENT)
        pytest = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--no-cov"]
        return all(subprocess.run([*pytest, *tests], check=False, cwd=ROOT).returncode == 0 for tests in TRIED)


def main() -> int:
    """Try what was asked for, and print a line as soon as it is known."""
    options = argparse.ArgumentParser(prog="python -m tests.matrix", description=__doc__.splitlines()[0])
    options.add_argument("--strands", nargs="*", default=[], metavar="VERSION", help="releases; default: the range")
    options.add_argument("--python", nargs="*", default=[], metavar="3.X", help="interpreters; default: 3.11 to 3.14")
    asked = options.parse_args()
    releases, passed, tried = asked.strands or RELEASES, True, 0
    print(f"{'Python':8}{'Strands':10}{'outcome':10}details", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        built = wheel(Path(folder))
        for version in asked.python or PYTHONS:
            python = interpreter(version)
            if python is None:
                print(f"{version:8}{'':10}{'absent':10}no such interpreter on this machine: NOT TRIED", flush=True)
                continue
            for release in releases:
                exact, outcomes = cell(python, release, built, bidi=True)
                tried, passed = tried + 1, passed and fine(outcomes)
                told = "; ".join(f"{name}: {outcome}" for name, outcome in outcomes.items() if outcome != "ok")
                print(f"{version:8}{exact:10}{'passes' if fine(outcomes) else 'BREAKS':10}{told}", flush=True)
    for release in asked.strands:
        print(f"the project's own tests with strands-agents {release}:", flush=True)
        passed &= own_tests(release)
    return 2 if not tried else not passed


if __name__ == "__main__":
    sys.exit(main())
