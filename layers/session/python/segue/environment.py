"""A typed environment for each entry point: read once, at cold start, and clear about what is missing."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

_E = TypeVar("_E", bound=msgspec.Struct)


class EnvironmentInvalid(Exception):  # noqa: N818 - says what is wrong, not that it is an error
    """Raised when a variable is missing or its value is not allowed: fix the function's configuration."""


def read_environment(kind: type[_E], environ: Mapping[str, str] | None = None) -> _E:
    """Read the variables that a class names: the field ``lock_table`` is SEGUE_LOCK_TABLE.

    A field whose variable has another name says that one: ``msgspec.field(name="worker_port")``.

    Args:
        kind: A struct whose fields are the variables. Fields with a default may be missing.
        environ: Variables; those of the process if left out.

    Raises:
        EnvironmentInvalid: Names all variables that are missing or wrong.
    """
    environ = os.environ if environ is None else environ
    values: dict[str, Any] = {}
    problems: list[str] = []
    for field in msgspec.structs.fields(kind):
        variable = f"SEGUE_{field.encode_name.upper()}"
        if text := environ.get(variable):
            try:
                values[field.name] = msgspec.convert(text, type=field.type, strict=False)
            except msgspec.ValidationError as error:
                problems.append(f"{variable} is wrong: {error}")
        elif field.required:
            problems.append(f"{variable} is missing")
    if problems:
        raise EnvironmentInvalid(f"the environment does not fit {kind.__name__}: {'; '.join(problems)}")
    return kind(**values)
