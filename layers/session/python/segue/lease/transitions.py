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
from segue.storage.attributes import Attributes, Value
from segue.storage.interface import Clause, ConditionalWrite

# Named clauses, composed below.


def held_by(acquire_id: str) -> Clause:
    """I am the holder: no later acquisition, release or deletion has happened."""
    return Clause("acquire_id", "=", acquire_id)


def free() -> Clause:
    """Nobody is the holder."""
    return Clause("acquire_id", "absent")


def head_is(head: int) -> Clause:
    """Exactly the records that I know of are committed."""
    return Clause("head", "=", head)


def unmoved(beat: int) -> Clause:
    """The holder has not beaten since I looked."""
    return Clause("beat", "=", beat)


def at(born: str, epoch: int) -> tuple[Clause, Clause]:
    """The item is in the very life and at the very epoch that I read."""
    return Clause("born", "=", born), Clause("epoch", "=", epoch)


@dataclass(frozen=True, slots=True)
class Candidate:
    """Who wants the lease, and what its item will say."""

    acquire_id: str
    holder: str
    lease_ms: int
    endpoint: str | None
    route_token: str
    retention_s: int
    prefix: str | None = None

    def attributes(self, wall: float) -> Attributes:
        """What an acquisition by this candidate writes, whatever was there before."""
        fields: Attributes = {
            "acquire_id": self.acquire_id,
            "holder": self.holder,
            "lease_ms": self.lease_ms,
            "route_token": self.route_token,
            "expires_at": int(wall) + self.retention_s,
        }
        if self.endpoint is not None:
            fields["endpoint"] = self.endpoint
        if self.prefix is not None:
            fields["prefix"] = self.prefix
        return fields


def begin_life(key: str, seen: GuardItem | None, candidate: Candidate, wall: float) -> ConditionalWrite:
    """Acquire a session that does not exist, was deleted, or is past its TTL: a new life begins.

    The epoch goes on from an old item's, so that it never falls even across lives.

    Args:
        key: The session's.
        seen: The item of a life that is over, None if there is no item.
        candidate: The new holder.
        wall: When that was read, by storage's own clock.
    """
    unset = [name for name in ("endpoint", "prefix") if getattr(candidate, name) is None]
    return ConditionalWrite(
        key,
        _nothing_lives(seen, wall),
        assign={
            **_EMPTY,
            "born": new_born(wall),
            "epoch": (seen.epoch if seen else 0) + 1,
            **candidate.attributes(wall),
        },
        remove=("volumes", "commit_id", "scrub", "deleted", *unset),
    )


def begin_with_records(item: GuardItem, seen: GuardItem | None, wall: float) -> ConditionalWrite:
    """Begin a life that has records from its first moment, and no holder: a copy.

    The epoch is above those of all copied commits and of any earlier life: the former, because a segment of the
    item's epoch could be one that its holder is about to commit.

    Args:
        item: The copy, with the newest epoch of its commits.
        seen: The item of a life that is over, None if there is no item.
        wall: When that was read, by storage's own clock.
    """
    last = {"commit_id": item.commit_id} if item.commit_id else {}
    where = {} if item.prefix is None else {"prefix": item.prefix}
    unset = [name for name, value in (("commit_id", last), ("prefix", where)) if not value]
    return ConditionalWrite(
        item.session_key,
        _nothing_lives(seen, wall),
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
"""What every life begins with, if nothing else is said."""

_HOLDING = ("acquire_id", "holder", "endpoint", "route_token")
"""What only a held item has."""


def _nothing_lives(seen: GuardItem | None, wall: float) -> tuple[Clause, ...]:
    """There is no item, or the very one that was read, whose life is over.

    A holder that was silent for its lease, and beats after all just then, keeps its session.
    """
    if seen is None:
        return (Clause("session_key", "absent"),)
    if seen.deleted:
        return at(seen.born, seen.epoch)
    silent = () if seen.acquire_id is None else (held_by(seen.acquire_id), unmoved(seen.beat))
    return *at(seen.born, seen.epoch), Clause("expires_at", "<", int(wall)), *silent


def take(seen: GuardItem, candidate: Candidate, wall: float) -> ConditionalWrite:
    """Acquire an existing session: free, or held by someone who is silent or dead.

    Args:
        seen: Its item.
        candidate: The new holder.
        wall: When that was read, by storage's own clock. The session began before that, whatever a clock says.
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
    """Show that the holder lives.

    One that arrives late sets the expiry back by as long as it was on its way. AWS refuses a request that was signed
    a quarter of an hour ago, and a session lives for a day at least after its last use.
    """
    return ConditionalWrite(
        mine.session_key, (held_by(_own(mine)),), assign={"expires_at": expires_at}, add={"beat": 1}
    )


def commit(mine: GuardItem, changes: Attributes, expires_at: int) -> ConditionalWrite:
    """Make what was put part of the session. Only this write moves ``head``.

    Args:
        mine: The item as the last accepted write left it.
        changes: The new ``head``, ``tail``, ``commit_id`` and what else moves with them.
        expires_at: The item's new TTL.
    """
    return ConditionalWrite(
        mine.session_key,
        (held_by(_own(mine)), head_is(mine.head)),
        assign={**changes, "expires_at": expires_at},
        add={"beat": 1},
    )


def scrubbed(mine: GuardItem) -> ConditionalWrite:
    """Say that a redaction's sweep is finished."""
    return ConditionalWrite(
        mine.session_key,
        (held_by(_own(mine)), Clause("scrub", "=", mine.scrub or "")),
        assign={},
        remove=("scrub",),
        add={"beat": 1},
    )


def release(mine: GuardItem) -> ConditionalWrite:
    """Let go. Raising the epoch refuses every acquisition that was on its way."""
    return ConditionalWrite(
        mine.session_key,
        (held_by(_own(mine)),),
        assign={"epoch": mine.epoch + 1},
        remove=_HOLDING,
    )


def bury(mine: GuardItem, expires_at: int) -> ConditionalWrite:
    """End this life: a tombstone without ``head`` stays until the sweeps are over.

    One that arrives late, when its sender has given up and goes on writing, ends nothing.
    """
    return ConditionalWrite(
        mine.session_key,
        (held_by(_own(mine)), head_is(mine.head)),
        assign={"epoch": mine.epoch + 1, "deleted": True, "expires_at": expires_at},
        remove=(*_HOLDING, "head", "pages", "volumes", "tail", "commit_id", "inputs", "scrub"),
    )


def tail_value(tail: list[TailEntry]) -> Value:
    """The form of a tail in the item."""
    return [str(entry) for entry in tail]


def _own(mine: GuardItem) -> str:
    if mine.acquire_id is None:
        raise ValueError(f"{mine.session_key}: not held")
    return mine.acquire_id
