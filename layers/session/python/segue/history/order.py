"""The order of a session's messages, of which an agent holds only some.

    session   m0 m1 m2 │ m3 m4 m5 m6          max_messages left out m0 to m2
    agent              │ m3 m4
    session   m0 m1 m2 │ m3 m4                two were taken out of the agent; what lies outside stays

A restore leaves out what is too old for its limits and what a repair dropped. That an agent does not hold a message
therefore means that it was removed only if the agent held it before (docs/rfcs/0013).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

LONG = 256
"""Messages from which on a window that lies in a longer history is recorded by what it lost. The ids of all that stay
are 10 KB then, and a conversation manager may take two messages out of the window in every turn."""


class SessionOrder:
    """The tracking ids of a session's messages, as its records leave them."""

    def __init__(self, ids: Iterable[str] = ()) -> None:
        """Begin with what was restored."""
        self._ids = list(ids)
        self._count = Counter(self._ids)

    def __contains__(self, tracking_id: str) -> bool:
        """Tell whether the session's history has a message."""
        return self._count[tracking_id] > 0

    @property
    def ids(self) -> list[str]:
        """All of them, in order."""
        return list(self._ids)

    def is_shared(self, tracking_id: str) -> bool:
        """Tell whether the session's history has several messages with an id."""
        return self._count[tracking_id] > 1

    @property
    def latest(self) -> str | None:
        """The last message's id, None if there is no message."""
        return self._ids[-1] if self._ids else None

    def put(self, tracking_id: str, before: str | None) -> None:
        """Note a message that was recorded: before another one, which is sought from the end, or at the end."""
        end = len(self._ids)
        place = end
        if before is not None:
            place = next((index for index in range(end - 1, -1, -1) if self._ids[index] == before), end)
        self._ids.insert(place, tracking_id)
        self._count[tracking_id] += 1

    def window(self, held: Sequence[str], outside: AbstractSet[str]) -> dict[str, Any] | None:
        """Arrange the session as an agent holds it, and leave what lies outside where it is.

        Args:
            held: Ids of what the agent holds, in order; all of them are in the session.
            outside: Ids of messages of the session that the agent does not have.

        Returns:
            The data of a "window" record, None if the session is in that order already.
        """
        inside = set(held)
        gone = self._count.keys() - inside - outside
        left = [one for one in self._ids if one not in gone] if gone else self._ids
        moved = [one for one in left if one in inside] != list(held)
        if not gone and not moved:
            return None
        before, self._ids = self._ids, self._arranged(held, outside) if moved else left
        self._count = Counter(self._ids)
        if not moved and len(self._ids) > max(LONG, 2 * len(held)):
            return {"drop": [one for one in before if one in gone]}
        return {"keep": self._ids}

    def _arranged(self, held: Sequence[str], outside: AbstractSet[str]) -> list[str]:
        """Messages outside the window follow the message that they follow now, or what is left of it."""
        inside = set(held)
        after: dict[str | None, list[str]] = {}
        anchor: str | None = None
        for tracking_id in self._ids:
            if tracking_id in inside:
                anchor = tracking_id
            elif tracking_id in outside:
                after.setdefault(anchor, []).append(tracking_id)
        arranged = after.pop(None, [])
        for tracking_id in held:
            arranged.append(tracking_id)
            arranged += after.pop(tracking_id, ())
        return arranged
