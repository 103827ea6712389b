"""Values that records hold: equal and of the same type after a round trip, never read as anything else, or refused."""

from __future__ import annotations

import collections
import enum
import json
import math
import sys
from decimal import Decimal
from typing import Any, NamedTuple

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from segue import JournalCorrupt, ValueRefused
from segue.journal.encoder import json_bytes, to_json, without_refused
from segue.journal.records import Record, decode_record, encode_record, is_escaped
from segue.journal.values import NESTING, from_json
from tests.unit.session.recorded_values import ANY, JSON, MARKER, VALUES, after, same, stored


@pytest.mark.slow
@given(VALUES)
def test_json_values_and_bytes_are_equal_after_a_round_trip(value: Any) -> None:
    assert same(after(value), value)


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
