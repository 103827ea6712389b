"""Records, the changes to a session, as JSON; ``segue.journal.blocks`` are the objects that hold them.

Defaults are left out: a record without kind and agent is a message of the agent "default". Its values are as
``segue.journal.values`` says. A record whose values need escapes begins with ``{"escaped":1,``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from segue.errors import JournalCorrupt
from segue.journal.encoder import to_json
from segue.journal.values import ANY_NESTING, BYTES, NESTING, Form, form_of, from_json, with_markers

MAX_RECORD_BYTES = 32 * 1024 * 1024
"""Bytes of a record, at most; a larger one raises RecordTooLarge. Messages are kilobytes, images megabytes."""


class Record(msgspec.Struct, omit_defaults=True, frozen=True, kw_only=True):
    """One change to a session.

    Attributes:
        kind: Kind of the change: ``message``, ``update``, ``redact``, ``state``, … (see ``segue.history.fold``).
        agent: The agent of the session that it concerns.
        at: Time at which it was queued, in milliseconds since 1970, for people.
        data: The change itself; its shape depends on the kind.
        inputs: Client input frames whose effect this record is, as (client id, sequence numbers).
        escaped: In storage only: the version of the escapes in ``data``, 0 if it needs none. It stands first there.
    """

    escaped: int = 0
    kind: str = "message"
    data: Any = None
    agent: str = "default"
    at: int = 0
    inputs: tuple[str, tuple[int, ...]] | None = None


SKIP = "skip"
"""Kind of a record that makes readers skip an earlier one, which is damaged."""

UNREADABLE = "unreadable"
"""Kind of the record in place of one that cannot be decoded, in memory and in a fork of the session."""

_FOR_PROVIDERS = frozenset({"message", "update", "redact", "prompt"})
"""Kinds whose text goes to providers, which take whole characters only: half a surrogate pair is replaced."""

_WITHOUT_BYTES = frozenset({"state"})
"""Kinds that never held bytes, since Strands takes none there. Data that looks like encoded bytes is the user's."""

_encode = msgspec.json.Encoder().encode
_decode_record = msgspec.json.Decoder(Record).decode
_decode_records = msgspec.json.Decoder(list[Record]).decode

_ESCAPED = b'{"escaped":'
_BYTES = BYTES.encode()


def encode_record(record: Record, *, stored: bool = False, unescaped: bool = False) -> bytes:
    """Return a record as JSON.

    Args:
        record: The record.
        stored: It was stored before, and may be of any depth.
        unescaped: It was stored without escapes, and stays so if this release reads it equal: the item's schema may
            admit releases without escapes.

    Raises:
        ValueRefused: Something in it has no JSON form.
        RecordTooLarge: It has more parts than the largest record.
    """
    nesting = ANY_NESTING if stored else NESTING
    form = form_of(record.data, nesting)
    binary = form is Form.BINARY
    if not (form is Form.ODD or (binary and record.kind in _WITHOUT_BYTES)):
        try:
            return _encode(msgspec.structs.replace(record, data=with_markers(record.data)) if binary else record)
        except UnicodeEncodeError:
            pass
    data, escaped = to_json(
        record.data,
        record.kind,
        nesting=nesting,
        unescaped=unescaped,
        escaping_bytes=record.kind in _WITHOUT_BYTES,
        replacing_halves=record.kind in _FOR_PROVIDERS,
    )
    return _encode(msgspec.structs.replace(record, data=data, escaped=escaped))


def is_escaped(body: bytes | msgspec.Raw) -> bool:
    """Tell whether a record's JSON has escapes, which earlier releases would read as the user's own dictionaries."""
    return bytes(body).startswith(_ESCAPED)


_DROPPING = b'{"kind":"window","data":{"drop":'


def is_misread(body: bytes | msgspec.Raw) -> bool:
    """Tell whether a release without escapes, or without windows that ``drop``, would misread a record."""
    return is_escaped(body) or bytes(body).startswith(_DROPPING)


def decode_record(body: bytes | msgspec.Raw, key: str = "record", number: int | None = None) -> Record:
    """Read a record.

    Args:
        body: Its JSON.
        key: Its object's key, for the error.
        number: Its number, for the error.

    Raises:
        JournalCorrupt: It is not one.
    """
    try:
        return _with_values(_decode_record(body), body)
    except (ValueError, RecursionError) as error:  # msgspec's and UnicodeDecodeError are ValueErrors
        raise JournalCorrupt(key, f"cannot be read ({error})", number) from error


def decode_records(bodies: Sequence[msgspec.Raw], first: int, key: str) -> tuple[list[Record], list[JournalCorrupt]]:
    """Read all records of an object, in one go.

    Args:
        bodies: Their JSON.
        first: The number of the first of them.
        key: Their object's key, for the errors.

    Returns:
        The records, with an ``UNREADABLE`` one for each that cannot be decoded; and the faults of those.
    """
    body = b"[" + b",".join(bodies) + b"]"
    try:
        records = _decode_records(body)
        if _BYTES in body or _ESCAPED in body:  # most sessions have neither, and need no second pass
            records = [_with_values(record, raw) for record, raw in zip(records, bodies, strict=True)]
    except (ValueError, RecursionError):
        return _readable(bodies, first, key)
    return records, []


def _readable(bodies: Sequence[msgspec.Raw], first: int, key: str) -> tuple[list[Record], list[JournalCorrupt]]:
    records: list[Record] = []
    damaged: list[JournalCorrupt] = []
    for number, raw in enumerate(bodies, start=first):
        try:
            records.append(decode_record(raw, key, number))
        except JournalCorrupt as error:
            records.append(unreadable(error))
            damaged.append(error)
    return records, damaged


def unreadable(error: JournalCorrupt) -> Record:
    """Return the record in place of one that cannot be decoded."""
    return Record(kind=UNREADABLE, agent="", data={"problem": error.problem})


def skips(records: Sequence[Record]) -> set[int]:
    """Return the numbers of the records that later "skip" records name."""
    found: set[int] = set()
    for number, record in enumerate(records):
        if record.kind == SKIP and isinstance(record.data, dict):
            skipped = record.data.get("record")
            if type(skipped) is int and 0 <= skipped < number:
                found.add(skipped)
    return found


def _with_values(record: Record, raw: bytes | msgspec.Raw) -> Record:
    if not record.escaped and (record.kind in _WITHOUT_BYTES or _BYTES not in bytes(raw)):
        return record
    return msgspec.structs.replace(record, data=from_json(record.data, record.escaped), escaped=0)
