"""Content that a context manager has taken out of an agent's messages, and brings back when it is asked for it.

Strands' ``context_manager="auto"`` keeps the blocks of every message in a *stash*, under names that follow from the
message or the tool use. What it then shortens or leaves out of the history stays there. Where the stash is in memory
only, a session has to keep it, as Strands' own snapshot manager does.

The blocks are in the session already: as the messages were when they were recorded. So a restored stash is filled from
the records, and a redaction takes content out of it as out of everything else. Only what else a program put into the
stash is recorded, as records of the kind "stash"; the first of them also says that earlier versions of messages are
wanted (docs/rfcs/0018).
"""

from __future__ import annotations

from collections.abc import Container, Coroutine
from typing import Any, TypeVar

from strands.types.agent import LocalAgent

from segue.history.agent_history import AgentHistory
from segue.journal.message_shape import Message
from segue.strands.private import stash_of

_T = TypeVar("_T")

_ABSENT = object()


class StashRecorder:
    """Recorder of one agent's stash: of what the records do not have of it yet."""

    def __init__(self, stored: AgentHistory | None) -> None:
        """Begin with what the session has of the agent."""
        self._marked = stored is not None and stored.stash is not None
        self._recorded: dict[str, Any] = dict((stored.stash if stored else None) or {})
        self._names: dict[str, set[str]] = {}

    def fill(self, agent: LocalAgent, stored: AgentHistory) -> None:
        """Fill a restored agent's stash as it was, and drop the earlier versions of its messages."""
        if (stash := stash_of(agent)) is not None:
            for versions in stored.versions.values():
                for version in versions:  # what came first is whole; later ones may be shortened, or have more blocks
                    _done(stash.store_message(version, keep_existing=True))  # type: ignore[arg-type]
                    self.added(agent, version)
            _done(stash.load_snapshot(self._recorded))
        stored.versions = {}

    def added(self, agent: LocalAgent, message: Message) -> None:
        """Note a message whose blocks the context manager puts into the stash by itself."""
        if (stash := stash_of(agent)) is not None:
            names = self._names.setdefault(message.get("tracking_id", ""), set())
            for index, block in enumerate(message["content"]):
                names.update(stash.refs_for(block, message, index))  # type: ignore[arg-type]

    def redacted(self, agent: LocalAgent, message: Message) -> None:
        """Take content that was redacted out of the stash."""
        if (stash := stash_of(agent)) is not None:
            for name in self._names.get(message.get("tracking_id", ""), ()):
                _done(stash.delete(name))
            _done(stash.store_message(message))  # type: ignore[arg-type]

    def changes(self, agent: LocalAgent, recorded: Container[str]) -> dict[str, Any] | None:
        """Return the part of the stash that is in no record, as the data of a record; None if there is none.

        Args:
            agent: The agent.
            recorded: Tracking ids of the messages that are recorded.
        """
        if (stash := stash_of(agent)) is None:
            return None
        derived = set().union(*self._names.values())
        names = [
            name for name in _done(stash.list()) if name not in derived and name.rpartition("_")[0] not in recorded
        ]
        now = {name: _done(stash.retrieve(name)) for name in names}
        entries = {name: value for name, value in now.items() if self._recorded.get(name, _ABSENT) != value}
        gone = sorted(self._recorded.keys() - now.keys())
        if self._marked and not entries and not gone:
            return None
        self._marked, self._recorded = True, now
        return {"entries": entries, "gone": gone}


def _done(work: Coroutine[Any, Any, _T]) -> _T:
    """Return what a coroutine returns that waits for nothing: a stash in memory."""
    try:
        work.send(None)
    except StopIteration as ended:
        result: _T = ended.value
        return result
    work.close()
    raise RuntimeError("a stash in memory has waited for something")
