"""The network between a process and storage, with faults.

Every request meets one fate:

    fine       applied, answered
    lost       not applied; its sender gives up
    unanswered applied; its sender gives up
    failed     not applied; 409, 500 or a throttle comes back
    broken     applied; a 500 comes back
    refused    not applied; "access denied" for a moment
    hung       in an outage: never answered; applied or not
    twice      applied, and again later, up to an hour; the first answer comes back
    resent     applied twice in a row, as a client library does after a reset; the second answer comes back
    late       its sender gives up; applied later, up to an hour

and its sender may be stopped just before it is sent, or just after. The table and the bucket have networks of their
own: the one may hang while the other is well.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from segue.errors import StorageRefused, StorageUnavailable
from segue.storage.attributes import Attributes
from segue.storage.interface import ConditionalWrite, ConditionFailed, StoredObject
from tests.simulation.ledger import Ledger
from tests.simulation.loop import Process, VirtualLoop
from tests.simulation.truth import HOUR_SECONDS, Owner

_T = TypeVar("_T")


@dataclass(frozen=True)
class FaultRates:
    """The faults of a run.

    Attributes:
        fates: Chance of each fate; the rest are fine.
        pause: Chance that a request's sender is stopped around it.
        pauses: Seconds that it may be stopped.
        latencies: Seconds that a request or an answer may take.
        patience: Seconds after which a sender gives up.
        outage: From when to when nothing is answered, in seconds since the beginning.
    """

    fates: dict[str, float] = field(default_factory=dict)
    pause: float = 0.0
    pauses: tuple[float, ...] = (0.5, 2.0, 12.0, 40.0)
    latencies: tuple[float, ...] = (0.015625, 0.03125, 0.03125, 0.0625)
    patience: float = 1.0
    outage: tuple[float, float] = (0.0, 0.0)

    @property
    def fault_free(self) -> bool:
        """Tell whether the run has no faults: then no holder may be fenced either."""
        return not self.fates and not self.pause and self.outage[0] == self.outage[1]


class Network:
    """Carries requests to storage.

    Attributes:
        under_way: Requests that have not arrived yet.
        faults: The faults of this network; may change.
    """

    def __init__(self, loop: VirtualLoop, ledger: Ledger, faults: FaultRates, dice: random.Random) -> None:
        self.under_way = 0
        self.closed = False
        self._loop = loop
        self._ledger = ledger
        self.faults = faults
        self._dice = dice

    async def request(self, sender: Owner, process: Process, what: str, apply: Callable[[], _T]) -> _T:
        """Send a request; return or raise its answer, if there is one."""
        if self.closed:
            raise asyncio.CancelledError
        faults, dice = self.faults, self._dice
        if dice.random() < faults.pause:
            process.stop(dice.choice(faults.pauses))
            await asyncio.sleep(0)  # it is stopped here, with all it has decided, before it sends
        begin, end = faults.outage
        fate = "hung" if begin <= self._loop.time() < end else self._fate()
        answer: asyncio.Future[_T] = self._loop.create_future()
        if self._ledger.verbose:
            self._ledger.note(process.name, f"sends {what}", "" if fate == "fine" else f"({fate})")
        getattr(self, f"_{fate}")(_Request(sender, what, apply, answer))
        if dice.random() < faults.pause:
            process.stop(dice.choice(faults.pauses))
        return await answer

    def _fate(self) -> str:
        roll = self._dice.random()
        for fate, likelihood in self.faults.fates.items():
            roll -= likelihood
            if roll < 0:
                return fate
        return "fine"

    def _latency(self) -> float:
        return self._dice.choice(self.faults.latencies)

    def _much_later(self) -> float:
        return self._latency() + min(HOUR_SECONDS, 0.25 * 2 ** self._dice.uniform(0, 14))

    # The fates.

    def _fine(self, request: _Request) -> None:
        self._apply(request, self._latency(), self._latency())

    def _hung(self, request: _Request) -> None:
        if self._dice.random() < 0.5:
            self._apply(request, self._latency(), None)
        self._give_up(request)

    def _lost(self, request: _Request) -> None:
        self._give_up(request)

    def _unanswered(self, request: _Request) -> None:
        self._apply(request, self._latency(), None)
        self._give_up(request)

    def _failed(self, request: _Request) -> None:
        self._answer(request, self._latency() * 2, StorageUnavailable("503 slow down"))

    def _broken(self, request: _Request) -> None:
        self._apply(request, self._latency(), None)
        self._answer(request, 0.125, StorageUnavailable("500 internal error"))

    def _refused(self, request: _Request) -> None:
        self._answer(request, self._latency() * 2, StorageRefused("storage", "access denied"))

    def _twice(self, request: _Request) -> None:
        self._apply(request, self._latency(), self._latency())
        self._apply(request, self._much_later(), None, stray=True)

    def _resent(self, request: _Request) -> None:
        first = self._latency()
        self._apply(request, first, None)
        self._apply(request, first + self._latency(), self._latency(), stray=True)

    def _late(self, request: _Request) -> None:
        self._apply(request, self._much_later(), None, stray=True)
        self._give_up(request)

    # What they are made of.

    def _apply(self, request: _Request, delay: float, back: float | None, *, stray: bool = False) -> None:
        def arrive() -> None:
            self.under_way -= 1
            self._ledger.sender, self._ledger.stray = request.sender, stray
            try:
                result = request.apply()
            except Exception as refusal:  # noqa: BLE001 - ConditionFailed and its like are answers
                result = refusal
            if self._ledger.verbose:
                outcome = type(result).__name__ if isinstance(result, Exception) else "done"
                self._ledger.note("storage", f"{request.what} of {request.sender.name}", outcome)
            if back is not None:
                self._answer(request, back, result)

        self.under_way += 1
        self._loop.outside(delay, arrive)

    def _give_up(self, request: _Request) -> None:
        self._answer(request, self.faults.patience, StorageUnavailable("timed out"))

    def _answer(self, request: _Request, delay: float, result: Any) -> None:
        self._loop.outside(delay, request.answered_with, result)


@dataclass(slots=True)  # not frozen: a run makes thousands
class _Request:
    sender: Owner
    what: str
    apply: Callable[[], Any]
    answer: asyncio.Future[Any]

    def answered_with(self, result: Any) -> None:
        if self.answer.done():
            return
        if isinstance(result, Exception):
            self.answer.set_exception(result)
        else:
            self.answer.set_result(result)


def _now(work: Coroutine[Any, Any, _T]) -> _T:
    """Run a coroutine that never waits."""
    try:
        work.send(None)
    except StopIteration as done:
        value: _T = done.value
        return value
    raise AssertionError("storage in memory does not wait")


class GuardOverNetwork:
    """The lock table, as one owner's requests reach it."""

    def __init__(self, network: Network, process: Process, owner: Owner, ledger: Ledger) -> None:
        self._network, self._process, self._owner, self._ledger = network, process, owner, ledger
        self._told: tuple[float, float] | None = None

    async def read(self, session_key: str) -> Attributes | None:
        return await self._send("read", lambda: _now(self._ledger.guard.read(session_key)))

    async def write(self, write: ConditionalWrite) -> Attributes:
        written = self._ledger.writing(write)
        what = _described(write) if self._ledger.verbose else "write"
        return await self._send(what, lambda: written(lambda: _now(self._ledger.guard.write(write))))

    def wall(self) -> float | None:
        """As storage told the time with its latest answer, and what has passed since on this process's clock."""
        if self._told is None or not self._ledger.tells_time:
            return None
        at, heard_at = self._told
        return at + self._process.clock.now() - heard_at

    async def keys(self, prefix: str) -> list[str]:
        return await self._send("scan", lambda: _now(self._ledger.guard.keys(prefix)))

    async def _send(self, what: str, apply: Callable[[], _T]) -> _T:
        dated: list[float] = []

        def apply_and_date() -> _T:
            dated.append(self._ledger.wall())
            return apply()

        try:
            answer = await self._network.request(self._owner, self._process, what, apply_and_date)
        except ConditionFailed:
            self._hear(dated)
            raise
        self._hear(dated)
        return answer

    def _hear(self, dated: list[float]) -> None:
        self._told = dated[0], self._process.clock.now()  # if it was applied twice, an instant before the answer's


