"""Managers that only their tests keep, and a test without garbage collections of its own."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.memory_manager import MemorySessionManager, MemoryStorage


def manager(storage: MemoryStorage, **options: Any) -> MemorySessionManager:
    """A manager that nothing else keeps."""
    return MemorySessionManager(storage=storage, **{"acquire_timeout": 0.0, **options})


@pytest.fixture
def without_collections() -> Iterator[None]:
    """Let no garbage collection happen by itself, so that tests see what needs one."""
    gc.collect()
    gc.freeze()  # what other tests have left alive takes a second to look through
    gc.disable()
    yield
    gc.enable()
