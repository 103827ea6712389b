"""Values that records hold: equal and of the same type after a round trip, never read as anything else, or refused."""

from __future__ import annotations

import collections
import enum
import json
import math
import sys
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from strands.types.session import decode_bytes_values, encode_bytes_values

from segue import JournalCorrupt, ValueRefused
from segue.journal.encoder import json_bytes, to_json, without_refused
from segue.journal.records import Record, decode_record, encode_record, is_escaped
from segue.journal.values import NESTING, from_json, with_markers

MARKER = "__bytes_encoded__"


class OldRecord(msgspec.Struct, omit_defaults=True, kw_only=True):
    """A record as the releases before escapes read it."""

    kind: str = "message"
    data: Any = None


def read_by_an_old_release(body: bytes) -> Any:
    return decode_bytes_values(msgspec.json.decode(body, type=OldRecord).data)


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


@pytest.mark.slow
@given(VALUES)
def test_json_values_and_bytes_are_equal_after_a_round_trip(value: Any) -> None:
    assert same(after(value), value)


@pytest.mark.slow
@given(VALUES)
def test_a_value_that_an_older_release_would_misread_is_escaped(value: Any) -> None:
    body = stored(value)

    if not is_escaped(body):
        assert same(read_by_an_old_release(body), value)


@pytest.mark.slow
@given(
    st.recursive(st.none() | st.integers(-9, 9) | st.text(max_size=3) | st.binary(max_size=3), st.lists, max_leaves=5)
)
def test_a_value_that_needs_no_escapes_is_written_as_before(value: Any) -> None:
    record = Record(kind="internal", data=value)

    assert encode_record(record) == msgspec.json.encode(
        msgspec.structs.replace(record, data=encode_bytes_values(value))
    )


@pytest.mark.slow
@given(ANY)
def test_every_value_is_recorded_or_refused_and_what_is_recorded_instead_can_be_read(value: Any) -> None:
    refused: ValueRefused | None = None
    try:
        recorded = after(value)
    except ValueRefused as error:
        refused = error
        value = without_refused(value)
        recorded = after(value)

    assert same(recorded, value)
    assert refused is None or refused.path.startswith("internal")


@pytest.mark.slow
@given(ANY)
def test_any_value_can_be_compared_and_measured(value: Any) -> None:
    assert json_bytes(value) == json_bytes(value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=4) | st.sampled_from(["AAE=", "AAF=", "!"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=3) | NAMES, inner | st.just(True), max_size=4)
        | st.fixed_dictionaries({MARKER: inner | st.just(True), "data": inner})
    ),
    max_leaves=8,
)


@pytest.mark.slow
@given(JSON)
def test_a_record_of_an_older_release_is_read_as_it_was_recorded(tree: Any) -> None:
    """Whatever an older release acknowledged can be read: it wrote every value that JSON has as it is."""
    body = msgspec.json.encode({"kind": "internal", "data": tree})

    found = decode_record(body).data

    # What is not exactly what Strands' encoding writes is the user's own.
    assert with_markers(found) == tree
    try:
        before = read_by_an_old_release(body)
    except (ValueError, TypeError):
        return  # the older release could not read its own record
    if encode_bytes_values(before) == tree:
        assert same(found, before)


@pytest.mark.slow
@given(JSON)
def test_a_record_stored_without_escapes_is_rewritten_without(tree: Any) -> None:
    found = decode_record(msgspec.json.encode({"kind": "internal", "data": tree}))

    again = encode_record(found, stored=True, unescaped=True)

    assert not is_escaped(again)
    assert same(decode_record(again).data, found.data)


@pytest.mark.slow
@given(st.binary(max_size=60) | JSON.map(lambda tree: json.dumps({"escaped": 1, "data": tree}).encode()))
def test_bytes_that_are_no_record_raise_only_journal_corrupt(body: bytes) -> None:
    wrong: JournalCorrupt | None = None
    try:
        decode_record(body, "some object", 7)
    except JournalCorrupt as error:
        wrong = error

    assert wrong is None or (wrong.key, wrong.record) == ("some object", 7)


@pytest.mark.slow
@given(VALUES | JSON)
@example({"__bytes_encoded__": b""})  # neither plain nor binary, because of the key
def test_a_state_is_equal_after_a_round_trip_and_holds_no_bytes_that_it_did_not_hold(value: Any) -> None:
    assert same(decode_record(stored(value, "state")).data, value)


@pytest.mark.slow
@given(JSON)
def test_a_state_of_an_older_release_holds_dictionaries_whatever_they_look_like(tree: Any) -> None:
    """Strands takes no bytes there: an agent could not be restored with them."""
    assert decode_record(msgspec.json.encode({"kind": "state", "data": tree})).data == tree


class Colour(enum.StrEnum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


class Point(NamedTuple):
    x: int
    y: int


class Text(str):
    __slots__ = ()


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (Colour.RED, "red"),
        (Level.LOW, 1),
        (Point(1, 2), (1, 2)),
        (Text("x"), "x"),
        ({Text("k"): Text("v")}, {"k": "v"}),
        ({Colour.RED: Level.LOW}, {"red": 1}),
        (collections.OrderedDict(a=1), {"a": 1}),
        (collections.defaultdict(list, a=[1]), {"a": [1]}),
    ],
)
def test_a_subclass_comes_back_as_the_value_that_it_equals(value: Any, plain: Any) -> None:
    assert same(after(value), plain)
    assert value == plain


