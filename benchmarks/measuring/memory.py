"""Memory of this process, now and at most."""

from __future__ import annotations

import re
import resource
import sys
from contextlib import suppress
from pathlib import Path

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")


def resident_kb() -> int:
    """Return the resident memory now, in KB; where the system does not say, the most there ever was."""
    return _status("VmRSS")


def peak_kb() -> int:
    """Return the most since ``forget_peak``, in KB; where the system does not forget, since the start."""
    return _status("VmHWM")


def forget_peak() -> None:
    """Begin a new peak, where the system lets us."""
    with suppress(OSError):
        _CLEAR.write_text("5", encoding="ascii")


def _status(name: str) -> int:
    if _STATUS.exists() and (found := re.search(rf"{name}:\s+(\d+) kB", _STATUS.read_text(encoding="ascii"))):
        return int(found[1])
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most // 1024 if sys.platform == "darwin" else most
