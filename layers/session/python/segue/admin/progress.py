"""Progress of long work, told to the caller."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[int, int], None]
"""Callback with how much is done, and of how much."""


def no_progress(done: int, total: int) -> None:
    """Show no progress."""
