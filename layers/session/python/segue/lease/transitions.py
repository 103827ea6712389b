r"""The conditional writes that decide every race. Nothing else in Segue may change a guard item.

Two writers, one of them late:

    A  acquire ── epoch 4 ── commit head 10 ···· paused past its lease ···· commit head 11 ✗ held_by(A) fails
    B                                        acquire ── epoch 5 ── commit head 11

Two that want a session whose holder went silent:

    B  reads (epoch 4, beat 7) ·· same for lease_ms ·· write if at(born, 4) and unmoved(7) ── epoch 5
    C  reads (epoch 4, beat 7) ·· same for lease_ms ·· write if at(born, 4) and unmoved(7) ✗ epoch is 5

An acquisition that arrives after its sender gave up, or twice:

    A  write if at(born, 4) ··········· arrives late ✗ epoch is 6 by then, because releasing raises it too
"""

from __future__ import annotations

from dataclasses import dataclass

from segue.ids import new_born
from segue.lease.item import FIRST_SCHEMA, GuardItem, TailEntry
from segue.lease.item_check import expiry
from segue.storage.attributes import Attributes, Value
from segue.storage.interface import Clause, ConditionalWrite

# Named clauses, composed below.


def held_by(acquire_id: str) -> Clause:
    """Condition: the writer is the holder, and no later acquisition, release or deletion has happened."""
    return Clause("acquire_id", "=", acquire_id)


def free() -> Clause:
    """Condition: the session has no holder."""
    return Clause("acquire_id", "absent")


def head_is(head: int) -> Clause:
    """Exactly the records that the writer knows of are committed."""
    return Clause("head", "=", head)


def unmoved(beat: int) -> Clause:
    """Condition: the holder has sent no heartbeat since the item was read."""
    return Clause("beat", "=", beat)


