"""Helpers that tests of a session's lifecycle have in common."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from strands import Agent, tool
from strands.bidi import BidiAgent

from segue import LeaseSettings, StorageUnavailable
from segue.lease.item import GuardItem
from segue.session.runtime import Runtime
from tests.support.crash import certainly_dead
from tests.support.fake_model import FakeModel
from tests.support.memory_manager import MemoryStorage, kind_of
from tests.support.scripted_model import ScriptedModel

Sessions = Callable[..., Any]
"""Makes session managers: a fixture of tests/unit/session/conftest.py."""

SHORT = LeaseSettings(duration=0.8, heartbeat=0.2, margin=0.2)
"""A lease that a test can outwait. On a busy machine its holder may lose it; see ``KEPT``."""

KEPT = LeaseSettings(duration=1.0, heartbeat=0.15, margin=0.15)
"""A lease that its holder keeps on a busy machine: five heartbeats in a row have to be late by the steady clock."""


def item(storage: MemoryStorage, key: str = "default/talk") -> GuardItem:
    """A session's guard item."""
    return GuardItem.parse(storage.guard.items[key])


@tool
def clock() -> str:
    """Tell the time."""
    return "noon"


def built(manager: Any, *replies: Any, **options: Any) -> Agent:
    """An ``Agent`` with a clock in an opened session, whose model gives these replies."""
    return Agent(
        model=options.pop("model", None) or FakeModel(replies),
        session_manager=manager,
        tools=[clock],
        callback_handler=None,
        **options,
    )


def manager_of(agent: Agent | BidiAgent) -> Any:
    """Return the session manager that an agent was built with; Strands keeps it to itself."""
    return agent._session_manager


def recorder_of(manager: Any, agent_id: str = "default") -> Any:
    """Return the recorder of a manager's agent: for a redaction that is queued alone, without the flush behind it."""
    return manager._recorders[agent_id]


def records_of(manager: Any) -> Any:
    """Return what queues the records of a manager's agent."""
    return recorder_of(manager)._records


def recorded_connection(manager: Any) -> dict[str, Any]:
    """Return what is recorded of the connection that a manager's agent has to its model."""
    recorded: dict[str, Any] = recorder_of(manager)._connection.recorded
    return recorded


async def started(manager: Any) -> BidiAgent:
    """Open a session, and start an agent in it."""
    await manager.open()
    agent = BidiAgent(model=ScriptedModel(), session_manager=manager)
    await agent.start()
    return agent


async def talked(manager: Any, *said: str) -> BidiAgent:
    """Do the same, and say something."""
    agent = await started(manager)
    for text in said:
        await agent.send(text)
    return agent


async def texts(sessions: Sessions) -> list[str]:
    """Return the session's texts, as a successor restores them."""
    manager = sessions(probe=certainly_dead)
    await manager.open()
    agent = BidiAgent(model=ScriptedModel(), session_manager=manager)
    await manager.close()
    return [message["content"][0]["text"] for message in agent.messages]


async def settled() -> None:
    """Let the storage loop do everything that it can do now."""
    for _ in range(20):
        await Runtime.shared().run(asyncio.sleep(0.001))


class Once:
    """Loses the answer of the first request of a kind."""

    def __init__(self, kind: str) -> None:
        self.done = False
        self._kind = kind

    async def __call__(self, operation: str, what: Any) -> None:
        if not self.done and operation == "write" and kind_of(what) == self._kind:
            self.done = True
            raise StorageUnavailable("the answer is lost")
