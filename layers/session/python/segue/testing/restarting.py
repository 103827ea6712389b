"""A restart of an agent, as a deployment makes it: the session is closed, restored, and compared."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, TypeVar

from strands.agent.agent import Agent

from segue.strands.manager import GuardedSessionManager
from segue.strands.private import is_started
from segue.testing.memory import MemorySessionManager

A = TypeVar("A")


async def restart(
    agent: Any,
    manager: GuardedSessionManager,
    build: Callable[[GuardedSessionManager], A],
    again: GuardedSessionManager | None = None,
) -> tuple[A, GuardedSessionManager]:
    """Close an agent's session, restore it into a new agent, and compare the two.

    Messages without content are left out of the comparison: they stand for speech that never came.

    Args:
        agent: The agent. A ``BidiAgent`` that is started is stopped.
        manager: Its session manager.
        build: Makes the agent with another session manager, as the next process does.
        again: Another manager of the same session; default: ``manager.again()`` of a ``MemorySessionManager``.

    Returns:
        The restored agent and its session manager, which is open.

    Raises:
        AssertionError: The restored agent differs; the first difference is named.
        TypeError: No other manager is given, and this one cannot make one.
    """
    if again is None:
        if not isinstance(manager, MemorySessionManager):
            raise TypeError(f"give another manager of the session, too: a {type(manager).__name__} makes none")
        again = manager.again()
    if is_started(agent):
        await agent.stop()
    await manager.close()
    before = _compared(agent)
    await again.open()
    restored = build(again)
    if (difference := _difference(before, _compared(restored))) is not None:
        raise AssertionError(f"the restored agent differs: {difference}")
    return restored, again


def _compared(agent: Any) -> dict[str, Any]:
    parts = {"messages": [message for message in agent.messages if message["content"]], "state": agent.state.get()}
    if isinstance(agent, Agent):
        parts["conversation_manager"] = agent.conversation_manager.get_state()
    return copy.deepcopy(parts)


def _difference(before: Any, after: Any, path: str = "agent") -> str | None:
    """Name the first place where two values differ."""
    if isinstance(before, dict) and isinstance(after, dict):
        keys = [*before, *(key for key in after if key not in before)]
        pairs = [(before.get(key, _ABSENT), after.get(key, _ABSENT), f"{path}.{key}") for key in keys]
    elif isinstance(before, list) and isinstance(after, list):
        if len(before) != len(after):
            return f"{path} had {len(before)} elements, and has {len(after)}"
        pairs = [(*both, f"{path}[{index}]") for index, both in enumerate(zip(before, after, strict=True))]
    else:
        return None if before == after else f"{path} was {before!r}, and is {after!r}"
    return next((found for pair in pairs if (found := _difference(*pair)) is not None), None)


class _Absent:
    def __repr__(self) -> str:
        return "absent"


_ABSENT = _Absent()
