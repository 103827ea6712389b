r"""Redaction, which is physical: the old content leaves every object of the session.

    commit      the "redact" record, the tail's segments written anew without the content, and ``scrub``
    scrub       segments that nothing names deleted; pages and volumes rewritten in place under If-Match; those that
                no commit names, and the keys where one may still arrive, blanked
    clear       ``scrub`` removed

A crash between the steps leaves ``scrub`` behind, and the next holder finishes the redaction. Earlier points in time
show the redacted form, too.

A page or a volume is never deleted before the session ends: its key is used again, and a deletion that arrives late
would hit a later holder's object. A blank makes requests in flight fail, since each names the version that it
replaces, or that there is none (docs/rfcs/0002). A segment in flight with the old content can only create an orphan,
which the next collection deletes.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any

import msgspec

from segue.errors import JournalCorrupt
from segue.ids import new_id
from segue.journal.blocks import Block, Segment, bind, decode_block, encode_blank, pack
from segue.journal.keys import ObjectKeys
from segue.journal.message_shape import Replacements, id_of, replaced, replacement_in
from segue.journal.records import Record, decode_record, encode_record, is_escaped, unreadable
from segue.lease.item import GuardItem, TailEntry
from segue.storage.interface import ObjectMissing, ObjectStore, PreconditionFailed

logger = logging.getLogger(__name__)

_HOLDING = frozenset({"message", "update", "redact"})
_EMBEDDING = "internal"
"""Kind of a record whose data may hold messages: Strands' state of an ``Agent``, such as a conversation summary."""


_SIMPLE = re.compile(r"(?!(True|False|None|nan|-?inf)$)[A-Za-z0-9_:-]+")
"""Tracking ids whose JSON holds their very text, numbers too. Records are decoded to find any other id."""


def replacement_of(record: Record) -> dict[str, Any]:
    """Return the replacement that a "redact" record makes, by tracking id."""
    message = record.data["message"]
    if not isinstance(message["tracking_id"], str | int):
        raise TypeError(f"a {type(message['tracking_id']).__name__}, not a tracking id")
    return {id_of(message): message}


def replacements_of(redactions: Sequence[Record]) -> dict[str, Any]:
    """Return the replacements of several "redact" records. Those that are damaged are logged: readers skip them."""
    replacements: dict[str, Any] = {}
    for record in redactions:
        try:
            replacements |= replacement_of(record)
        except (AttributeError, KeyError, TypeError):
            logger.error("a redaction is damaged, its content cannot be found", extra={"kind": record.kind})  # noqa: TRY400 - no payload
    return replacements


def redacted(body: bytes, replacements: Replacements) -> bytes:
    """Return a record's JSON without redacted content; the very same bytes if it has none.

    A record that cannot be decoded may hold such content. If it names the message, it is replaced as a whole.
    """
    if not any(not _SIMPLE.fullmatch(tracking_id) or tracking_id.encode() in body for tracking_id in replacements):
        return body
    try:
        record = decode_record(body)
    except JournalCorrupt as error:
        return encode_record(unreadable(error)) if _may_name(body, replacements) else body
    without = record_without(record, replacements)
    return body if without is record else encode_record(without, stored=True, unescaped=not is_escaped(body))


def _may_name(body: bytes, replacements: Replacements) -> bool:
    """Tell whether the bytes of a record that cannot be decoded hold one of the tracking ids."""
    forms = (form for known in replacements for form in (msgspec.json.encode(known), json.dumps(known).encode()))
    return any(form[1:-1] in body for form in forms)


def record_without(record: Record, replacements: Replacements) -> Record:
    """Return a record without redacted content; the very same one if it has none."""
    data = record.data
    if record.kind == _EMBEDDING:
        data = replaced(data, replacements)
        data = _without_reasons_in(data, replacements)
    elif record.kind in _HOLDING and isinstance(data, dict) and isinstance(message := data.get("message"), dict):
        replacement = replacement_in(message, replacements)
        data = data if replacement is None else {**data, "message": replacement}
    return record if data is record.data else msgspec.structs.replace(record, data=data)


def _without_reasons_in(internal: Any, replacements: Replacements) -> Any:
    state = internal.get("interrupt_state") if isinstance(internal, dict) else None
    if not isinstance(state, dict) or (without := without_reasons(state, replacements)) is state:
        return internal
    return {**internal, "interrupt_state": without}


