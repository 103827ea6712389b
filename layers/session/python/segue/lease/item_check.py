"""Checks of a guard item: each attribute by itself, and contradictions between them.

An item is checked once, where it is read (``GuardItem.parse``), and everything after that relies on it. An impossible
number is refused here, before anything is sized by it, and before it makes a session look ended.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segue.lease.item import GuardItem

_MOST = 2**53
"""Largest value of a counter; a larger one is refused. One change a microsecond takes 285 years to reach it."""

_MOST_RECORDS = 2**20
"""Records of one commit, at most; writers commit 256. A ``head`` farther from the tail's end is refused."""

LONGEST_LEASE_MS = 2**31 - 1
"""Longest lease in milliseconds, 24 days; a longer one is refused, since a dead holder would keep its session."""

_LAST_SECOND = 253_402_300_799
"""Latest ``expires_at``, the end of the year 9999; Python's calendar ends there, and a later one is refused."""

_NUMBERS = {
    "epoch": _MOST,
    "expires_at": _LAST_SECOND,
    "beat": _MOST,
    "lease_ms": LONGEST_LEASE_MS,
    "head": _MOST,
    "pages": _MOST,
}
_TEXTS = (
    *("session_key", "born", "acquire_id", "holder", "endpoint", "route_token"),
    *("volumes", "commit_id", "scrub", "prefix"),
)
_LISTS = ("tail", "inputs")

_ALWAYS = ("session_key", "born", "epoch", "expires_at", "beat", "lease_ms")
_LIVING = ("head", "pages", "tail", "inputs")
"""Attributes that a tombstone lacks."""

_BORN = re.compile(r"(\d{8}T\d{6}Z)-[0-9a-f]{32}", re.ASCII)
_COMMIT_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_TAIL_ENTRY = re.compile(rf"\d{{1,16}}\.\d{{1,16}}\.{_COMMIT_ID.pattern}", re.ASCII)
_INPUT = re.compile(r"[^ ]+ \d{1,16} (\d{1,16}(,\d{1,16})*)?", re.ASCII)
_SCRUB = re.compile(r"\d{1,16}( \d{1,16})*", re.ASCII)
_VOLUMES = re.compile(r"[01]*")

_FORMS = {"commit_id": _COMMIT_ID, "scrub": _SCRUB, "volumes": _VOLUMES}
_FORMS_OF_ELEMENTS = {"tail": _TAIL_ENTRY, "inputs": _INPUT}


def expiry(at: float, seconds: int) -> int:
    """Return when a session expires that is not used for so long: "never" is the end of the year 9999."""
    return min(int(at) + seconds, _LAST_SECOND)


@functools.lru_cache(maxsize=1024)  # each reading of an item asks for its own several times
def born_at(born: str) -> float:
    """Return the time at which an incarnation began, in seconds since 1970, from ``born``.

    Raises:
        ValueError: The text is not a ``born``.
    """
    named = _BORN.fullmatch(born)
    if named is None:
        raise ValueError(f"{born!r} does not name an incarnation")
    return datetime.strptime(named[1], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()


def is_born(born: str) -> bool:
    """Tell whether a text is a ``born``, the name of an incarnation."""
    try:
        return born_at(born) >= 0
    except ValueError:
        return False


def unreadable(attributes: Mapping[str, Any]) -> list[str]:
    """List the attributes that are missing or have an impossible value, each by itself.

    Args:
        attributes: Attributes of a guard item whose schema is known.
    """
    deleted = attributes.get("deleted", False)
    needed = _ALWAYS if deleted is True else _ALWAYS + _LIVING
    problems = [f"its {name} is missing" for name in needed if name not in attributes]
    if not isinstance(deleted, bool):
        problems.append(f"its deleted is {_shown(deleted)}, not true or false")
    for name, value in attributes.items():
        if (check := _CHECKS.get(name)) is not None and (problem := check(name, value)) is not None:
            problems.append(f"its {name} {problem}")
    return problems


def _problem_of_number(name: str, value: Any) -> str | None:
    most = _NUMBERS[name]
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most:
        return None
    return f"is {_shown(value)}, not a whole number from 0 to {most}"


def _problem_of_text(name: str, value: Any) -> str | None:
    if not isinstance(value, str):
        return f"is {_shown(value)}, not a text"
    return None if _has_form(name, value) else f"is {_shown(value)}, which cannot be read"


def _problem_of_list(name: str, value: Any) -> str | None:
    if not isinstance(value, list):
        return f"is {_shown(value)}, not a list"
    form = _FORMS_OF_ELEMENTS[name]
    for one in value:
        if not isinstance(one, str) or not form.fullmatch(one):
            return f"has {_shown(one)}, which cannot be read"
    return None


_CHECKS: Mapping[str, Callable[[str, Any], str | None]] = {
    **dict.fromkeys(_NUMBERS, _problem_of_number),
    **dict.fromkeys(_TEXTS, _problem_of_text),
    **dict.fromkeys(_LISTS, _problem_of_list),
}


def _has_form(name: str, value: str) -> bool:
    form = _FORMS.get(name)
    return is_born(value) if name == "born" else form is None or bool(form.fullmatch(value))


def contradictions(item: GuardItem) -> list[str]:
    """List the contradictions between the attributes of a readable item."""
    return [*_contradictions_of_holder(item), *(() if item.deleted else _contradictions_of_records(item))]


def _contradictions_of_holder(item: GuardItem) -> Iterator[str]:
    if item.expires_at < item.born_at:
        yield f"its expires_at of {item.expires_at} is before the time in its born, {item.born}"
    if item.held and (item.holder is None or item.lease_ms < 1):
        yield "it is held, without a holder's name or a lease"
    if item.deleted and item.held:
        yield "it is deleted, and held"


def _contradictions_of_records(item: GuardItem) -> Iterator[str]:
    yield from _contradictions_of_tail(item)
    if item.head and not item.tail:
        yield f"its tail has no commit of its {item.head} records"
    last = item.tail[-1].commit_id if item.tail else None
    if last != item.commit_id:
        yield f"its last commit is {_shown(item.commit_id)}, its tail ends with {_shown(last)}"
    if (objects := item.pages + len(item.tail)) > item.head:
        yield f"it names {objects} objects for {item.head} records"
    if len(item.volumes) > item.pages:
        yield f"its volumes are {_shown(item.volumes)}, of {item.pages} pages"
    if unknown := [number for number in (item.scrub or "").split() if int(number) >= item.head]:
        yield f"its scrub names records {_shown(unknown)}, its head is {item.head}"


def _contradictions_of_tail(item: GuardItem) -> Iterator[str]:
    if not item.tail:
        return
    firsts = [entry.first for entry in item.tail]
    if firsts != sorted(set(firsts)):
        yield f"its tail is out of order: {_shown(firsts)}"
    if max(firsts) >= item.head:
        yield f"its tail goes beyond its head of {item.head}"
    if firsts[0] < item.pages or (item.pages == 0) != (firsts[0] == 0):
        yield f"its tail begins with record {firsts[:1]}, after {item.pages} pages"
    if item.head - firsts[-1] > _MOST_RECORDS:
        yield f"its tail ends at record {firsts[-1:]}, its head at {item.head}"
    if late := [str(entry) for entry in item.tail if entry.epoch > item.epoch]:
        yield f"its tail names epochs above its own of {item.epoch}: {_shown(late)}"


def _shown(value: Any) -> str:
    """Return a value as an error shows it, cut after 80 characters."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}…"
