"""Refused values, recorded in another form: logged and told at once, raised at the next call of the user's.

Apart from the handle because it needs no session: a refusal is kept until a call can raise it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Protocol

from segue.errors import ValueRefused
from segue.session.listeners import Listeners


class OnRefused(Protocol):
    """Callback for the refusal of a value."""

    def __call__(self, whose: str, refused: ValueRefused, *, remember: bool) -> None:
        """Log and tell it.

        Args:
            whose: The id of the agent, graph or swarm.
            refused: The refusal.
            remember: Raise it, too, at the next call of the user's.
        """


def raise_refused(whose: str, refused: ValueRefused, *, remember: bool) -> None:  # noqa: ARG001 - a ``OnRefused``
    """Raise it at once."""
    raise refused


logger = logging.getLogger(__name__)


class RefusedValues:
    """Refused values. Each refusal is raised once, also if its value is met again."""

    def __init__(self) -> None:
        """Begin with none."""
        self._listeners: Listeners[ValueRefused] = Listeners("a refused value")
        self._lock = threading.Lock()
        self._known: set[tuple[str, str, str]] = set()
        self._unraised: list[tuple[str, ValueRefused]] = []

    def on_refused(self, callback: Callable[[ValueRefused], None]) -> None:
        """Call back whenever a value was not recorded as it is."""
        self._listeners.add(callback)

    def refuse(self, whose: str, refused: ValueRefused, *, remember: bool) -> None:
        """Log and tell a refusal; see ``OnRefused``."""
        facts = {"agent": whose, "path": refused.path, "reason": refused.reason}
        logger.warning("a value was not recorded as it is: convert it first", extra=facts)
        self._listeners.tell(refused)
        met = (whose, refused.path, refused.reason)
        with self._lock:
            if remember and met not in self._known:
                self._known.add(met)
                self._unraised.append((whose, refused))

    def raise_first(self, whose: str | None = None) -> None:
        """Raise the first refusal that no caller has been told of.

        Args:
            whose: Only of this agent, graph or swarm.

        Raises:
            ValueRefused: There is one.
        """
        with self._lock:
            mine = [refused for agent_id, refused in self._unraised if whose in (None, agent_id)]
            self._unraised = [each for each in self._unraised if whose not in (None, each[0])]
        if mine:
            raise mine[0]
