"""The Graphs and Swarms of a session: the recorded state of each, and those that are alive in this process."""

from __future__ import annotations

import copy
import gc
import logging
import time
import weakref
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from segue.errors import ValueRefused
from segue.journal.records import Record
from segue.journal.values import from_json
from segue.session.refused_values import OnRefused
from segue.strands.errors import MultiAgentIdUsedTwice

if TYPE_CHECKING:
    from strands.multiagent.base import MultiAgentBase

logger = logging.getLogger(__name__)

_AS_BUILT: dict[str, Any] = {
    "next_nodes_to_execute": [],
    "_internal_state": {"interrupt_state": {"interrupts": {}, "context": {}, "activated": False}},
}
"""The state of a Graph or Swarm whose next invocation runs its task from the beginning."""


class MultiAgents:
    """Graphs and Swarms of one session, restored and recorded.

    Attributes:
        known: Whether the session ever had a Graph or Swarm.
    """

    def __init__(self, session_key: str, append: Callable[[Record], object], refused: OnRefused) -> None:
        """Begin with none.

        Args:
            session_key: Their session.
            append: Queues a record.
            refused: Told of values that were not recorded.
        """
        self.known = False
        self._session_key = session_key
        self._append = append
        self._refused = refused
        self._latest: dict[str, Any] = {}
        self._alive: weakref.WeakValueDictionary[str, MultiAgentBase] = weakref.WeakValueDictionary()

    def __bool__(self) -> bool:
        """Tell whether a Graph or Swarm is alive."""
        return bool(self._alive)

    def initialize(self, source: MultiAgentBase, opened_with: Mapping[str, Any]) -> None:
        """Restore one, or record a new one.

        Args:
            source: A Graph or Swarm.
            opened_with: States that the session had when it was opened, by id.

        Raises:
            TypeError: Its id is no text: nothing could be found by it.
        """
        if not isinstance(source.id, str):
            raise TypeError(f"the id {source.id!r} is no text: give a Graph or Swarm one (set_graph_id, Swarm(id=…))")
        self._check_is_the_same(source)
        self.known = True
        stored = self._latest.get(source.id, opened_with.get(source.id))
        if stored is None:
            self.record(source)
        else:
            source.deserialize_state(copy.deepcopy(stored))
        self._alive[source.id] = source

    def _check_is_the_same(self, source: MultiAgentBase) -> None:
        """Check that no other one is alive under the same id, except one that was built in its place."""
        if source.id in self._alive:
            gc.collect()  # a Graph is a cycle: one that was dropped may only seem to live
        other = self._alive.get(source.id)
        if other is None or other is source:
            return
        if _nodes(other) != _nodes(source):
            raise MultiAgentIdUsedTwice(source.id, self._session_key)
        logger.warning(
            "two Graphs or Swarms of session %s live under the id %r and share one state: give each its own id, "
            "if the second does not stand for the first",
            *(self._session_key, source.id),
            extra={"session": self._session_key},
        )

    def record(self, source: MultiAgentBase) -> None:
        """Queue the state of one. The next that is built with its id goes on from there, also in this process."""
        state = from_json(source.serialize_state(), 0)  # Strands has encoded the bytes in it already
        try:
            self._append(Record(kind="multi_agent", data={"id": source.id, "state": state}, at=int(time.time() * 1000)))
        except ValueRefused as refused:
            self._refused(source.id, refused, remember=True)  # the state that was recorded last stands
        else:
            self._latest[source.id] = copy.deepcopy(state)

    def must_be_idle(self) -> None:
        """Check that none of them runs.

        Raises:
            RuntimeError: One does.
        """
        for source in self._all():
            from strands.multiagent.base import Status  # it is there when one of them is: no cold start imports it

            if source.state.status is Status.EXECUTING:  # type: ignore[attr-defined]  # Graph and Swarm have it
                raise RuntimeError(
                    f"{source.id!r} is in the middle of a task: let that end before its session is rewound"
                )

    def go_back(self, states: Mapping[str, Any]) -> None:
        """Give each of them the state that the session had at an earlier point."""
        self._latest = {}
        for source in self._all():
            source.deserialize_state(copy.deepcopy(states.get(source.id, _AS_BUILT)))

    def _all(self) -> list[MultiAgentBase]:
        """Return those that are alive now: others may be built in other threads."""
        return [source for reference in self._alive.valuerefs() if (source := reference()) is not None]


def _nodes(source: MultiAgentBase) -> set[str]:
    return set(getattr(source, "nodes", ()))
