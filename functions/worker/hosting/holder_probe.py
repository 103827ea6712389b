"""Probe of a lease's holder: evidence to try a takeover before its lease expires, or to give the wait up.

    connection refused                            the host is there and the process is not                 dead
    another worker's identity answers             another process has the address now                      dead
    two connection attempts of 250 ms time out    the host is gone (a vanished address refuses nothing)    dead
    two requests, no answer in 0.5 s each         the process is stopped, or hangs with all its threads    hung
    its loop has stood still for over 2 s         code blocks it (``worker.telemetry.stall_answers``)      hung
    its loop has stood still for less             a tool may hold it up for a moment                       not certain
    it answers as ever                            it lives                                                 lives
    anything else                                 it may live: the lease decides                           not certain

What was not certain is asked again half a second later (``segue.lease.holder_watch``). Wrong evidence would cost a call
its holder and nothing else: conditional writes decide who may write. A heartbeat or a commit that the holder sent while
it was probed makes the takeover's write fail, too.

Evidence against a holder is none against a prober that had no turns itself: if a probe took longer than its time-outs
allow, it was this process that stood still, and nothing is certain.
"""

from __future__ import annotations

import enum
import time
from collections import deque
from collections.abc import Callable
from typing import Final
from weakref import WeakValueDictionary

from segue import SessionHeld
from segue.bounded import BoundedDict
from segue.lease.holder_watch import Probe
from segue.lease.item import GuardItem
from segue.wire.claims import Claim, Reason
from shared.log import logger
from worker.aws.kept_connections import HTTP_ERRORS
from worker.hosting.peer_health import Ask, Health, NotAnswered, NotReached, ask_health, was_held_up

ATTEMPTS: Final = 2
"""Requests without an answer before that is evidence: one may meet a hiccup of the network."""

TAKEOVERS_A_MINUTE: Final = 60
"""Takeovers from one holder that is hung, by this worker. More than a holder has sessions by default; beyond it the
lease decides. A holder whose evidence was wrong loses its sessions once, and not again and again."""

HOLDERS: Final = 256
"""Holders whose takeovers are counted; the count of one that is forgotten begins anew."""


class HolderState(enum.Enum):
    """State of a holder, as far as a probe can tell."""

    DEAD = "dead"
    HUNG = "hung"
    LIVES = "lives"
    UNCERTAIN = "not certain"


async def holder_state(
    item: GuardItem, ask: Ask = ask_health, clock: Callable[[], float] = time.monotonic
) -> HolderState:
    """Probe the holder of ``item``.

    Args:
        item: A guard item that is held.
        ask: Asks a worker how it is.
        clock: Seconds.
    """
    if item.endpoint is None:
        return HolderState.UNCERTAIN
    silent = HolderState.DEAD
    for _ in range(ATTEMPTS):
        began = clock()
        try:
            health = await ask(item.endpoint)
        except ConnectionRefusedError:
            return HolderState.DEAD
        except NotReached:
            pass
        except NotAnswered:
            silent = HolderState.HUNG
        except (*HTTP_ERRORS, ValueError):
            return HolderState.UNCERTAIN
        else:
            return _state_of(health, item)
        if was_held_up(clock() - began):
            return HolderState.UNCERTAIN
    return silent


def _state_of(health: Health, item: GuardItem) -> HolderState:
    if health.worker_id is None:
        return HolderState.UNCERTAIN
    if health.worker_id != item.holder:
        return HolderState.DEAD
    if health.hangs:
        return HolderState.HUNG
    return HolderState.UNCERTAIN if health.stood_still else HolderState.LIVES


class TakeoverBudget:
    """Bound of the sessions that this worker takes over from one holder that is hung."""

    def __init__(self, clock: Callable[[], float], a_minute: int) -> None:
        """Begin with none.

        Args:
            clock: Seconds.
            a_minute: Takeovers from one holder in any minute.
        """
        self._clock = clock
        self._a_minute = a_minute
        self._attempts: BoundedDict[str, deque[float]] = BoundedDict(HOLDERS)

    def allows(self, holder: str) -> bool:
        """Count one more attempt at a holder's session; false if there were too many within a minute."""
        tried = self._attempts[holder] = self._attempts.get(holder) or deque(maxlen=self._a_minute)
        now = self._clock()
        if len(tried) == self._a_minute and now - tried[0] < 60.0:
            return False
        tried.append(now)
        return True


