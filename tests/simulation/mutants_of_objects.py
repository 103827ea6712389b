"""Deliberate faults in what is done with objects; as in ``mutants``."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any
from unittest import mock

from segue.journal import committer, garbage, redaction
from segue.journal.block_writer import BlockWriter
from segue.journal.keys import ObjectKeys
from segue.journal.volumes import Binder
from segue.lease.item import GuardItem
from tests.simulation import network
from tests.simulation.mutants import Mutant, in_background

MUTANTS_OF_OBJECTS: dict[str, Mutant] = {}


def _mutant(make: Mutant) -> Mutant:
    MUTANTS_OF_OBJECTS[make.__name__] = make
    return make


# Pages, redaction and collection.


@_mutant
def page_replaced_whatever_is_there() -> AbstractContextManager[Any]:
    """A zombie's page overwrites the winner's, or what was redacted comes back."""
    original = network.ObjectsOverNetwork.put

    async def put(self: Any, key: str, body: bytes, *, if_absent: bool = False, if_match: str | None = None) -> None:
        await original(self, key, body, if_absent=if_absent)

    return mock.patch.object(network.ObjectsOverNetwork, "put", put)


@_mutant
def uncommitted_pages_deleted() -> AbstractContextManager[Any]:
    """A sweep's deletion arrives after the next holder has folded that very page."""

    async def blank(objects: Any, key: str, item: GuardItem, check: Callable[[], Any]) -> None:
        await check()
        await objects.delete([key])

    return mock.patch.object(redaction, "_blank_page", blank)


@_mutant
def uncommitted_pages_left_alone() -> AbstractContextManager[Any]:
    """Redacted content stays in a page that no commit names."""

    async def nothing(*_: Any) -> None:
        return None

    return mock.patch.object(redaction, "_blank_page", nothing)


@_mutant
def next_page_not_blanked() -> AbstractContextManager[Any]:
    """Redacted content comes back in a page that was on its way when there was none to replace."""
    original = redaction._blank_page

    async def if_there(objects: Any, key: str, item: GuardItem, check: Callable[[], Any]) -> None:
        if await objects.list(key):
            await original(objects, key, item, check)

    return mock.patch.object(redaction, "_blank_page", if_there)


@_mutant
def pages_not_swept() -> AbstractContextManager[Any]:
    """Redacted content stays in a page."""

    async def nothing(*_: Any) -> bool:
        return False

    return mock.patch.object(redaction, "_sweep_page", nothing)


@_mutant
def collected_while_a_commit_is_under_way() -> AbstractContextManager[Any]:
    """A segment that the item did not name before the listing is taken for an orphan."""
    original = garbage.collect_orphans

    async def all_of_them(objects: Any, keys: ObjectKeys, read_item: Any, *, own: bool = False) -> list[str]:
        item = await read_item()
        listed = await objects.list(keys.segments)
        live = {keys.segment(entry) for entry in item.tail}
        await objects.delete([key for key in listed if key not in live])
        return await original(objects, keys, read_item, own=own)

    return mock.patch.object(committer, "collect_orphans", all_of_them)


# Volumes.


@_mutant
def volume_named_before_it_is_written() -> AbstractContextManager[Any]:
    """The commit counts a volume that comes only afterwards."""

    async def later(self: BlockWriter, key: str, body: bytes) -> None:
        if "/volumes/" in key:
            in_background(self._objects.put(key, body))
        else:
            await original(self, key, body)

    original = BlockWriter.put_sealed
    return mock.patch.object(BlockWriter, "put_sealed", later)


@_mutant
def volumes_not_swept() -> AbstractContextManager[Any]:
    """Redacted content stays in a volume, which is what a restore reads."""
    return mock.patch.object(redaction, "_sweep_page", _but_volumes(redaction._sweep_page))


@_mutant
def volume_bound_from_pages_as_they_were() -> AbstractContextManager[Any]:
    """A volume that was begun before a redaction brings the old content back after it."""

    async def nothing(self: Binder, patience: float = 0.0) -> None:
        return None

    return mock.patch.object(Binder, "drop_volume", nothing)


@_mutant
def uncommitted_volumes_left_alone() -> AbstractContextManager[Any]:
    """Redacted content stays in a volume that no commit names, or comes back in one that was in flight."""
    return mock.patch.object(redaction, "_blank_page", _but_volumes(redaction._blank_page))


@_mutant
def next_volume_not_blanked() -> AbstractContextManager[Any]:
    """Redacted content comes back in a volume that was on its way when there was none to replace."""
    return mock.patch.object(ObjectKeys, "vacant", lambda self, item: [self.page(item.pages)])


@_mutant
def unbound_places_not_blanked() -> AbstractContextManager[Any]:
    """The same, where a successor had left the pages unbound."""

    def vacant(self: ObjectKeys, item: GuardItem) -> list[str]:
        return [self.page(item.pages), self.volume(len(item.volumes))]

    return mock.patch.object(ObjectKeys, "vacant", vacant)


def _but_volumes(sweep: Callable[..., Any]) -> Callable[..., Any]:
    async def but_volumes(objects: Any, key: str, *rest: Any) -> Any:
        return False if "/volumes/" in key else await sweep(objects, key, *rest)

    return but_volumes
