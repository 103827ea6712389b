"""Values for records, as Hypothesis makes them, and how they come back."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from segue.journal.records import Record, decode_record, encode_record

MARKER = "__bytes_encoded__"


def stored(value: Any, kind: str = "internal") -> bytes:
    return encode_record(Record(kind=kind, data=value))


def after(value: Any) -> Any:
    return decode_record(stored(value)).data


def same(one: Any, other: Any) -> bool:
    """Tell whether two values are equal, and of the same types throughout; ``nan`` is equal to itself here."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        pairs = zip(one.items(), other.items(), strict=True)
        return len(one) == len(other) and all(same(list(a), list(b)) for a, b in pairs)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float):
        return repr(one) == repr(other)
    return bool(one == other)


HALVES = st.text(st.characters(exclude_categories=()), max_size=5)
NAMES = st.sampled_from([MARKER, "data", "$", "$tuple", "$dict", "$bytes", "$float", "$text", "content", "tracking_id"])
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | HALVES
    | st.binary(max_size=5)
    | st.sampled_from(["AAE=", "AAF=", "AA==", "AB==", "A", "nan"])
)
KEYS = HALVES | NAMES | st.integers() | st.floats() | st.booleans() | st.none()
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(KEYS, inner, max_size=4)
        | st.dictionaries(NAMES, inner | st.just(True), max_size=2)
    ),
    max_leaves=12,
)
WITHOUT_FORM = st.sampled_from([{1, 2}, Decimal("1.5"), object(), frozenset(), bytearray(b"x"), 1j, type, ...])
ANY = st.recursive(
    VALUES | WITHOUT_FORM,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | st.tuples(st.integers()), inner, max_size=3),
    max_leaves=8,
)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=4) | st.sampled_from(["AAE=", "AAF=", "!"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=3) | NAMES, inner | st.just(True), max_size=4)
        | st.fixed_dictionaries({MARKER: inner | st.just(True), "data": inner})
    ),
    max_leaves=8,
)