def without_reasons(state: dict[str, Any], redacted_ids: Collection[str]) -> dict[str, Any]:
    """Return an interrupt state without the reasons of interrupts that have stopped tools of a redacted message.

    Reasons often repeat the tools' arguments. It is the very same state if it has none.
    """
    pending, interrupts = state.get("pending_tool_execution"), state.get("interrupts")
    message = pending.get("assistant_message") if isinstance(pending, dict) else None
    if not isinstance(message, dict) or not isinstance(interrupts, dict) or id_of(message) not in redacted_ids:
        return state
    with_reason = {
        one: interrupt
        for one, interrupt in interrupts.items()
        if isinstance(interrupt, dict) and interrupt.get("reason") is not None
    }
    if not with_reason:
        return state
    without = {one: {**interrupt, "reason": None} for one, interrupt in with_reason.items()}
    return {**state, "interrupts": {**interrupts, **without}}


def redact_segments(segments: Sequence[Segment], epoch: int, replacements: Replacements) -> dict[int, Segment]:
    """Return new versions, under new commit ids, of the segments that hold redacted content, by index."""
    changed: dict[int, Segment] = {}
    for index, segment in enumerate(segments):
        records = tuple(redacted(body, replacements) for body in segment.records)
        if records != segment.records:
            entry = TailEntry(segment.entry.first, epoch, new_id(64))
            changed[index] = Segment(entry, records)
    return changed


async def redact_pages(
    objects: ObjectStore,
    keys: ObjectKeys,
    item: GuardItem,
    replacements: Replacements,
    check: Callable[[], Awaitable[None]],
) -> int:
    """Rewrite, in place, the pages and volumes that hold redacted content, and blank those that no commit names.

    A volume that is lost or damaged is bound again from its pages: its content is unknown. Copies of damaged records
    are emptied, for the same reason.

    Args:
        objects: Store of the objects.
        keys: Object keys of this incarnation.
        item: The guard item, as its holder.
        replacements: The replacements by tracking id.
        check: Checks the lease; called between reading an object and replacing that version.

    Returns:
        The number of objects that were rewritten.

    Raises:
        SessionFenced: Another holder has the lease; the next holder finishes.
        JournalCorrupt: A page cannot be read.
    """
    count, named, volumes = 0, keys.sealed(item), keys.bound(item)
    for key in named:
        try:
            count += await _sweep_page(objects, key, item, replacements, check)
        except JournalCorrupt:
            if key not in volumes:
                raise
            await _bind_again(objects, key, volumes[key], item, check)
            count += 1
    listed = await objects.list(keys.root)
    there = {key for key in listed if key.startswith((keys.pages, keys.volumes, keys.saved))}
    for key in sorted(there.union(keys.vacant(item)).difference(named)):
        await _blank_page(objects, key, item, check)
    return count


async def _blank_page(objects: ObjectStore, key: str, item: GuardItem, check: Callable[[], Awaitable[None]]) -> None:
    await _put_over(objects, key, encode_blank(item, new_id(64)), check)


async def _bind_again(
    objects: ObjectStore, key: str, pages: Sequence[str], item: GuardItem, check: Callable[[], Awaitable[None]]
) -> None:
    """Make a volume anew from its pages, which are redacted already."""
    blocks: list[Block] = []
    for page in pages:
        try:
            stored = await objects.get(page)
        except ObjectMissing as missing:
            raise JournalCorrupt(page, "named by the guard, but not there") from missing
        blocks.append(decode_block(page, stored.body, item, first=blocks[-1].end if blocks else None))
    logger.error("a volume is lost or damaged, it was bound again", extra={"object": key})
    await _put_over(objects, key, pack(bind(blocks, new_id(64))), check)


async def _put_over(objects: ObjectStore, key: str, body: bytes, check: Callable[[], Awaitable[None]]) -> None:
    """Put a page or a volume in the place of any that is there."""
    while True:
        try:
            return await objects.put(key, body, if_absent=True)
        except PreconditionFailed:
            pass
        try:
            stored = await objects.get(key)
            await check()
            return await objects.put(key, body, if_match=stored.etag)
        except (PreconditionFailed, ObjectMissing):
            continue


async def _sweep_page(
    objects: ObjectStore, key: str, item: GuardItem, replacements: Replacements, check: Callable[[], Awaitable[None]]
) -> bool:
    while True:
        try:
            stored = await objects.get(key)
        except ObjectMissing as missing:
            await check()  # the session may have ended meanwhile
            raise JournalCorrupt(key, "named by the guard, but not there") from missing
        block = decode_block(key, stored.body, item)
        records = tuple(msgspec.Raw(redacted(bytes(raw), replacements)) for raw in block.records)
        if all(bytes(new) == bytes(old) for new, old in zip(records, block.records, strict=True)):
            return False
        await check()
        body = pack(msgspec.structs.replace(block, records=records))
        try:
            await objects.put(key, body, if_match=stored.etag)
        except (PreconditionFailed, ObjectMissing):
            continue
        return True
