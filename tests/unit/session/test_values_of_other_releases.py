"""Values of records across releases: older ones are read as they were recorded, and later ones are refused."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strands.types.session import decode_bytes_values, encode_bytes_values

from segue import JournalCorrupt
from segue.journal.records import Record, decode_record, encode_record, is_escaped
from segue.journal.values import with_markers
from tests.unit.session.recorded_values import JSON, VALUES, same, stored


class OldRecord(msgspec.Struct, omit_defaults=True, kw_only=True):
    """A record as the releases before escapes read it."""

    kind: str = "message"
    data: Any = None


def read_by_an_old_release(body: bytes) -> Any:
    return decode_bytes_values(msgspec.json.decode(body, type=OldRecord).data)


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
@given(JSON)
def test_a_state_of_an_older_release_holds_dictionaries_whatever_they_look_like(tree: Any) -> None:
    """Strands takes no bytes there: an agent could not be restored with them."""
    assert decode_record(msgspec.json.encode({"kind": "state", "data": tree})).data == tree


def test_escapes_of_a_later_version_are_refused() -> None:
    with pytest.raises(JournalCorrupt, match="newer Segue"):
        decode_record(b'{"escaped":2,"data":[]}')
    with pytest.raises(JournalCorrupt, match="not an escape"):
        decode_record(b'{"escaped":1,"data":{"$later":[]}}')
    for damaged in ('{"$tuple":5}', '{"$float":"1"}', '{"$dict":[[1]]}', '{"$bytes":"!"}', '{"$dict":[[[],1]]}'):
        with pytest.raises(JournalCorrupt, match="read"):
            decode_record(b'{"escaped":1,"data":' + damaged.encode() + b"}")
