"""Deliberate faults in clocks, heartbeats and what a standby has read; as in ``mutants``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from typing import Any
from unittest import mock

from segue.lease.holder_watch import HolderWatch
from segue.lease.item import GuardItem
from segue.session import heartbeat
from segue.session.heartbeat import Heartbeat
from segue.session.standby import Standby
from tests.simulation import network
from tests.simulation.mutants import Mutant

MUTANTS_OF_TIME: dict[str, Mutant] = {}


def _mutant(make: Mutant) -> Mutant:
    MUTANTS_OF_TIME[make.__name__] = make
    return make


@contextmanager
def _both(*patches: AbstractContextManager[Any]) -> Iterator[None]:
    with ExitStack() as stack:
        for patch in patches:
            stack.enter_context(patch)
        yield


# Clocks.


@_mutant
def expiry_by_the_machines_own_clock() -> AbstractContextManager[Any]:
    """A clock that is years off has a session expire at once, or never."""
    return mock.patch.object(network.GuardOverNetwork, "wall", return_value=None)


@_mutant
def held_life_ended_by_a_clock() -> AbstractContextManager[Any]:
    """A session ends by the clock, also while a holder sends heartbeats."""

    def ended(self: GuardItem, at: float, *, silent: bool = False) -> bool:
        return self.deleted or self.expires_at < at

    async def may_try(self: HolderWatch, seen: GuardItem | None) -> bool:
        expired = seen is not None and seen.ended(self._clock.wall())
        return expired or await original(self, seen)

    original = HolderWatch.may_try
    return _both(mock.patch.object(GuardItem, "ended", ended), mock.patch.object(HolderWatch, "may_try", may_try))


# Heartbeats.


@_mutant
def no_heartbeat_while_a_commit_is_under_way() -> AbstractContextManager[Any]:
    """A hang of S3 costs the lease."""
    original = Heartbeat._beat_if_due

    async def beat(self: Heartbeat) -> float | None:
        busy = self._lease.held and self.writer is not None and self.writer.draining
        return self._lease.settings.heartbeat if busy else await original(self)

    return mock.patch.object(Heartbeat, "_beat_if_due", beat)


@_mutant
def heartbeats_for_a_commit_without_an_answer() -> AbstractContextManager[Any]:
    """A holder that has lost its way to S3 keeps the session from all others, for ever."""
    return mock.patch.object(heartbeat, "STORAGE_TIMEOUT_SECONDS", float("inf"))


# What was read ahead of holding.


@_mutant
def built_on_what_has_gone_on() -> AbstractContextManager[Any]:
    """A successor acquires whatever became of the session since it read it, and its agent knows nothing of that."""
    return mock.patch.object(Standby, "item_left", None)


@_mutant
def prepared_taken_for_what_was_acquired() -> AbstractContextManager[Any]:
    """The same, and it writes on from the head and the tail that it has read."""
    return mock.patch.multiple(Standby, item_left=None, read_for=lambda self, item: replace(self.journal, item=item))
