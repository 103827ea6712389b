"""Cases: what the server says, what the program is told, what is expected. They are JSON files in ``cases/``.

A case has ``name``, ``about``, ``open`` (for the program) and ``steps``. It may have ``needs`` (abilities of the
client), ``handshakes`` (a status each; 101 admits, and a
close code admits and closes at once), ``tokens`` (one for each connection), ``pongs`` (whether the server answers
pings), ``journal`` (what must have been shown, in order), and ``free`` (rules that the case breaks on purpose). Each
step has one key that names it; docs/clients.md lists them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "cases"

STEPS = frozenset({"do", "expect", "never", "say", "break", "shows", "ends", "counts"})
"""The keys that name a step."""

OPTIONS = frozenset({"over", "before", "times", "at_most", "field", "is", "raw", "binary"})
"""The keys that a step may have beside its name."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One case, as its file has it."""

    name: str
    about: str
    open: Mapping[str, Any]
    steps: tuple[Mapping[str, Any], ...]
    needs: frozenset[str] = frozenset()
    handshakes: tuple[int, ...] = ()
    journal: tuple[str, ...] | None = None
    free: frozenset[str] = frozenset()
    pongs: bool = True
    tokens: tuple[str, ...] = field(default=())


def read_cases(folder: Path = FOLDER) -> list[Case]:
    """Read all cases, by name.

    Raises:
        ValueError: A file has what no case has.
    """
    return [_case(path.name, entry) for path in sorted(folder.glob("*.json")) for entry in json.loads(path.read_text())]


def _case(file: str, entry: dict[str, Any]) -> Case:
    steps = tuple(step for given in entry.pop("steps") for step in _repeated(given))
    for step in steps:
        if len(STEPS & step.keys()) != 1 or not step.keys() <= STEPS | OPTIONS:
            raise ValueError(f"{file}: {entry['name']}: no such step: {step}")
    sets = {name: frozenset(entry.pop(name, ())) for name in ("needs", "free")}
    rows = {name: tuple(entry.pop(name, ())) for name in ("handshakes", "tokens")}
    journal = tuple(entry.pop("journal")) if "journal" in entry else None
    return Case(steps=steps, journal=journal, **sets, **rows, **entry)


def _repeated(step: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Write out a step with ``each`` [first, last]: the text "$n" stands for the number, "$n+3" for a later one."""
    if "each" not in step:
        yield step
        return
    first, last = step["each"]
    for number in range(first, last + 1):
        yield {key: _filled(value, number) for key, value in step.items() if key != "each"}


def _filled(value: Any, number: int) -> Any:
    match value:
        case str() if value.startswith("$n"):
            return number + int(value[2:] or 0)
        case str():
            return value.replace("$n", str(number))
        case list():
            return [_filled(one, number) for one in value]
        case dict():
            return {key: _filled(one, number) for key, one in value.items()}
        case _:
            return value


def matches(pattern: Any, found: Any) -> bool:
    """Tell whether ``found`` has all that the pattern names; ``null`` in a pattern stands for an absent field."""
    match pattern:
        case dict():
            return isinstance(found, dict) and all(matches(value, found.get(key)) for key, value in pattern.items())
        case list():
            return (
                isinstance(found, list)
                and len(found) == len(pattern)
                and all(matches(one, other) for one, other in zip(pattern, found, strict=True))
            )
        case _:
            return type(pattern) is type(found) and pattern == found
