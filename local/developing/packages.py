"""A package of PyPI for the agent: a line in requirements/agent.in, and the locks that include it made anew.

agent.in ──▶ worker.txt   the workers' image
         ──▶ turn.txt     the text function's layer
         ──▶ dev.txt      the local environment
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from local.errors import LocalError
from local.settings import Settings

LOCKS = ("worker", "turn", "dev")
"""In the order in which each is held to the one before it."""

OPTIONS = (
    "--quiet", "--universal", "--python-version", "3.13", "--generate-hashes", "--no-header", "--no-emit-index-url",
    "--no-emit-find-links", "--annotation-style", "line",
)  # fmt: skip
"""As those of ``make lock``: versions that are locked stay, and no host is named."""

LOCK_SECONDS = 600.0
PACKAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(\[[A-Za-z0-9._,-]+\])?([<>=!~][A-Za-z0-9.,*<>=!~ ]*)?")


def add(settings: Settings, package: str) -> str:
    """Add a package, or another version of one that is there, and lock.

    Args:
        settings: Where the checkout is.
        package: As pip takes it: ``httpx``, ``httpx>=0.28``.

    Returns:
        The line as it stands in agent.in now.

    Raises:
        LocalError: It is not a package's name, or cannot be locked beside the others. All files are as they were.
    """
    package = package.strip()
    if not PACKAGE.fullmatch(package):
        msg = f"{package!r} is no package of PyPI with an optional version, such as httpx or 'httpx>=0.28'."
        raise LocalError(msg)
    folder = settings.root / "requirements"
    requirements = folder / "agent.in"
    contents = {path: path.read_bytes() for path in (requirements, *(folder / f"{name}.txt" for name in LOCKS))}
    requirements.write_text(with_package(requirements.read_text(encoding="utf-8"), package), encoding="utf-8")
    try:
        for name in LOCKS:
            _lock(settings, folder, name)
    except BaseException:
        for path, content in contents.items():
            path.write_bytes(content)
        raise
    return package


def with_package(lines: str, package: str) -> str:
    """Return agent.in with a package, in the place of the same one with another version."""
    kept = [line for line in lines.splitlines() if line.startswith("#") or name_of(line) != name_of(package)]
    return "\n".join([*kept, package]) + "\n"


def name_of(line: str) -> str:
    """Return the name of a requirement, as PyPI compares names."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\[<>=!~; ]", line.strip())[0]).lower()


def _lock(settings: Settings, folder: Path, name: str) -> None:
    command: Sequence[str] = (
        str(settings.python.parent / "uv"), "pip", "compile", *OPTIONS, f"{name}.in", "-o", f"{name}.txt",
    )  # fmt: skip
    try:
        # The command is fixed but for paths of this checkout.
        result = subprocess.run(  # noqa: S603
            command, cwd=folder, capture_output=True, text=True, timeout=LOCK_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        msg = f"uv could not lock {name}.txt ({type(error).__name__}); run `make setup`, and try again."
        raise LocalError(msg) from error
    if result.returncode != 0:
        msg = f"{name}.txt cannot be locked with it, and nothing was changed:\n{result.stderr.strip()}"
        raise LocalError(msg)
