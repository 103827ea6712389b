"""Checks of a guard item: each attribute by itself, and contradictions between them.

An item is checked once, where it is read (``GuardItem.parse``), and everything after that relies on it. An impossible
number is refused here, before anything is sized by it, and before it makes a session look ended.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
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
    for name in attributes:
        problems += _problems_of(name, attributes[name])
    return problems


def _problems_of(name: str, value: Any) -> Iterator[str]:
    if (most := _NUMBERS.get(name)) is not None:
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
            yield f"its {name} is {_shown(value)}, not a whole number from 0 to {most}"
    elif name in _TEXTS:
        if not isinstance(value, str):
            yield f"its {name} is {_shown(value)}, not a text"
        elif not _has_form(name, value):
            yield f"its {name} is {_shown(value)}, which cannot be read"
    elif name in _LISTS:
        if not isinstance(value, list):
            yield f"its {name} is {_shown(value)}, not a list"
            return
        form = _FORMS_OF_ELEMENTS[name]
        odd = next((one for one in value if not isinstance(one, str) or not form.fullmatch(one)), None)
        if odd is not None:
            yield f"its {name} has {_shown(odd)}, which cannot be read"


def _has_form(name: str, value: str) -> bool:
    form = _FORMS.get(name)
    return is_born(value) if name == "born" else form is None or bool(form.fullmatch(value))


def contradictions(item: GuardItem) -> list[str]:
    """List the contradictions between the attributes of a readable item."""
    problems = {
        f"its expires_at of {item.expires_at} is before the time in its born, {item.born}": (
            item.expires_at < item.born_at
        ),
        "it is held, without a holder's name or a lease": item.held and (item.holder is None or item.lease_ms < 1),
        "it is deleted, and held": item.deleted and item.held,
    }
    if not item.deleted:
        problems |= _contradictions_of_records(item)
    return [problem for problem, wrong in problems.items() if wrong]


def _contradictions_of_records(item: GuardItem) -> dict[str, bool]:
    firsts = [entry.first for entry in item.tail]
    late = [str(entry) for entry in item.tail if entry.epoch > item.epoch]
    last = item.tail[-1].commit_id if item.tail else None
    objects = item.pages + len(item.tail)
    unknown = [number for number in (item.scrub or "").split() if int(number) >= item.head]
    return {
        f"its tail is out of order: {_shown(firsts)}": firsts != sorted(set(firsts)),
        f"its tail goes beyond its head of {item.head}": any(first >= item.head for first in firsts),
        f"its tail begins with record {firsts[:1]}, after {item.pages} pages": bool(firsts)
        and (firsts[0] < item.pages or (item.pages == 0) != (firsts[0] == 0)),
        f"its tail has no commit of its {item.head} records": bool(item.head) and not item.tail,
        f"its tail ends at record {firsts[-1:]}, its head at {item.head}": bool(firsts)
        and item.head - firsts[-1] > _MOST_RECORDS,
        f"its tail names epochs above its own of {item.epoch}: {_shown(late)}": bool(late),
        f"its last commit is {_shown(item.commit_id)}, its tail ends with {_shown(last)}": last != item.commit_id,
        f"it names {objects} objects for {item.head} records": objects > item.head,
        f"its volumes are {_shown(item.volumes)}, of {item.pages} pages": len(item.volumes) > item.pages,
        f"its scrub names records {_shown(unknown)}, its head is {item.head}": bool(unknown),
    }


def _shown(value: Any) -> str:
    """Return a value as an error shows it, cut after 80 characters."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}…"