class ObjectsOverNetwork:
    """The bucket, as one owner's requests reach it."""

    def __init__(self, network: Network, process: Process, owner: Owner, ledger: Ledger) -> None:
        self._network, self._process, self._owner, self._ledger = network, process, owner, ledger

    async def get(self, key: str) -> StoredObject:
        return await self._send(f"get {_short(key)}", lambda: _now(self._ledger.objects.get(key)))

    async def put(self, key: str, body: bytes, *, if_absent: bool = False, if_match: str | None = None) -> None:
        how = " if absent" if if_absent else " if match" if if_match else ""
        objects = self._ledger.objects
        await self._send(
            f"put {_short(key)}{how}", lambda: _now(objects.put(key, body, if_absent=if_absent, if_match=if_match))
        )

    async def delete(self, keys: Sequence[str]) -> None:
        what = f"delete {' '.join(map(_short, keys))}"
        await self._send(what, lambda: _now(self._ledger.objects.delete(list(keys))))

    async def list(self, prefix: str) -> list[str]:
        return await self._send("list", lambda: _now(self._ledger.objects.list(prefix)))

    async def _send(self, what: str, apply: Callable[[], _T]) -> _T:
        return await self._network.request(self._owner, self._process, what, apply)


def _short(key: str) -> str:
    return "/".join(key.split("/")[-2:])


def _described(write: ConditionalWrite) -> str:
    changes = " ".join(f"{name}={write.assign[name]}" for name in ("epoch", "head", "pages") if name in write.assign)
    return f"write [{changes or 'beat'}]"
