"""The check of agent.py (``worker.agent_check``) in a process of its own, with the surroundings of a local worker."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

from local.deployment.sources import Sources
from local.errors import LocalError
from local.processes.children import AWS_ENVIRONMENT, LAYER_TOOL, Guard, base_environment
from local.settings import REGION, Settings

KILL_GRACE_SECONDS = 1.0

CHECKED = "checked"
"""File in ``.segue`` of the checkout with a line for each sources and settings that were found right, the newest
first."""

KEPT = 32
"""Lines of it at most: stacks with settings of their own, such as the tests', take turns."""

LOCKS = ("worker.txt", "turn.txt")
"""Packages of the image, and of the text function's layer."""


def command(settings: Settings) -> list[str]:
    """Return the command of the check: exit code 1 if a mistake was found, each on a line."""
    locks = [settings.root / "requirements" / name for name in LOCKS]
    return [str(settings.python), "-m", "worker.agent_check", *(f"--lock={lock}" for lock in locks if lock.exists())]


def environment(settings: Settings, inherited: Mapping[str, str]) -> dict[str, str]:
    """Return the check's environment: the one in which a local worker builds its agents.

    Args:
        settings: Where the code is, and which provider was chosen.
        inherited: The part of the caller's environment that children get.
    """
    root = settings.root
    return {
        **inherited,
        **AWS_ENVIRONMENT,
        "PYTHONPATH": os.pathsep.join(str(path) for path in (root / "functions", root / "layers/session/python")),
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "SEGUE_PROVIDER": "offline",
        **settings.worker_environment,
    }


async def check(settings: Settings, guard: Guard, sources: Sources) -> None:
    """Check the file as it is now, unless it was found right already, with all that it may import.

    Args:
        settings: Where the code is, and which provider was chosen.
        guard: Ends the check if this process dies.
        sources: As they are now.

    Raises:
        LocalError: It has mistakes; the message has one a line, with file and line.
    """
    key, file = _key(settings, sources), settings.root / ".segue" / CHECKED
    if key in _lines(file):
        return
    await _run(settings, guard)
    with contextlib.suppress(OSError):  # it is only there to save time, and so two that write at once lose a line
        scratch = file.with_suffix(f".{os.getpid()}")
        scratch.write_text("\n".join([key, *_lines(file)][:KEPT]), encoding="ascii")
        scratch.replace(file)


def _lines(file: Path) -> list[str]:
    with contextlib.suppress(OSError, UnicodeDecodeError):
        return file.read_text(encoding="ascii").splitlines()
    return []


def _key(settings: Settings, sources: Sources) -> str:
    """A name for the sources, and for the settings of the model that is built."""
    facts = [sorted(sources.items()), sorted(settings.worker_environment.items())]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


async def _run(settings: Settings, guard: Guard) -> None:
    log = settings.logs / "check.log"
    log.unlink(missing_ok=True)
    child = await guard.spawn(
        "the check of agent.py",
        command(settings),
        environment=environment(settings, base_environment()),
        log=log,
        layer=LAYER_TOOL,
        grace=KILL_GRACE_SECONDS,
    )
    try:
        code = await child.wait()
    finally:
        child.kill()
    if code != 0:
        found = log.read_text(encoding="utf-8", errors="replace").strip()
        msg = f"agent.py has mistakes, and nothing was replaced:\n{found}"
        raise LocalError(msg)
