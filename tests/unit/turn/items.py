"""Guard items as the tests of turns read them."""

from __future__ import annotations

from segue.lease.item import GuardItem
from tests.unit.turn.conftest import KEY, World


async def item(world: World) -> GuardItem:
    attributes = await world.storage.guard.read(KEY)
    assert attributes is not None
    return GuardItem.parse(attributes)
