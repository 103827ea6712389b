"""Checks of single settings: each takes a setting's name and value and returns the value in its own type."""

import re
from collections.abc import Callable
from typing import Any

type Check = Callable[[str, Any], Any]


class ConfigurationError(ValueError):
    """A setting cannot be used: change it (`-c name=value`, or `context` in `cdk.json`) and synthesize again."""

    def __init__(self, name: str, value: object, allowed: str) -> None:
        self.name, self.value, self.allowed = name, value, allowed
        super().__init__(f"setting {name}={value!r} is not possible; allowed: {allowed}")


def matching(pattern: str, description: str) -> Check:
    """A text that the regular expression matches as a whole."""

    def check(name: str, value: Any) -> str:
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            raise ConfigurationError(name, value, description)
        return value

    return check


def one_of(*allowed: str) -> Check:
    """One of a few words."""

    def check(name: str, value: Any) -> str:
        if value not in allowed:
            raise ConfigurationError(name, value, ", ".join(allowed))
        return str(value)

    return check


def whole_number(low: int, high: int) -> Check:
    """A whole number from `low` to `high`, given as a number or (from the command line) as text."""

    def check(name: str, value: Any) -> int:
        number = _whole(value)
        if number is None or not low <= number <= high:
            raise ConfigurationError(name, value, f"a whole number from {low} to {high}")
        return number

    return check


def one_of_numbers(*allowed: int) -> Check:
    """One of a few whole numbers, given as a number or (from the command line) as text."""

    def check(name: str, value: Any) -> int:
        number = _whole(value)
        if number not in allowed:
            raise ConfigurationError(name, value, ", ".join(str(each) for each in allowed))
        return number

    return check


def _whole(value: Any) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and value.is_integer():  # numbers in cdk.json may arrive as 3.0
        return int(value)
    return int(value) if isinstance(value, str) and re.fullmatch(r"\d{1,9}", value) else None