class ClaimProbe:
    """Probe of a claimed session's holder, for one acquisition."""

    def __init__(self, ask: Ask, clock: Callable[[], float], budget: TakeoverBudget, reason: Reason) -> None:
        """Have seen nothing.

        Args:
            ask: Asks a worker how it is.
            clock: Seconds.
            budget: Of takeovers from hung holders.
            reason: The claim's. "unreachable": the holder did not answer, see ``suspect``. "no-holder": the session was
                free, so a holder that answers as ever has acquired it since, and the wait ends with ``SessionHeld``.
                "handoff": its predecessor lives until it has released. Both are said of the holder that is seen first;
                one that comes after it has acquired a session that was free.
        """
        self._ask = ask
        self._clock = clock
        self._budget = budget
        self._reason: Reason = reason
        self._first_seen: GuardItem | None = None
        self._seen_hung: GuardItem | None = None
        self._seen_alive: GuardItem | None = None

    def suspect(self) -> None:
        """Count the first evidence that the holder hangs, because it did not answer.

        If it answers as ever and renews its lease, the wait for it ends with ``SessionHeld``: its clients are heard
        again, and this worker needs the room. Without a suspicion the evidence has to be there twice: a predecessor
        that is about to release may be slow.
        """
        self._reason, self._first_seen = "unreachable", None

    async def __call__(self, item: GuardItem) -> bool:
        """Tell whether to try a takeover.

        Raises:
            SessionHeld: The holder that was suspected lives, or another one that has come since.
        """
        self._first_seen = self._first_seen or item
        if not _same_holder(self._first_seen, item):
            self._reason = "no-holder"
        state = await holder_state(item, self._ask, self._clock)
        if state is HolderState.LIVES:
            self._note_alive(item)
        return state is HolderState.DEAD or (state is HolderState.HUNG and self._is_confirmed_hung(item))

    def _note_alive(self, item: GuardItem) -> None:
        before, self._seen_alive = self._seen_alive, self._seen_alive or item
        renewed = before is not None and _same_holder(before, item) and item.beat > before.beat
        if self._reason == "no-holder" or (self._reason == "unreachable" and renewed):
            raise SessionHeld(item.holder or "?", item.epoch, item.session_key)

    def _is_confirmed_hung(self, item: GuardItem) -> bool:
        before, self._seen_hung = self._seen_hung, item
        twice = before is not None and _same_holder(before, item) and item.beat == before.beat
        return (self._reason == "unreachable" or twice) and self._is_within_budget(item)

    def _is_within_budget(self, item: GuardItem) -> bool:
        allowed = self._budget.allows(item.holder or "")
        logger.warning(
            "holder is hung",
            session=item.session_key,
            holder=item.holder,
            epoch=item.epoch,
            action="takes over" if allowed else "waits for its lease to end: too many takeovers from it",
        )
        return allowed


class HolderProbes:
    """Probes of this worker's acquisitions."""

    def __init__(
        self,
        ask: Ask = ask_health,
        clock: Callable[[], float] = time.monotonic,
        takeovers_a_minute: int = TAKEOVERS_A_MINUTE,
    ) -> None:
        """Have taken nothing over.

        Args:
            ask: Asks a worker how it is.
            clock: Seconds.
            takeovers_a_minute: From one hung holder.
        """
        self._ask = ask
        self._clock = clock
        self._budget = TakeoverBudget(clock, takeovers_a_minute)
        self._probes: WeakValueDictionary[str, ClaimProbe] = WeakValueDictionary()

    def for_claim(self, claim: Claim) -> Probe:
        """Make the probe of one acquisition."""
        probe = self._probes[claim.session_key] = ClaimProbe(self._ask, self._clock, self._budget, claim.reason)
        return probe

    def suspect(self, session_key: str) -> None:
        """Have an acquisition that waits for a session's holder know that the holder does not answer."""
        if (probe := self._probes.get(session_key)) is not None:
            probe.suspect()


def _same_holder(before: GuardItem, item: GuardItem) -> bool:
    """Tell whether both items are of the same acquisition."""
    return (before.born, before.acquire_id) == (item.born, item.acquire_id)
