"""A dictionary of bounded size, for what a process remembers of many sessions, connections or senders."""

from __future__ import annotations

from collections import OrderedDict
from typing import TypeVar

_K = TypeVar("_K")
_V = TypeVar("_V")


class BoundedDict(OrderedDict[_K, _V]):
    """An ordered dictionary that forgets its least recently set or used entries.

    Attributes:
        most: Entries that are kept.
    """

    def __init__(self, most: int) -> None:
        """Begin empty.

        Args:
            most: Entries that are kept; setting one more forgets the oldest.
        """
        super().__init__()
        self.most = most

    def __setitem__(self, key: _K, value: _V) -> None:
        """Set an entry, which is the newest from here on."""
        super().__setitem__(key, value)
        self.move_to_end(key)
        while len(self) > self.most:
            self.popitem(last=False)

    def use(self, key: _K) -> _V | None:
        """Return an entry, which is the newest from here on; None if there is none."""
        value = self.get(key)
        if value is not None:
            self.move_to_end(key)
        return value
