"""The library as a run needs it: small pages, no noise, and all its chance from one seed."""

from __future__ import annotations

import logging
import random
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar
from unittest import mock

import msgspec

from segue.journal import blocks, committer, record_queue, volumes
from segue.lease import attempts
from segue.lease.item import GuardItem
from segue.storage.attributes import Attributes
from tests.simulation.loop import current_process
from tests.simulation.truth import Violation

_T = TypeVar("_T")


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Make the library small and quiet, and draw all its chance from the seed."""
    dice = random.Random(f"{seed}/library")
    full_page = blocks.full_page

    def full_page_of_this_version(segments: Sequence[blocks.Segment]) -> int:
        blocks.PAGE_SEGMENTS, blocks.PAGE_RECORDS = current_process().page_limits
        return full_page(segments)

    def small_enough_for_this_version(size: int) -> bool:
        return size <= current_process().volume_limit

    with (
        mock.patch.object(blocks, "VOLUME_PAGES", 2),
        mock.patch.object(volumes, "small_enough", small_enough_for_this_version),
        mock.patch.multiple(blocks, PAGE_SEGMENTS=0, PAGE_RECORDS=0, TAIL_LIMIT=0),  # put back in the end
        mock.patch.object(committer, "full_page", full_page_of_this_version),
        mock.patch.object(record_queue, "_COMMIT_RECORDS", dice.randint(1, 6)),
        mock.patch.object(attempts, "_POLL_SECONDS", 1.0),  # waiting for a lease would be half of all requests
        mock.patch.object(GuardItem, "parse", _parsed_once()),
        mock.patch.object(blocks, "unpack", _once(blocks.unpack)),
        mock.patch.object(blocks, "_decode_block", _once(blocks._decode_block)),
        mock.patch.object(secrets, "token_urlsafe", lambda count: dice.randbytes(count).hex()),
        mock.patch.object(secrets, "token_hex", lambda count: dice.randbytes(count).hex()),
        mock.patch.object(random, "uniform", dice.uniform),
        _errors_of_the_library(),
    ):
        yield


def _once(decode: Callable[[bytes], _T]) -> Callable[[bytes], _T]:
    """Decode each object once: readers, holders and the ledger look at the same ones, again and again."""
    known = dict[bytes, _T]()

    def decoded(body: bytes) -> _T:
        if (found := known.get(body)) is None:
            found = known[body] = decode(body)
        return found

    return decoded


def _parsed_once() -> Callable[[Attributes], GuardItem]:
    """Parse each state of an item once: all who wait for a lease read the same ones, again and again."""
    parse, known = GuardItem.parse, dict[bytes, GuardItem]()

    def parsed(attributes: Attributes) -> GuardItem:
        written = msgspec.msgpack.encode(attributes)
        if (item := known.get(written)) is None:
            item = known[written] = parse(attributes)
        return item

    return parsed


@contextmanager
def _errors_of_the_library() -> Iterator[None]:
    """Anything that the library logs as an error is one of its own mistakes."""
    logger = logging.getLogger("segue")
    handler = _Raising(logging.ERROR)
    before = logger.level, logger.propagate
    logger.setLevel(logging.ERROR)
    logger.propagate = False
    logger.addHandler(handler)
    try:
        yield
        if handler.first is not None:
            raise Violation(handler.first)
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before[0])
        logger.propagate = before[1]


class _Raising(logging.Handler):
    first: str | None = None

    def emit(self, record: logging.LogRecord) -> None:
        cause = record.exc_info[1] if record.exc_info else None
        self.first = self.first or f"the library logged: {record.getMessage()} {cause!r}"
