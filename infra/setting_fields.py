"""Texts about a setting: for the error that refuses it, and for the documentation."""

from __future__ import annotations

from typing import Any, Literal, get_args, get_origin

from pydantic import Field
from pydantic.fields import FieldInfo


class ConfigurationError(ValueError):
    """Raised for a setting that cannot be used: change it (``-c name=value`` or ``cdk.json``) and synthesize again."""

    def __init__(self, name: str, value: object, allowed: str) -> None:
        self.name, self.value, self.allowed = name, value, allowed
        wrong = f"{name} is missing" if value is None else f"{name}={value!r} is not possible; allowed"
        super().__init__(f"setting {wrong}: {allowed}")


def text(pattern: str, allowed: str, default: str | None = None) -> Any:
    """A text that the regular expression matches as a whole.

    Args:
        pattern: Without anchors.
        allowed: The same for people.
        default: When it is not given.
    """
    return Field(default, pattern=f"^(?:{pattern})$", json_schema_extra={"allowed": allowed})


def number(low: int, high: int, default: int | None) -> Any:
    """A whole number from ``low`` to ``high``."""
    return Field(default, ge=low, le=high)


def allowed_values(field: FieldInfo) -> str:
    """The values that a setting may have, in words."""
    extra = field.json_schema_extra
    if isinstance(extra, dict) and "allowed" in extra:
        return str(extra["allowed"])
    if words := _allowed_words(field.annotation):
        return ", ".join(words)
    low, high = (_bound(field, name) for name in ("ge", "le"))
    return f"a whole number from {low} to {high}"


def _allowed_words(annotation: Any) -> list[str]:
    if get_origin(annotation) is Literal:
        return [str(each) for each in get_args(annotation)]
    return [word for part in get_args(annotation) for word in _allowed_words(part)]


def _bound(field: FieldInfo, name: str) -> Any:
    return next(getattr(each, name) for each in field.metadata if hasattr(each, name))
