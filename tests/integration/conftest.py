"""Reading what real processes left behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from strands.bidi import BidiAgent

from segue.lease.item import GuardItem
from segue.session.runtime import Runtime
from tests.integration.writer import Job, Place, Writer, manager_at
from tests.support.crash import certainly_dead
from tests.support.scripted_model import ScriptedModel
from tests.support.stage import Stage


@pytest.fixture
def place(emulated: Stage) -> Place:
    """Storage of sessions: the emulator, unless a test overrides it."""
    return emulated.options


@pytest.fixture
def writer(place: Place) -> Iterator[Callable[..., Writer]]:
    """Starts writer processes, and ends those that are left."""
    started: list[Writer] = []

    def start(tag: str, **job: Any) -> Writer:
        started.append(Writer(Job(place, tag, **job)))
        return started[-1]

    yield start
    for each in started:
        if each.process.is_alive():
            each.process.kill()
        each.process.join(10)


@pytest.fixture
def read(place: Place) -> Callable[..., Any]:
    """Restores a session as a successor does; returns the texts of its messages."""

    async def texts(session_id: str = "talk") -> list[str]:
        manager = manager_at(place, session_id, probe=certainly_dead)
        await manager.open()
        agent = BidiAgent(model=ScriptedModel(), session_manager=manager)
        await manager.close()
        return [message["content"][0]["text"] for message in agent.messages]

    return texts


class Shelf:
    """Stored parts of a session: its item and its objects."""

    def __init__(self, place: Place) -> None:
        self._stores = Runtime.shared().run_sync(manager_at(place, "talk")._stores())

    def item(self, key: str = "default/talk") -> GuardItem:
        attributes = Runtime.shared().run_sync(self._stores.guard.read(key))
        assert attributes is not None
        return GuardItem.parse(attributes)

    def keys(self, part: str = "") -> list[str]:
        return [key for key in Runtime.shared().run_sync(self._stores.objects.list("sessions/")) if part in key]


@pytest.fixture
def shelf(place: Place) -> Shelf:
    return Shelf(place)
