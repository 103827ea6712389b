"""Interpreters of this machine, the library's wheel, and environments that have it and nothing else of this project."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
UV = ROOT / ".venv" / "bin" / "uv"

PYTHONS = ("3.11", "3.12", "3.13", "3.14")
OLDEST, NEWEST = "1.58.*", "<2"
RELEASES = (OLDEST, "1.60.*", NEWEST)
"""The oldest release of Strands, one between, and the newest before the next major."""

ENVIRONMENT = {**os.environ, "UV_LINK_MODE": os.environ.get("UV_LINK_MODE", "copy"), "PYTHONPATH": ""}


class NotInstalled(Exception):  # noqa: N818 - an outcome of a cell
    """An environment could not be made: the registry is not there, or has no such release."""


def interpreter(version: str) -> Path | None:
    """Find an interpreter of this machine: on the path, under pyenv, or where uv has put one; downloads none."""
    if sys.version.startswith(f"{version}."):
        return Path(sys.executable)
    candidates = [shutil.which(f"python{version}"), *_of_pyenv(version)]
    found = subprocess.run(
        [UV, "python", "find", "--no-project", "--no-python-downloads", version],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
    )
    candidates += [found.stdout.strip()] if found.returncode == 0 else []
    return next((Path(one) for one in candidates if one and _is(Path(one), version)), None)


def _of_pyenv(version: str) -> Iterator[str]:
    folder = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    yield from sorted(str(path) for path in folder.glob(f"{version}.*/bin/python"))


def _is(python: Path, version: str) -> bool:
    """Tell whether an interpreter runs and has the version: a version manager's shim may do neither."""
    asked = [python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    told = subprocess.run(asked, capture_output=True, text=True, check=False, cwd="/")
    return told.returncode == 0 and told.stdout.strip() == version


def wheel(folder: Path) -> Path:
    """Build the library's wheel with the locked build backend."""
    built = [UV, "build", "--quiet", "--wheel", "--no-build-isolation", "--python", sys.executable, "--out-dir", folder]
    subprocess.run([*built, ROOT], check=True, env=ENVIRONMENT)
    (made,) = folder.glob("*.whl")
    return made


def installed(home: Path, python: Path, wheel_path: Path, strands: str | None, *others: str, extras: str = "") -> Path:
    """Make an environment with the wheel and what it needs, and return its interpreter.

    Args:
        home: The environment's folder.
        python: The interpreter.
        wheel_path: The library.
        strands: The release of Strands, as in a requirement: ``1.62.0``, ``1.58.*`` or ``<2``; None takes the newest.
        others: Further requirements.
        extras: Extras of the library, ``[cli,client]``.

    Raises:
        NotInstalled: A package cannot be had.
    """
    subprocess.run([UV, "venv", "--quiet", "--python", python, home], check=True, env=ENVIRONMENT)
    pin = () if strands is None else (f"strands-agents{strands if strands[0] in '<>=~' else '==' + strands}",)
    into = [UV, "pip", "install", "--quiet", "--no-config", "--python", home / "bin" / "python"]
    done = subprocess.run(
        [*into, f"segue{extras} @ {wheel_path.as_uri()}", *pin, *others],
        capture_output=True,
        text=True,
        check=False,
        env=ENVIRONMENT,
        cwd=home,
    )
    if done.returncode:
        raise NotInstalled(done.stderr.strip().splitlines()[0] if done.stderr.strip() else "uv gives no reason")
    return home / "bin" / "python"


def round_trip(python: Path, folder: Path) -> dict[str, str]:
    """Take sessions through an environment; the outcome of each step."""
    script = ROOT / "tests" / "matrix" / "round_trip.py"
    done = subprocess.run(
        [python, "-I", script, folder],
        capture_output=True,
        text=True,
        check=False,
        env=ENVIRONMENT,
        cwd=folder,
        timeout=300,
    )
    steps = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    outcomes = {step["step"]: step["outcome"] for step in steps}
    if done.returncode and all(one == "ok" for name, one in outcomes.items() if name != "nova sonic"):
        outcomes["ended"] = (done.stderr.strip().splitlines() or ["it gives no reason"])[-1]
    return outcomes


def version_of(python: Path, package: str) -> str:
    """Return the version of a package in an environment."""
    asked = [python, "-c", f"import importlib.metadata as m; print(m.version({package!r}))"]
    return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
