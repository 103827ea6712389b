"""Object keys of a session.

    sessions/<session_key>/<born>/segments/<first record>-<epoch>-<commit id>.json    the segment of one commit
    sessions/<session_key>/<born>/pages/<page number>.json                            segments, folded
    sessions/<session_key>/<born>/volumes/<volume number>.json                        a run of pages, copied together
    sessions/<session_key>/<born>/damaged/<record>-<epoch>-<id>.json                  a damaged record, saved (RFC 0010)

A segment's key is never used twice. Those of pages and volumes are: see docs/rfcs/0002.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from segue.journal import blocks
from segue.lease.item import VOLUMES_SCHEMA, GuardItem, TailEntry

MAX_KEY_BYTES: Final = 1024
"""Longest object key of S3, in bytes; a prefix that would need more is refused when a session is opened."""

_SEGMENT_BYTES: Final = 128
"""Longest rest of a key after the session's, in bytes: ``born`` 49, record and epoch 20 each, a commit id 22."""


def normal_prefix(prefix: str) -> str:
    """Return a prefix of object keys as it is used: "", or without a "/" in front and with one at its end."""
    inner = prefix.strip("/")
    return f"{inner}/" if inner else ""


def check_length(prefix: str, session_key: str) -> None:
    """Refuse a prefix that leaves no room for the object keys of a session.

    Raises:
        ValueError: A key could become longer than S3 takes.
    """
    needed = len(f"{prefix}sessions/{session_key}/".encode()) + _SEGMENT_BYTES
    if needed > MAX_KEY_BYTES:
        raise ValueError(
            f"prefix of {len(prefix.encode())} bytes: with {session_key[:40]!r}… object keys would take up to {needed} "
            f"of S3's {MAX_KEY_BYTES} bytes; shorten the prefix, the principal or the session id"
        )


class ObjectKeys:
    """Object keys of one incarnation of a session."""

    def __init__(self, prefix: str, session_key: str, born: str) -> None:
        """Name the incarnation.

        Args:
            prefix: The bucket's prefix, "" or ending in "/".
            session_key: The session.
            born: The incarnation.
        """
        self.root = f"{prefix}sessions/{session_key}/{born}/"

    def segment(self, entry: TailEntry) -> str:
        """Key of a segment; never used twice, since the commit id is fresh for every commit."""
        return f"{self.root}segments/{entry.first}-{entry.epoch}-{entry.commit_id}.json"

    def page(self, number: int) -> str:
        """Key of a page."""
        return f"{self.root}pages/{number}.json"

    def volume(self, number: int) -> str:
        """Key of a volume."""
        return f"{self.root}volumes/{number}.json"

    def damaged(self, record: int, epoch: int, identity: str) -> str:
        """Key of a copy of a damaged record; never used twice."""
        return f"{self.saved}{record}-{epoch}-{identity}.json"

    def sealed(self, item: GuardItem) -> list[str]:
        """Keys of all pages and volumes that an item names."""
        return [*(self.page(number) for number in range(item.pages)), *self.bound(item)]

    def bound(self, item: GuardItem) -> dict[str, list[str]]:
        """Keys of all volumes that an item names, each with the keys of the pages that it copies."""
        numbers = (number for number, bound in enumerate(item.volumes) if bound == "1")
        return {self.volume(number): [self.page(page) for page in blocks.run(number)] for number in numbers}

    def vacant(self, item: GuardItem) -> list[str]:
        """Keys at which an earlier holder may have a page or a volume in flight that the item does not name."""
        if item.schema < VOLUMES_SCHEMA:
            return [self.page(item.pages)]
        unbound = [self.volume(number) for number, bound in enumerate(item.volumes) if bound != "1"]
        return [self.page(item.pages), *unbound, self.volume(len(item.volumes))]

    def shortest(self, item: GuardItem) -> Iterator[tuple[str, list[str]]]:
        """Keys of the fewest objects that hold all records, in order; made one by one, so that any number fits.

        Returns:
            Each key, and for a volume the keys of the pages that it copies.
        """
        for number, bound in enumerate(item.volumes):
            pages = [self.page(page) for page in blocks.run(number)]
            yield from ((self.volume(number), pages),) if bound == "1" else ((page, []) for page in pages)
        yield from ((self.page(number), []) for number in range(blocks.run(len(item.volumes)).start, item.pages))
        yield from ((self.segment(entry), []) for entry in item.tail)

    @property
    def segments(self) -> str:
        """Prefix of all segments."""
        return f"{self.root}segments/"

    @property
    def pages(self) -> str:
        """Prefix of all pages."""
        return f"{self.root}pages/"

    @property
    def volumes(self) -> str:
        """Prefix of all volumes."""
        return f"{self.root}volumes/"

    @property
    def saved(self) -> str:
        """Prefix of all copies of damaged records."""
        return f"{self.root}damaged/"
