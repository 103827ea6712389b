"""Moving Graphs and Swarms between Segue and Strands' own layouts; ``segue.strands.transfer`` moves agents.

A Graph or Swarm has a state and no messages: what each node said, and what is left to do. One that is never run carries
it to or from Strands' managers, through the hooks that they register.

Everything here blocks, as Strands' managers do: call it in a thread from an event loop.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from strands.hooks.events import (
    AfterMultiAgentInvocationEvent,
    BeforeMultiAgentInvocationEvent,
    MultiAgentInitializedEvent,
)
from strands.hooks.registry import HookRegistry
from strands.session.repository_session_manager import RepositorySessionManager
from strands.session.session_manager import SessionManager
from strands.types.session import encode_bytes_values

from segue.errors import SessionExists, SessionNotFound
from segue.journal.records import Record
from segue.journal.values import from_json
from segue.strands.layouts.carrier import CarryingMultiAgent
from segue.strands.layouts.sources import SourceDamaged, reading, snapshot_file
from segue.strands.layouts.strands_json import carried


def import_multi_agent(source: SessionManager[Any], multi_agent_id: str) -> list[Record]:
    """Read a Graph or Swarm of a Strands session as a record of a new Segue session (see ``segue.admin.fork``).

    Args:
        source: Strands' manager of the source session.
        multi_agent_id: Its id; ``default_graph`` and ``default_swarm`` if it was given none.

    Raises:
        SessionNotFound: The source has no such Graph or Swarm.
        SourceDamaged: What it has cannot be read.
        strands.types.exceptions.SessionException: The source could not be read.
        strands.types.exceptions.StorageError: The same.
    """
    carrying = CarryingMultiAgent(multi_agent_id)
    file = snapshot_file(source.session_id, multi_agent_id, "multiAgent")
    if isinstance(source, RepositorySessionManager):
        file = f"session_{source.session_id}/multi_agents/multi_agent_{multi_agent_id}/multi_agent.json"
        with reading(file):
            carrying.state = source.session_repository.read_multi_agent(source.session_id, multi_agent_id)
    else:
        with reading(file):
            asyncio.run(_restore(carrying, source))
    if carrying.state is None:
        raise SessionNotFound(f"{type(source).__name__} {source.session_id}, Graph or Swarm {multi_agent_id}")
    if not isinstance(carrying.state, dict):
        raise SourceDamaged(file, "not the state of a Graph or Swarm")
    data = {"id": multi_agent_id, "state": from_json(carrying.state, 0)}
    return [Record(kind="multi_agent", data=data, at=int(time.time() * 1000))]


def export_multi_agent(
    multi_agent_id: str, state: dict[str, Any], target: SessionManager[Any], changes: list[str] | None = None
) -> None:
    """Write the state of a Graph or Swarm into a Strands session that does not have it yet.

    Args:
        multi_agent_id: Its id.
        state: As ``segue.history.agent_history.History.multi_agents`` has it.
        target: Strands' manager of the target session.
        changes: Takes what had to be changed, since Strands' encoding cannot carry it; default: it is logged.

    Raises:
        SessionExists: The target has such a Graph or Swarm already.
        strands.types.exceptions.SessionException: The target could not be written.
        strands.types.exceptions.StorageError: The same.
    """
    carrying = CarryingMultiAgent(
        multi_agent_id, encode_bytes_values(carried(state, f"{multi_agent_id}.state", changes))
    )
    there = SessionExists(f"{type(target).__name__} {target.session_id}, Graph or Swarm {multi_agent_id}")
    if isinstance(target, RepositorySessionManager):
        if target.session_repository.read_multi_agent(target.session_id, multi_agent_id) is not None:
            raise there
        target.session_repository.create_multi_agent(target.session_id, carrying)
        return
    present = CarryingMultiAgent(multi_agent_id)
    asyncio.run(_restore(present, target))
    if present.state is not None:
        raise there
    asyncio.run(_save(carrying, target))


async def _restore(carrying: CarryingMultiAgent, manager: SessionManager[Any]) -> None:
    await _with_hooks(carrying, manager)
    await carrying.hooks.invoke_callbacks_async(BeforeMultiAgentInvocationEvent(source=carrying))


async def _save(carrying: CarryingMultiAgent, manager: SessionManager[Any]) -> None:
    await _with_hooks(carrying, manager)
    await carrying.hooks.invoke_callbacks_async(AfterMultiAgentInvocationEvent(source=carrying))


async def _with_hooks(carrying: CarryingMultiAgent, manager: SessionManager[Any]) -> None:
    registry = HookRegistry()
    manager.register_hooks(registry)
    await registry.invoke_callbacks_async(MultiAgentInitializedEvent(source=carrying))
