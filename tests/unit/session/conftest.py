"""Session managers on moto, in a directory and in memory that fall silent when their test ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from segue import GuardedFileSessionManager, GuardedS3SessionManager
from tests.support.crash import crash
from tests.support.memory_manager import MemorySessionManager, MemoryStorage
from tests.support.sessions import Sessions
from tests.support.skipping_clock import skipping_clock  # noqa: F401 - a fixture
from tests.support.stage import Stage
from tests.support.steady_clock import steady_clock  # noqa: F401 - a fixture
from tests.unit.session.collecting import without_collections  # noqa: F401 - a fixture
from tests.unit.session.damage import talk  # noqa: F401 - a fixture
from tests.unit.session.edits import build  # noqa: F401 - a fixture
from tests.unit.session.vandal import vandal  # noqa: F401 - a fixture
from tests.unit.session.volumes import small_volumes  # noqa: F401 - a fixture


@pytest.fixture
def s3_sessions(stage: Stage) -> Iterator[Callable[..., GuardedS3SessionManager]]:
    """Makes managers of sessions in moto."""
    made: list[GuardedS3SessionManager] = []

    def make(session_id: str = "talk", **options: Any) -> GuardedS3SessionManager:
        manager = GuardedS3SessionManager(session_id, **{**stage.options, "acquire_timeout": 0.0, **options})
        made.append(manager)
        return manager

    yield make
    for manager in made:
        crash(manager)


@pytest.fixture
def file_sessions(tmp_path: Path) -> Iterator[Callable[..., GuardedFileSessionManager]]:
    """Makes managers of sessions in a directory."""
    made: list[GuardedFileSessionManager] = []

    def make(session_id: str = "talk", **options: Any) -> GuardedFileSessionManager:
        manager = GuardedFileSessionManager(session_id, tmp_path / "segue", **{"acquire_timeout": 0.0, **options})
        made.append(manager)
        return manager

    yield make
    for manager in made:
        crash(manager)


@pytest.fixture(params=["s3", "file"])
def sessions(request: pytest.FixtureRequest) -> Sessions:
    """Makes managers of either storage."""
    made: Sessions = request.getfixturevalue(f"{request.param}_sessions")
    return made


@pytest.fixture
def storage() -> MemoryStorage:
    """Storage in memory."""
    return MemoryStorage()


@pytest.fixture
def memory_sessions(storage: MemoryStorage) -> Iterator[Callable[..., MemorySessionManager]]:
    """Makes managers of sessions in memory."""
    made: list[MemorySessionManager] = []

    def make(session_id: str = "talk", **options: Any) -> MemorySessionManager:
        manager = MemorySessionManager(session_id, **{"storage": storage, "acquire_timeout": 0.0, **options})
        made.append(manager)
        return manager

    yield make
    for manager in made:
        crash(manager)
