"""``run.json``: how a second terminal finds the running supervisor. It holds a secret, so only its owner reads it."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import asdict, dataclass

from local.errors import NotRunningError
from local.settings import Settings


@dataclass(frozen=True)
class Run:
    """A running supervisor.

    Attributes:
        pid: Its process id.
        control_url: Where it takes requests, on loopback.
        token: What a request has to show.
    """

    pid: int
    control_url: str
    token: str


def write(settings: Settings, run: Run) -> None:
    """Say that a supervisor runs; readers see the whole file or none."""
    scratch = settings.run_file.with_suffix(".tmp")
    scratch.unlink(missing_ok=True)
    with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump(asdict(run), file)
    scratch.replace(settings.run_file)


def read(settings: Settings) -> Run | None:
    """Return the running supervisor, or None if there is none; a file that a killed one left counts as none."""
    try:
        run = Run(**json.loads(settings.run_file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return run if _alive(run.pid) else None


def require(settings: Settings) -> Run:
    """Return the running supervisor.

    Raises:
        NotRunningError: There is none.
    """
    run = read(settings)
    if run is None:
        msg = "nothing is running here: start it with `make local` or `.venv/bin/python -m local up`."
        raise NotRunningError(msg)
    return run


def remove(settings: Settings, pid: int) -> None:
    """Take the file away if it is the one of process ``pid``."""
    run = read(settings)
    if run is not None and run.pid == pid:
        settings.run_file.unlink(missing_ok=True)


def lock_owner(settings: Settings) -> int | None:
    """Return the process that last took the home's lock, if it still lives."""
    with contextlib.suppress(OSError, ValueError):
        pid = int(settings.lock_file.read_text(encoding="utf-8"))
        if _alive(pid):
            return pid
    return None


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
