"""Weak references to bound methods and agents.

A session manager must be freed as soon as its agent is: then its session is released at once, and not when the
garbage collector comes by (docs/rfcs/0016).
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from strands.types.agent import LocalAgent

_P = ParamSpec("_P")
_T = TypeVar("_T")


def weakly(method: Callable[_P, _T], otherwise: _T) -> Callable[_P, _T]:
    """Return a function that calls a bound method while its object is alive, and after that returns ``otherwise``."""
    reference = weakref.WeakMethod(method)

    def call(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        alive = reference()
        return otherwise if alive is None else alive(*args, **kwargs)

    return call


class WeakAgent:
    """A weak reference to an agent."""

    def __init__(self, agent: LocalAgent) -> None:
        """Refer to an agent."""
        self.agent_id = agent.agent_id
        self._reference = weakref.ref(agent)

    @property
    def alive(self) -> LocalAgent | None:
        """The agent, None if it has been freed."""
        return self._reference()

    @property
    def gone(self) -> bool:
        """Tell whether the agent has been freed."""
        return self._reference() is None

    @property
    def agent(self) -> LocalAgent:
        """The agent.

        Raises:
            RuntimeError: It is gone.
        """
        if (agent := self._reference()) is None:
            raise RuntimeError(f"agent {self.agent_id!r} was freed: keep a reference to it while its session is open")
        return agent

    def bind_agent(self, agent: LocalAgent) -> None:
        """Refer to the agent again: while a cycle is freed, its hooks may run after references to it were cleared."""
        if self._reference() is not agent:
            self._reference = weakref.ref(agent)