def at(born: str, epoch: int) -> tuple[Clause, Clause]:
    """Condition: the item is of the incarnation and the epoch that were read."""
    return Clause("born", "=", born), Clause("epoch", "=", epoch)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A process that wants the lease, as the item will describe it."""

    acquire_id: str
    holder: str
    lease_ms: int
    endpoint: str | None
    route_token: str
    retention_s: int
    prefix: str | None = None

    def attributes(self, wall: float) -> Attributes:
        """Return the attributes that every acquisition by this candidate writes."""
        fields: Attributes = {
            "acquire_id": self.acquire_id,
            "holder": self.holder,
            "lease_ms": self.lease_ms,
            "route_token": self.route_token,
            "expires_at": expiry(wall, self.retention_s),
        }
        if self.endpoint is not None:
            fields["endpoint"] = self.endpoint
        if self.prefix is not None:
            fields["prefix"] = self.prefix
        return fields


def begin_incarnation(key: str, seen: GuardItem | None, candidate: Candidate, wall: float) -> ConditionalWrite:
    """Acquire a session that does not exist, was deleted, or is past its TTL: a new incarnation begins.

    The epoch goes on from an old item's, so that it never falls, even across incarnations.

    Args:
        key: The session's key.
        seen: The ended session's item, None if there is no item.
        candidate: The new holder.
        wall: Time of that reading, by storage's own clock.
    """
    unset = [name for name in ("endpoint", "prefix") if getattr(candidate, name) is None]
    return ConditionalWrite(
        key,
        _has_ended(seen, wall),
        assign={
            **_EMPTY,
            "born": new_born(wall),
            "epoch": (seen.epoch if seen else 0) + 1,
            **candidate.attributes(wall),
        },
        remove=("volumes", "commit_id", "scrub", "deleted", *unset),
    )


def begin_with_records(item: GuardItem, seen: GuardItem | None, wall: float) -> ConditionalWrite:
    """Begin an incarnation that has records from its first moment, and no holder: a fork.

    The epoch is above those of all copied commits and of any earlier incarnation: the former, because a segment of the
    item's epoch could be one that its holder is about to commit.

    Args:
        item: The fork's item, with the newest epoch of its commits.
        seen: The ended session's item, None if there is no item.
        wall: Time of that reading, by storage's own clock.
    """
    last = {"commit_id": item.commit_id} if item.commit_id else {}
    where = {} if item.prefix is None else {"prefix": item.prefix}
    unset = [name for name, value in (("commit_id", last), ("prefix", where)) if not value]
    return ConditionalWrite(
        item.session_key,
        _has_ended(seen, wall),
        assign={
            **_EMPTY,
            "schema": item.schema,
            "born": item.born,
            "epoch": max(item.epoch, seen.epoch if seen else 0) + 1,
            "lease_ms": 0,
            "head": item.head,
            "pages": item.pages,
            "tail": tail_value(list(item.tail)),
            "expires_at": item.expires_at,
            **where,
            **last,
        },
        remove=("volumes", "scrub", "deleted", *_HOLDING, *unset),
    )


_EMPTY: Attributes = {"schema": FIRST_SCHEMA, "beat": 0, "head": 0, "pages": 0, "tail": [], "inputs": []}
"""Attributes that every incarnation begins with, unless the write gives others."""

_HOLDING = ("acquire_id", "holder", "endpoint", "route_token")
"""Attributes that only a held item has."""


def _has_ended(seen: GuardItem | None, wall: float) -> tuple[Clause, ...]:
    """Condition: there is no item, or the very one that was read, of a session that has ended.

    A silent holder that sends a heartbeat before this write keeps its session.
    """
    if seen is None:
        return (Clause("session_key", "absent"),)
    if seen.deleted:
        return at(seen.born, seen.epoch)
    silent = () if seen.acquire_id is None else (held_by(seen.acquire_id), unmoved(seen.beat))
    return *at(seen.born, seen.epoch), Clause("expires_at", "<", int(wall)), *silent


def acquire(seen: GuardItem, candidate: Candidate, wall: float) -> ConditionalWrite:
    """Acquire an existing session: a free one, or one whose holder is silent or dead.

    Args:
        seen: Its item.
        candidate: The new holder.
        wall: Time of that reading, by storage's own clock; ``born`` counts if it is later.
    """
    condition: tuple[Clause, ...] = at(seen.born, seen.epoch)
    condition += (unmoved(seen.beat),) if seen.held else (free(),)
    return ConditionalWrite(
        seen.session_key,
        condition,
        assign={"epoch": seen.epoch + 1, **candidate.attributes(max(wall, seen.born_at))},
        remove=() if candidate.endpoint else ("endpoint",),
        add={"beat": 1},
    )


def beat(mine: GuardItem, expires_at: int) -> ConditionalWrite:
    """Send a heartbeat.

    One that arrives late sets ``expires_at`` back by its delay. AWS refuses a request that was signed a quarter of an
    hour ago, and retention is a day at least.
    """
    return ConditionalWrite(
        mine.session_key, (held_by(_acquire_id_of(mine)),), assign={"expires_at": expires_at}, add={"beat": 1}
    )


def commit(mine: GuardItem, changes: Attributes, expires_at: int) -> ConditionalWrite:
    """Make a put segment part of the session. Only this write moves ``head``.

    Args:
        mine: The item as the last accepted write left it.
        changes: The new ``head``, ``tail``, ``commit_id`` and all else that moves with them.
        expires_at: The item's new TTL.
    """
    return ConditionalWrite(
        mine.session_key,
        (held_by(_acquire_id_of(mine)), head_is(mine.head)),
        assign={**changes, "expires_at": expires_at},
        add={"beat": 1},
    )


def settle(mine: GuardItem, inputs: list[str], expires_at: int) -> ConditionalWrite:
    """Make input known that has no effect to record.

    It moves no record, so ``beat`` says what it goes on from:

    A  settle at beat 7 ····························· arrives late ✗ beat is 9, and ``inputs`` have grown
    A      settle at beat 7 ── beat 8 ── commit ── beat 9

    A heartbeat in flight refuses it, too. The refusal carries the item, from which it is made anew.

    Args:
        mine: The item as the last accepted write left it.
        inputs: All that is known then, in the item's form.
        expires_at: The item's new TTL.
    """
    return ConditionalWrite(
        mine.session_key,
        (held_by(_acquire_id_of(mine)), unmoved(mine.beat)),
        assign={"inputs": inputs, "expires_at": expires_at},
        add={"beat": 1},
    )


def scrubbed(mine: GuardItem) -> ConditionalWrite:
    """Remove ``scrub``: the redaction is finished in every object."""
    return ConditionalWrite(
        mine.session_key,
        (held_by(_acquire_id_of(mine)), Clause("scrub", "=", mine.scrub or "")),
        assign={},
        remove=("scrub",),
        add={"beat": 1},
    )


def release(mine: GuardItem) -> ConditionalWrite:
    """Release the lease. The raised epoch refuses every acquisition that is in flight."""
    return ConditionalWrite(
        mine.session_key,
        (held_by(_acquire_id_of(mine)),),
        assign={"epoch": mine.epoch + 1},
        remove=_HOLDING,
    )


def bury(mine: GuardItem, expires_at: int) -> ConditionalWrite:
    """End the session: a tombstone without ``head`` stays until its objects are deleted.

    One that arrives late, after its sender has given up and committed again, is refused by ``head``.
    """
    return ConditionalWrite(
        mine.session_key,
        (held_by(_acquire_id_of(mine)), head_is(mine.head)),
        assign={"epoch": mine.epoch + 1, "deleted": True, "expires_at": expires_at},
        remove=(*_HOLDING, "head", "pages", "volumes", "tail", "commit_id", "inputs", "scrub"),
    )


def tail_value(tail: list[TailEntry]) -> Value:
    """Return a tail in the item's form."""
    return [str(entry) for entry in tail]


def _acquire_id_of(mine: GuardItem) -> str:
    if mine.acquire_id is None:
        raise ValueError(f"session {mine.session_key!r} is not held by this process: acquire it first")
    return mine.acquire_id
