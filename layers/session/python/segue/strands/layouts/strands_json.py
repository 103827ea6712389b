"""Values as Strands' own layouts carry them, and what they cannot carry.

They are written by ``json.dumps`` after ``encode_bytes_values``. That keeps bytes, ``nan`` and long integers; it makes
lists of tuples and texts of keys, and a dictionary that looks like encoded bytes would be read as bytes, or not at all.
"""

from __future__ import annotations

import json
import logging
from typing import Any

from segue.journal.encoder import Path, shown_path
from segue.journal.values import looks_like_bytes

logger = logging.getLogger(__name__)


class Carried:
    """Form of values that is read again as it was written.

    Attributes:
        changes: What had to be changed, as sentences that begin with a path.
    """

    def __init__(self) -> None:
        """Begin with nothing changed."""
        self.changes: list[str] = []

    def value(self, value: Any, name: str, path: Path = ()) -> Any:
        """Return a value as it is carried; the very same if nothing has to be changed."""
        if isinstance(value, str):
            return self._text(value, name, path)
        if isinstance(value, dict):
            if looks_like_bytes(value):
                self._note(name, path, "a dictionary that Strands would take for encoded bytes is replaced by a text")
                return "[not exported: a dictionary that looks like encoded bytes]"
            inner = {
                self._key(key, name, path): self.value(each, name, (*path, str(key))) for key, each in value.items()
            }
            unchanged = len(inner) == len(value) and all(key in value and inner[key] is value[key] for key in inner)
            return value if unchanged else inner
        if isinstance(value, list | tuple):
            elements = [self.value(each, name, (*path, index)) for index, each in enumerate(value)]
            if isinstance(value, tuple):
                self._note(name, path, "a tuple becomes a list")
                return elements
            return value if all(new is old for new, old in zip(elements, value, strict=True)) else elements
        return value

    def _key(self, key: Any, name: str, path: Path) -> str:
        if isinstance(key, str):
            return self._text(key, name, path)
        self._note(name, path, f"the key {key!r} becomes a text")
        (text,) = json.loads(json.dumps({key: 0}))
        return str(text)

    def _text(self, text: str, name: str, path: Path) -> str:
        try:
            text.encode()
        except UnicodeEncodeError:
            self._note(name, path, "half a surrogate pair becomes U+FFFD")
            return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return text

    def _note(self, name: str, path: Path, change: str) -> None:
        self.changes.append(f"{shown_path(name, path)}: {change}")


def carried(value: Any, name: str, changes: list[str] | None) -> Any:
    """Return a value as Strands' layouts carry it.

    Args:
        value: The value.
        name: What it is called in what is said of changes.
        changes: Takes them; default: they are logged.
    """
    carrying = Carried()
    found = carrying.value(value, name)
    if changes is not None:
        changes += carrying.changes
    for change in carrying.changes if changes is None else ():
        logger.warning("a value is exported changed", extra={"change": change})
    return found
