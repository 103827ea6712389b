"""The Node.js that runs the CDK: told of in one line if it is too old."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from typing import Final

END_OF_LIFE: Final = ("18", "20")
"""Versions past their end of life with which the CDK still works."""


def outdated_notice(version: str) -> str | None:
    """The line about a Node.js that is too old; None if it is not.

    Args:
        version: As ``node --version`` prints it.
    """
    if version.strip().removeprefix("v").partition(".")[0] not in END_OF_LIFE:
        return None
    return f"segue: Node.js {version.strip()} gets no security updates any more: install 22 or 24 (docs/deploy.md)"


def warn_if_outdated() -> None:
    """Print that line, if there is one to print."""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        command = ["node", "--version"]  # the one that jsii finds, too
        answer = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)  # noqa: S603
        if line := outdated_notice(answer.stdout):
            sys.stderr.write(f"{line}\n")