@pytest.mark.parametrize(
    ("value", "path", "reason"),
    [
        ({"prices": [1, {2}]}, "internal.prices[1]", "a set has no JSON form"),
        ({"eur price": Decimal(1)}, "internal['eur price']", "a Decimal has no JSON form"),
        ({"x": object()}, "internal.x", "an object has no JSON form"),
        ({"x": bytearray(b"x")}, "internal.x", "a bytearray has no JSON form"),
        ({"x": {(1, 2): 3}}, "internal.x", "a tuple cannot be a key of a dictionary"),
        ({"x": (1, {"y": {1}})}, "internal.x[1].y", "a set has no JSON form"),
        ({"x": 10**4300}, "internal.x", "an int of more than 4300 digits is too long"),
    ],
)
def test_a_value_without_a_json_form_is_refused_with_its_path(value: Any, path: str, reason: str) -> None:
    with pytest.raises(ValueRefused) as refused:
        stored(value)

    assert (refused.value.path, refused.value.reason) == (path, reason)
    assert f"{path}: {reason}; make it what JSON has" in str(refused.value)


def test_an_integer_of_so_many_digits_is_taken_whatever_this_process_allows() -> None:
    largest = 10**4300 - 1
    before = sys.get_int_max_str_digits()
    try:
        sys.set_int_max_str_digits(0)
        assert after(largest) == largest
        with pytest.raises(ValueRefused, match="4300 digits"):
            stored(-(10**4300))
    finally:
        sys.set_int_max_str_digits(before)


def nested(levels: int, kind: type = list) -> Any:
    value: Any = kind()
    for _ in range(levels - 1):
        value = {"a": value} if kind is dict else kind([value])
    return value


@pytest.mark.parametrize("kind", [list, dict, tuple])
def test_a_value_is_taken_up_to_a_nesting_that_can_be_restored(kind: type) -> None:
    assert after(nested(NESTING - 1, kind)) == nested(NESTING - 1, kind)
    for levels in (NESTING, NESTING + 1, 5000):
        with pytest.raises(ValueRefused, match="nested"):
            stored(nested(levels, kind))


@pytest.mark.slow
def test_a_value_that_contains_itself_is_refused() -> None:
    ring: list[Any] = []
    ring.append(ring)
    many: list[Any] = []
    many += [many, many, many]

    for value in (ring, many):
        with pytest.raises(ValueRefused, match="contains itself"):
            stored({"x": value})
    assert same(after([[]] * 2), [[], []]), "twice is not within"


def test_a_stored_record_is_written_again_at_any_depth() -> None:
    deep = decode_record(b'{"kind":"state","data":' + b"[" * 600 + b"]" * 600 + b"}")

    assert decode_record(encode_record(deep, stored=True)) == deep


def test_halves_of_surrogate_pairs_are_kept_but_in_what_providers_are_shown() -> None:
    halves = "a\ud83d, \ude00\ud83d"
    message = {"role": "user", "content": [{"text": halves}], "tracking_id": "m"}

    shown = decode_record(encode_record(Record(kind="message", data={"message": message})))

    assert after({"half": halves, halves: 1}) == {"half": halves, halves: 1}
    assert shown.data["message"]["content"] == [{"text": "a\ufffd, \ufffd\ufffd"}]
    assert not is_escaped(encode_record(shown)), "older releases read it"


def test_escapes_of_a_later_version_are_refused() -> None:
    with pytest.raises(JournalCorrupt, match="newer Segue"):
        decode_record(b'{"escaped":2,"data":[]}')
    with pytest.raises(JournalCorrupt, match="not an escape"):
        decode_record(b'{"escaped":1,"data":{"$later":[]}}')
    for damaged in ('{"$tuple":5}', '{"$float":"1"}', '{"$dict":[[1]]}', '{"$bytes":"!"}', '{"$dict":[[[],1]]}'):
        with pytest.raises(JournalCorrupt, match="read"):
            decode_record(b'{"escaped":1,"data":' + damaged.encode() + b"}")


def test_placeholders_for_refused_values_have_the_shape_that_providers_check() -> None:
    message = {
        "role": "user",
        "content": [
            {1, 2},
            {"toolUse": {"toolUseId": "t", "name": "pay", "input": {Decimal(1)}}},
            {"toolResult": {"toolUseId": "t", "content": [{"json": {"price": Decimal(1)}}, frozenset()]}},
        ],
    }

    text, use, result = without_refused({"message": message})["message"]["content"]

    assert text == {"text": "[not recorded: a set has no JSON form]"}
    assert use["toolUse"]["input"] == {"not_recorded": "[not recorded: a set has no JSON form]"}
    assert result["toolResult"]["content"] == [
        {"json": {"price": "[not recorded: a Decimal has no JSON form]"}},
        {"text": "[not recorded: a frozenset has no JSON form]"},
    ]


def test_a_value_that_looks_like_an_encoded_tree_survives_a_round_trip() -> None:
    value = {"$tuple": [(1,), {"$dict": []}, {MARKER: True, "data": "AAE="}, b"\x00"], "nan": math.nan}

    tree, escapes = to_json(value)

    assert escapes == 1
    assert same(from_json(tree, escapes), value)
    assert same(from_json(json.loads(json.dumps(tree)), escapes), value)
