"""Tool uses that have the same id, told apart.

Providers may use an id again, and an imported session may have any ids. Which use of its id one is follows from
the records: the first has the number 1, and each that stands in another message, or in another place of the same one,
the next. Numbers are never used again, not after a rewind either.

    tool    {"tool_use_id": "call_0", "phase": "started", "message": "m1", …}
    tool    {"tool_use_id": "call_0", "phase": "started", "message": "m7", "use": 2, …}

The same use keeps its number in every run: tried again, resumed after an interrupt, restored. A voice
agent records a use twice, and runs it once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

from segue.journal.message_shape import blocks_of, id_of

UNKNOWN = ""
"""The place of a use that an earlier release recorded, without saying where it stands."""


def key_of(tool_use_id: str, use: int) -> str:
    """Return what a use is called where ids have to be told apart. The first use of an id is called by it."""
    return tool_use_id if use == 1 else f"{tool_use_id}#{use}"


@dataclass(frozen=True, slots=True)
class ToolUse:
    """One use of a tool.

    Attributes:
        tool_use_id: Its id.
        place: The tracking id of its message, and which of the same id it is there if there are several.
        number: Which use of its id it is, from 1.
    """

    tool_use_id: str
    place: str
    number: int

    @property
    def key(self) -> str:
        """Its key where several uses have one id."""
        return key_of(self.tool_use_id, self.number)

    @property
    def facts(self) -> dict[str, Any]:
        """Facts of its records."""
        facts: dict[str, Any] = {"message": self.place} if self.place else {}
        return facts | ({"use": self.number} if self.number > 1 else {})


class ToolUses:
    """Tool uses of one agent in its session, and numbers for new ones."""

    def __init__(self, known: Mapping[str, Sequence[str]], restored: Iterable[Any]) -> None:
        """Begin with what the session has.

        Args:
            known: For each id the places of its uses, in order (see ``segue.history.agent_history``).
            restored: The messages that the agent was restored with.
        """
        self._known = {tool_use_id: list(places) for tool_use_id, places in known.items()}
        self._restored = {id_of(message) for message in restored}
        self._running: list[tuple[Any, ToolUse]] = []

    def begin_use(self, tool_use: Mapping[str, Any], messages: Sequence[Any]) -> ToolUse:
        """Say which use this is that is about to run.

        Args:
            tool_use: What Strands runs.
            messages: The agent's messages; the newest with its id has it.
        """
        tool_use_id = str(tool_use["toolUseId"])
        place = self._place(tool_use, tool_use_id, messages)
        places = self._known.setdefault(tool_use_id, [])
        if place not in places:
            if places and places[-1] == UNKNOWN and place.partition("/")[0] in self._restored:
                places[-1] = place  # recorded by an earlier release, and goes on now
            else:
                places.append(place)
        use = ToolUse(tool_use_id, place, places.index(place) + 1)
        self._running = [(given, other) for given, other in self._running if other != use]
        self._running.append((tool_use.get("input"), use))
        return use

    def end_use(self, tool_use: Mapping[str, Any]) -> ToolUse:
        """Say which use this is that has ended."""
        tool_use_id = str(tool_use["toolUseId"])
        running = [entry for entry in self._running if entry[1].tool_use_id == tool_use_id]
        for entry in sorted(running, key=lambda entry: entry[0] is not tool_use.get("input"))[:1]:
            self._running.remove(entry)
            return entry[1]
        known = self._known.get(tool_use_id) or [UNKNOWN]
        return ToolUse(tool_use_id, known[-1], len(known))

    def _place(self, tool_use: Mapping[str, Any], tool_use_id: str, messages: Sequence[Any]) -> str:
        for message in reversed(messages):
            uses = [block["toolUse"] for block in blocks_of(message) if "toolUse" in block]
            same = [use for use in uses if str(use["toolUseId"]) == tool_use_id]
            if same:
                index = self._index(tool_use, tool_use_id, same)
                return id_of(message) + (f"/{index}" if index else "")
        return UNKNOWN

    def _index(self, tool_use: Mapping[str, Any], tool_use_id: str, same: Sequence[Mapping[str, Any]]) -> int:
        """Find a use among those of its id in a message: by itself, by its input, else the first that does not run."""
        for index, block in enumerate(same):
            if block is tool_use or block.get("input") is tool_use.get("input"):
                return index
        running = sum(use.tool_use_id == tool_use_id for _, use in self._running)
        return min(running, len(same) - 1)


_USES = "segue_tool_uses"


def remember(invocation_state: MutableMapping[str, Any], tool_use: Mapping[str, Any], use: ToolUse) -> None:
    """Let a tool find out which use it runs, through what Strands gives it, for as long as it runs."""
    forget(invocation_state, use)
    invocation_state.setdefault(_USES, {}).setdefault(use.tool_use_id, []).append((tool_use.get("input"), use.key))


def forget(invocation_state: MutableMapping[str, Any], use: ToolUse) -> None:
    """Let go of a use that has ended: a voice agent has one state for all its tools."""
    running = invocation_state.get(_USES, {})
    left = [(given, key) for given, key in running.get(use.tool_use_id, ()) if key != use.key]
    if left:
        running[use.tool_use_id] = left
    else:
        running.pop(use.tool_use_id, None)


def remembered(invocation_state: Mapping[str, Any], tool_use: Mapping[str, Any]) -> str:
    """Return the key of the use that a tool runs."""
    tool_use_id = str(tool_use["toolUseId"])
    running = invocation_state.get(_USES, {}).get(tool_use_id, ())
    keys = [key for given, key in running if given is tool_use.get("input")] or [key for _, key in running]
    return str(keys[-1]) if keys else tool_use_id
