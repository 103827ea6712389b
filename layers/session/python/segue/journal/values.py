"""Values as JSON and back, equal and of the same type: all that ``json.dumps`` takes, and bytes.

    bytes                          {"__bytes_encoded__": true, "data": "AAE="}     Strands' own form
    all other values of JSON       as they are

A value that this form cannot hold, or that it would read as another, is written *escaped*. In an escaped value an
object whose only key begins with "$" stands for another value, and nothing else does:

    {"$bytes": "AAE="}   {"$tuple": [1, 2]}   {"$float": "nan"}   {"$text": "7aCA"}   {"$dict": [[1, "one"], …]}

The form is noted beside the value (``Record.escaped``), so a user's value cannot pass for an escape. A subclass (an
enumeration's member, a named tuple, an ``OrderedDict``) comes back as the built-in value that it equals.
A value without a JSON form is refused, see docs/rfcs/0010.
"""

from __future__ import annotations

import base64
import binascii
import math
import sys
from enum import Enum, auto
from typing import Any

ESCAPES = 1
"""Version of the escapes. Readers refuse a newer one."""

NESTING = 490
"""Levels of lists and dictionaries at which a value is refused. Strands restores with ``copy.deepcopy``, which takes
two of Python's thousand frames for each level."""

ANY_NESTING = sys.maxsize
"""No limit, for stored values: earlier releases recorded deeper ones."""

DIGITS = 4300
"""Digits of an integer, at most; a longer one is refused. Python prints, and msgspec reads, no longer one."""

CONTAINERS = 200_000
"""Lists and dictionaries in a value that is examined quickly. A larger value may contain itself, and is examined part
by part."""

BYTES = "__bytes_encoded__"
"""The key by which Strands' form of bytes is known (``strands.types.session.encode_bytes_values``)."""

_TOO_LONG: int = 10**DIGITS
_BITS = _TOO_LONG.bit_length() - 1


class Form(Enum):
    """Kinds of values by the work that encoding them takes."""

    PLAIN = auto()
    """A value of JSON. Most are."""
    BINARY = auto()
    """A value of JSON but for bytes in it."""
    ODD = auto()
    """A value to be examined part by part, and escaped, converted or refused."""


def form_of(value: Any, nesting: int = NESTING) -> Form:  # noqa: C901, PLR0912 - one loop, for every message's sake
    """Look a value through. Halves of surrogate pairs are not looked for: encoding finds them."""
    form = Form.PLAIN
    level: list[Any] = [[value]]
    depth = containers = -1  # the list around the value is not its own
    while level:
        depth += 1
        containers += len(level)
        below: list[Any] = []
        for each in level:
            if type(each) is dict:
                if BYTES in each:
                    return Form.ODD
                for key in each:
                    if type(key) is not str:
                        return Form.ODD
                inners = each.values()
            else:
                inners = each
            for inner in inners:
                kind = type(inner)
                if kind is str or kind is bool or inner is None:
                    continue
                if kind is dict or kind is list:
                    below.append(inner)
                elif kind is bytes:
                    form = Form.BINARY
                elif not (is_readable(inner) if kind is int else kind is float and math.isfinite(inner)):
                    return Form.ODD
        if depth >= nesting or containers > CONTAINERS:
            return Form.ODD
        level = below
    return form


def depth_of(value: Any) -> int:
    """Return how many levels of lists and dictionaries a value has, ``NESTING`` if there are as many or more."""
    level, depth = [value], 0
    while level and depth < NESTING:
        level = [each for each in level if isinstance(each, dict | list | tuple)]
        depth += bool(level)
        level = [inner for each in level for inner in (each.values() if isinstance(each, dict) else each)]
        if len(level) > CONTAINERS:  # it may contain itself
            return NESTING
    return depth


def is_readable(number: int) -> bool:
    """Tell whether an integer has few enough digits to be read again."""
    return number.bit_length() < _BITS or -_TOO_LONG < number < _TOO_LONG


def from_json(tree: Any, escapes: int) -> Any:
    """Turn a tree into the value that it stands for.

    Args:
        tree: JSON of ``to_json``, or of an earlier version of Segue.
        escapes: The version of the escapes in it.

    Raises:
        ValueError: It is not one; a newer version has other escapes.
    """
    if escapes == 0:
        return _with_bytes(tree)
    if escapes == ESCAPES:
        return _unescaped(tree)
    raise ValueError(f"written by a newer Segue (escapes {escapes}, this one reads {ESCAPES}): upgrade")


def looks_like_bytes(value: dict[Any, Any]) -> bool:
    """Tell whether releases without escapes read a dictionary as bytes: they check neither other keys nor the data."""
    return bool(value.get(BYTES) is True and "data" in value)


def with_markers(value: Any) -> Any:
    """Turn a ``BINARY`` value into JSON, as ``strands.types.session.encode_bytes_values`` does."""
    if isinstance(value, dict):
        return {key: with_markers(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [with_markers(inner) for inner in value]
    return {BYTES: True, "data": base64.b64encode(value).decode()} if isinstance(value, bytes) else value


_LAST = {"==": "AQgw", "=": "AEIMQUYcgkosw048"}
"""Before padding, the characters that an encoder ends with: the bits that are cut off are 0."""


def bytes_of(value: dict[Any, Any]) -> bytes | None:
    """Return the bytes that Strands' encoding writes as this; None for a user's dictionary that only looks so."""
    data = value.get("data")
    if len(value) != 2 or value.get(BYTES) is not True or not isinstance(data, str):
        return None
    padding = data[len(data.rstrip("=")) :]
    if padding and data[-len(padding) - 1 : -len(padding)] not in _LAST.get(padding, ()):
        return None
    try:
        return binascii.a2b_base64(data, strict_mode=True)
    except ValueError:
        return None


def _with_bytes(tree: Any) -> Any:
    if isinstance(tree, dict):
        if BYTES in tree and (found := bytes_of(tree)) is not None:
            return found
        return {key: _with_bytes(inner) for key, inner in tree.items()}
    return [_with_bytes(inner) for inner in tree] if isinstance(tree, list) else tree


def _unescaped(tree: Any) -> Any:
    # One frame for each level, as deep as records may be.
    if isinstance(tree, list):
        return [_unescaped(inner) for inner in tree]
    if not isinstance(tree, dict):
        return tree
    mark, content = next(iter(tree.items())) if len(tree) == 1 else ("", ())
    try:
        if mark == "$tuple":
            return tuple([_unescaped(inner) for inner in content])
        if mark == "$dict":
            return {_unescaped(key): _unescaped(inner) for key, inner in content}
        if mark.startswith("$"):
            return _scalar(mark, content)
    except TypeError as error:
        raise ValueError(f"{mark} is damaged ({error!r})") from error
    return {key: _unescaped(inner) for key, inner in tree.items()}


def _scalar(mark: str, content: Any) -> Any:
    match mark:
        case "$bytes":
            return base64.b64decode(content, validate=True)
        case "$float" if content in _FLOATS:
            return _FLOATS[content]
        case "$text":
            return base64.b64decode(content, validate=True).decode("utf-8", "surrogatepass")
    raise ValueError(f"{mark} is damaged, or not an escape of version {ESCAPES}")


_FLOATS = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
