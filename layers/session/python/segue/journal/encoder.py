"""Encoding of values as the JSON of ``segue.journal.values``, and refusal of values without such a form.

Only values that are not plain come here. So the encoder is exact, and names the place of a refused part.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable
from typing import Any

import msgspec

from segue.errors import RecordTooLarge, ValueRefused
from segue.journal.values import (
    BYTES,
    DIGITS,
    ESCAPES,
    NESTING,
    Form,
    bytes_of,
    depth_of,
    form_of,
    from_json,
    is_readable,
    looks_like_bytes,
    with_markers,
)

PARTS = 11_000_000
"""Parts of a value, at most; beyond it RecordTooLarge. The largest record has no room for more. A value that shares
its parts with itself may be small in memory, and would take hours to write."""

SHALLOW = 32
"""Levels that are kept of a message in which a value was nested too deeply."""

_KEYS = (str, int, float, type(None))
"""Types that ``json.dumps`` takes as keys of a dictionary; a bool is an int."""

_plain_json = msgspec.json.Encoder().encode

Path = tuple[str | int, ...]
OnRefused = Callable[[ValueRefused, Path], Any]
"""Callback with a refusal and its path, which returns the value to record instead, or raises the refusal."""


def to_json(
    value: Any,
    name: str = "value",
    *,
    on_refused: OnRefused | None = None,
    replacing_halves: bool = False,
    nesting: int = NESTING,
    unescaped: bool = False,
    escaping_bytes: bool = False,
) -> tuple[Any, int]:
    """Turn a value into what JSON has, in lists and dictionaries of its own.

    Args:
        value: The value.
        name: What it is called in the path of what is refused.
        on_refused: Says what to write instead of a part that is refused; default: raise.
        replacing_halves: Replace halves of surrogate pairs, which UTF-8 has no form for, instead of escaping them.
        nesting: Levels from which on a value is refused.
        unescaped: It was stored without escapes, and stays so if this release reads it equal.
        escaping_bytes: Escape a value with bytes in it: readers take Strands' form of them for a dictionary.

    Returns:
        The tree, and the version of the escapes in it: 0 if there are none.

    Raises:
        ValueRefused: A part has no JSON form, or is nested too deeply.
        RecordTooLarge: It has more parts than the largest record.
    """
    reason = "nested too deeply for what is left of the stack"
    for escapes in (False, True):
        encoder = _Encoder(
            name,
            on_refused or _raise,
            nesting=nesting,
            replacing_halves=replacing_halves,
            is_mistaken=_is_read_as_bytes if unescaped else looks_like_bytes,
            escaping=escapes,
            escaping_bytes=escaping_bytes,
        )
        try:
            return encoder.tree(value), ESCAPES if escapes else 0
        except _EscapesNeededError:
            continue
        except ValueRefused as refused:
            name, reason = refused.path, refused.reason
        except RecursionError:
            pass
        break
    raise ValueRefused(name, reason)  # from here: hundreds of frames with the value in them are kept by no traceback


def json_bytes(value: Any) -> bytes:
    """Return the JSON that a value is recorded as, to see whether it has changed, or its size. Refuses nothing.

    What is refused elsewhere is replaced by its type's name here.
    """
    form = form_of(value)
    if form is not Form.ODD:
        try:
            return _plain_json(value if form is Form.PLAIN else with_markers(value))
        except UnicodeEncodeError:
            pass
    try:
        tree, _ = to_json(value, on_refused=lambda refused, _path: str(refused))
    except ValueRefused as refused:
        tree = str(refused)
    return _plain_json(tree)


def without_refused(value: Any, name: str = "value") -> Any:
    """Return a message, or part of one, with a text in place of each part that is refused.

    Where Strands wants a block of content or the input of a tool, the text is wrapped in one, so that what providers
    check has its shape. If something is nested too deeply, all that is deeper than ``SHALLOW`` is replaced: what is
    left has to be restored and copied wherever a later agent runs.
    """

    def instead(refused: ValueRefused, path: Path) -> Any:
        text = f"[not recorded: {refused.reason}]"
        match path:
            case (*_, "content", int()):
                return {"text": text}
            case (*_, "toolUse", "input"):
                return {"not_recorded": text}
            case _:
                return text

    nesting = NESTING if form_of(value, SHALLOW) is not Form.ODD or depth_of(value) < NESTING else SHALLOW
    try:
        return from_json(*to_json(value, name, on_refused=instead, nesting=nesting))
    except ValueRefused as refused:
        return instead(refused, ())


def _raise(refused: ValueRefused, _path: Path) -> Any:
    raise refused


def _is_read_as_bytes(value: dict[Any, Any]) -> bool:
    return bytes_of(value) is not None


class _EscapesNeededError(Exception):
    """Raised when the form without escapes cannot hold a value."""


class _Encoder:
    """Encoder of one value into a tree, with the path that it is at."""

    def __init__(
        self,
        name: str,
        on_refused: OnRefused,
        *,
        nesting: int,
        replacing_halves: bool,
        is_mistaken: Callable[[dict[Any, Any]], bool],
        escaping: bool,
        escaping_bytes: bool,
    ) -> None:
        self._name = name
        self._on_refused = on_refused
        self._nesting = nesting
        self._replacing_halves = replacing_halves
        self._is_mistaken = is_mistaken
        self._escaping = escaping
        self._escaping_bytes = escaping or escaping_bytes
        self._path: list[str | int] = []
        self._enclosing: set[int] = set()
        self._parts = 0

    def tree(self, value: Any) -> Any:
        """Turn a part into JSON. Takes one frame for each level, since those of the caller count, too."""
        self._parts += 1
        if self._parts > PARTS:
            raise RecordTooLarge(3 * self._parts, 3 * PARTS)
        if not isinstance(value, dict | list | tuple):
            return self._scalar(value)
        if len(self._path) >= self._nesting - 1:
            return self._refuse(f"nested {NESTING} levels deep or more, which cannot be restored")
        if id(value) in self._enclosing:
            return self._refuse("contains itself")
        self._enclosing.add(id(value))
        inners = value.items() if isinstance(value, dict) else enumerate(value)
        pairs: list[tuple[Any, Any]] = []
        for number, (key, inner) in enumerate(inners):
            self._path.append(_key_shown(key, number))
            pairs.append((key, self.tree(inner)))
            self._path.pop()
        self._enclosing.remove(id(value))
        if isinstance(value, dict):
            return self._dictionary(value, pairs)
        elements = [element for _, element in pairs]
        return elements if isinstance(value, list) else self._escape("$tuple", elements)

    def _scalar(self, value: Any) -> Any:
        if value is None or value is True or value is False:
            return value
        if isinstance(value, str):
            return self._text(str.__str__(value))
        if isinstance(value, int):
            number = int.__int__(value)
            return number if is_readable(number) else self._refuse(f"an int of more than {DIGITS} digits is too long")
        if isinstance(value, float):
            real = float.__float__(value)
            return real if math.isfinite(real) else self._escape("$float", repr(real))
        if isinstance(value, bytes):
            data = base64.b64encode(value).decode()
            return self._escape("$bytes", data) if self._escaping_bytes else {BYTES: True, "data": data}
        return self._refuse(f"{_with_article(value)} has no JSON form")

    def _dictionary(self, value: dict[Any, Any], pairs: list[tuple[Any, Any]]) -> Any:
        names = [self._key(key) for key, _ in pairs]
        if self._escaping:
            mistaken = len(names) == 1 and isinstance(names[0], str) and names[0].startswith("$")
        else:
            mistaken = self._is_mistaken(value)
        if mistaken or not all(isinstance(name, str) for name in names):
            return self._escape("$dict", [[name, inner] for name, (_, inner) in zip(names, pairs, strict=True)])
        return {name: inner for name, (_, inner) in zip(names, pairs, strict=True)}

    def _key(self, key: Any) -> Any:
        return (
            self.tree(key)
            if isinstance(key, _KEYS)
            else self._refuse(f"{_with_article(key)} cannot be a key of a dictionary")
        )

    def _text(self, text: str) -> Any:
        try:
            text.encode()
        except UnicodeEncodeError:
            if self._replacing_halves:
                return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
            return self._escape("$text", base64.b64encode(text.encode("utf-8", "surrogatepass")).decode())
        return text

    def _escape(self, mark: str, content: Any) -> Any:
        if not self._escaping:
            raise _EscapesNeededError
        return {mark: content}

    def _refuse(self, reason: str) -> Any:
        path = tuple(self._path)
        return self._on_refused(ValueRefused(shown_path(self._name, path), reason), path)


def _key_shown(key: Any, number: int) -> str | int:
    """Return a dictionary's key, or a list's index, as a path shows it."""
    if isinstance(key, str):
        return str.__str__(key)
    if type(key) is int and key == number:
        return key
    return repr(key) if key is None or isinstance(key, float | bool) else number


def _with_article(value: Any) -> str:
    name = type(value).__name__
    return f"an {name}" if name[:1].lower() in "aeiou" else f"a {name}"


_SHOWN = 12
"""Keys of a path that are shown; later keys are cut."""


def shown_path(name: str, path: Path) -> str:
    """Return a path as text, ``message.content[0].json['a key']…``."""
    keys = (f"[{key}]" if isinstance(key, int) else f".{key}" if key.isidentifier() else f"[{key!r}]" for key in path)
    shown = "".join(key for key, _ in zip(keys, range(_SHOWN), strict=False))
    return f"{name}{shown}" + ("…" if len(path) > _SHOWN else "")
