"""Failures that a person can act on; the command line prints them as one line.

LocalError                exit code 1: something failed; the message says what and where the full output is
  ├── NotRunningError     exit code 3: nothing runs here, start it first
  └── AlreadyRunningError exit code 4: this folder's stack is already up
"""

from __future__ import annotations


class LocalError(Exception):
    """Raised when this machine is not as needed; the message is one line that says what to do."""

    exit_code = 1


class NotRunningError(LocalError):
    """Raised when a command needs a running stack and there is none. Start it with ``make local``."""

    exit_code = 3


class AlreadyRunningError(LocalError):
    """Raised when the stack of this folder is already up. Use it, or stop it with ``python -m local down``."""

    exit_code = 4
