"""Attributes of an item in the lock table, plain and in DynamoDB's typed form."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_WHOLE = re.compile(r"-?\d+", re.ASCII)

Value = str | int | bool | list[str]
"""An attribute's value; kept to what DynamoDB, a JSON file and a dictionary all hold alike."""

Attributes = dict[str, Value]
"""An item's attributes by name."""


def plain(attributes: Mapping[str, Mapping[str, Any]]) -> Attributes:
    """Turn DynamoDB's typed attribute values into plain ones. A value without a plain form stays for ``parse``."""
    return {name: _plain(value) for name, value in attributes.items()}


def _plain(value: Mapping[str, Any]) -> Value:
    ((kind, content),) = value.items()
    match kind:
        case "N":
            return int(content) if _WHOLE.fullmatch(content) else content
        case "L":
            return [_plain(element) for element in content]  # type: ignore[misc]  # texts, or what ``parse`` refuses
        case _:
            return content  # type: ignore[no-any-return]  # S and BOOL hold what they say


def typed(value: Value) -> dict[str, Any]:
    """Turn a plain value into DynamoDB's typed form."""
    match value:
        case bool():
            return {"BOOL": value}
        case int():
            return {"N": str(value)}
        case str():
            return {"S": value}
        case list():
            return {"L": [{"S": element} for element in value]}
