"""One run: storage, a network, processes, actors, all following from one seed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from segue.errors import SegueError
from segue.ids import session_key
from segue.journal import blocks
from segue.journal.reader import read_unheld
from segue.journal.records import Record
from segue.lease.lease import Lease
from segue.lease.settings import LeaseSettings
from segue.session.runtime import HeartbeatSchedule
from segue.session.session import Session
from segue.storage.stores import Stores
from tests.simulation.ledger import EPOCH_SECONDS, Ledger
from tests.simulation.loop import Process, ProcessClock, VirtualLoop
from tests.simulation.network import FaultRates, GuardOverNetwork, Network, ObjectsOverNetwork
from tests.simulation.seeding import seeded
from tests.simulation.truth import HOUR_SECONDS, Owner, Violation, secret

KEY = session_key("sim", "session")
HORIZON_SECONDS = 600.0
"""Virtual seconds after which the power goes off."""

YEAR_SECONDS = 365 * 86_400

Actor = Callable[["World", str], Awaitable[None]]

NO_FAULTS = FaultRates()
FEW_FAULTS = FaultRates(
    fates={
        "lost": 0.02,
        "unanswered": 0.03,
        "failed": 0.03,
        "broken": 0.02,
        "refused": 0.01,
        "twice": 0.03,
        "resent": 0.03,
        "late": 0.03,
    },
    pause=0.005,
)
MANY_FAULTS = FaultRates(
    fates={
        "lost": 0.05,
        "unanswered": 0.1,
        "failed": 0.05,
        "broken": 0.05,
        "refused": 0.03,
        "twice": 0.1,
        "resent": 0.05,
        "late": 0.1,
    },
    pause=0.02,
    latencies=(0.015625, 0.03125, 0.25, 2.0),
)
FREEZES = FaultRates(pause=0.06)
LATE = FaultRates(fates={"late": 0.15, "twice": 0.15}, pause=0.01)
FAULTS = (NO_FAULTS, FEW_FAULTS, FEW_FAULTS, MANY_FAULTS, MANY_FAULTS, FREEZES, LATE)
HANG = FaultRates(outage=(5.0, 65.0), patience=5.0)
APART = (
    (NO_FAULTS, HANG),
    (NO_FAULTS, HANG),
    (HANG, NO_FAULTS),
    (NO_FAULTS, MANY_FAULTS),
    (MANY_FAULTS, NO_FAULTS),
    (FEW_FAULTS, HANG),
)
"""Faults of the table and of the bucket, where they differ."""

CLOCKS_SECONDS = (0, -300, 300, 3 * 365 * 86_400, -3 * 365 * 86_400, -EPOCH_SECONDS)
"""Seconds by which wall clocks are off, where storage tells the time."""


@dataclass(frozen=True)
class Outcome:
    """Figures of a run without violations, to show that it did something."""

    seed: int
    records: int
    acknowledged: int
    acquisitions: int
    takeovers: int
    folds: int
    volumes: int
    incarnations: int
    settled: int
    fingerprint: int


class World:
    """Everything of one run.

    Attributes:
        seed: Where all chance comes from.
        dice: Chance that belongs to no actor.
        ledger: All changes to storage.
        fair: Whether all processes are honest, awake and alive: then no holder may lose a lease.
    """

    def __init__(self, seed: int, faults: FaultRates | None = None, *, verbose: bool = False) -> None:
        self.seed = seed
        self.dice = random.Random(f"{seed}/world")
        self.loop = VirtualLoop()
        self.ledger = Ledger(KEY, verbose=verbose)
        self.ledger.now = self.loop.time
        self.ledger.on_violation = self.loop.stop
        self._choose_faults(faults)
        self.settings = self.dice.choice((LeaseSettings(10.0, 3.0, 1.0), LeaseSettings(4.0, 1.0, 0.5)))
        # In some runs sessions expire between two readings. Where storage does not tell the time, a directory say, the
        # clocks are one machine's and agree somewhat, as years allow.
        self._skews: tuple[int, ...]
        self.retention_s, self._skews = self.dice.choice(
            ((YEAR_SECONDS, (0, -300, 300)), (YEAR_SECONDS, (0,)), (60, (0,)))
        )
        self.ledger.retention_s = self.retention_s
        self.ledger.tells_time = self.dice.choice((True, True, False))
        if self.ledger.tells_time:
            self._skews = CLOCKS_SECONDS
        # Small pages, so that folding happens often; in some runs two versions of the library cut them differently.
        versions = self.dice.choice((1, 1, 2))
        self._page_limits = [(self.dice.randint(2, 5), self.dice.randint(4, 12)) for _ in range(versions)]
        self._volume_limits = [self.dice.choice((10_000, 10_000, 1_000)) for _ in range(versions)]
        blocks.TAIL_LIMIT = max(segments for segments, _ in self._page_limits) + 1
        self.fair = self.table.faults.fault_free and not self.bucket.faults.pause
        self.processes: list[Process] = []
        self._sessions: list[Session] = []
        self._schedules: dict[str, HeartbeatSchedule] = {}

    def _choose_faults(self, faults: FaultRates | None) -> None:
        """Choose one for all, or one for the table and another for the bucket."""
        apart = faults is None and self.dice.random() < 0.25
        both = faults or self.dice.choice(FAULTS)
        table, bucket = self.dice.choice(APART) if apart else (both, both)
        self.table = Network(self.loop, self.ledger, table, random.Random(f"{self.seed}/table"))
        self.bucket = Network(self.loop, self.ledger, bucket, random.Random(f"{self.seed}/bucket"))

    def one_machine(self) -> None:
        """Keep the session in a directory: all processes have one clock, which is storage's, too."""
        self.ledger.tells_time, self._skews = False, (0,)

    def expire_after(self, seconds: int) -> None:
        """Keep the session in a table that tells the time, for so long after its last use."""
        self.ledger.tells_time = True
        self.ledger.retention_s = self.retention_s = seconds

    def process(self, name: str, *, rate: float = 1.0) -> Process:
        """Start a process, whose clock may run at another rate than it should."""
        offset, skew = self.dice.choice((0.0, 1000.0)), self.dice.choice(self._skews)
        clock = ProcessClock(self.loop, rate=rate, offset=offset, wall=EPOCH_SECONDS + skew)
        process = Process(self.loop, name, clock, self.dice.choice(self._page_limits))
        process.volume_limit = self.dice.choice(self._volume_limits)
        self.processes.append(process)
        self._schedules[name] = HeartbeatSchedule(
            self.loop, process.clock, random.Random(f"{self.seed}/{name}/heartbeats")
        )
        self.fair = self.fair and rate == 1.0
        return process

    def session(self, process: Process, owner: Owner, network: Network | None = None) -> Session:
        """A session object in a process."""
        self.ledger.owners.append(owner)
        owner.rate = process.clock.rate
        guard = GuardOverNetwork(network or self.table, process, owner, self.ledger)
        objects = ObjectsOverNetwork(network or self.bucket, process, owner, self.ledger)
        holding = Lease(
            guard,
            KEY,
            settings=self.settings,
            holder=owner.name,
            retention_s=self.retention_s,
            clock=process.clock,
        )
        session = Session(holding, Stores(guard, objects), self._schedules[process.name], process.clock)
        self._sessions.append(session)  # the schedule holds none alive; collecting garbage follows no seed
        return session

    def run(self, actors: Sequence[Actor]) -> Outcome:
        """Let the actors act, then see what they left.

        Raises:
            Violation: An invariant is broken.
        """
        try:
            self.loop.run_until_complete(self._run(actors))
        except RuntimeError:
            if self.ledger.violation is None:
                raise
        finally:
            self._clean_up()
        if self.ledger.violation is not None:
            raise self.ledger.violation
        return self._outcome()

    async def _run(self, actors: Sequence[Actor]) -> None:
        tasks = [asyncio.ensure_future(actor(self, f"{actor.__name__}{n}")) for n, actor in enumerate(actors)]
        done, _ = await asyncio.wait(tasks, timeout=HORIZON_SECONDS)
        for task in done:
            task.result()
        for process in self.processes:
            process.kill()
        if self.fair and self.ledger.takeovers:
            self.ledger.broken("a holder lost its lease, though all processes were honest, awake and alive")
        await self._inherit("first heir")
        while self.table.under_way or self.bucket.under_way:
            await asyncio.sleep(HOUR_SECONDS)
        await self._inherit("second heir")

    async def _inherit(self, name: str) -> None:
        """Check that a later process, without faults, finds all records and can go on."""
        if self.ledger.incarnation is None:
            return
        owner, process = Owner(name), self.process(name)
        network = Network(self.loop, self.ledger, NO_FAULTS, random.Random(0))
        session = self.session(process, owner, network)
        await process.start(self._read_and_go_on(session, owner, process, network))
        process.kill()
        self.ledger.check_acknowledged()

    async def _read_and_go_on(self, session: Session, owner: Owner, process: Process, network: Network) -> None:
        self.ledger.seen(await session.open(timeout=60.0), final=True)
        name = f"{owner.name}.0"
        message = {"tracking_id": name, "text": secret(name)}
        position = session.append(Record(kind="message", data={"id": name, "message": message}))
        owner.appended.append(name)
        owner.positions.append(position)
        await session.close()
        self.ledger.acknowledged_to(owner, 1)
        guard = GuardOverNetwork(network, process, owner, self.ledger)
        objects = ObjectsOverNetwork(network, process, owner, self.ledger)
        self.ledger.seen(await read_unheld(guard, objects, "", KEY, process.clock), final=True)

    def _clean_up(self) -> None:
        self.table.closed = self.bucket.closed = True
        self.ledger.on_violation = lambda: None
        for process in self.processes:
            process.revive_to_be_ended()
        self.loop.end_all_tasks()
        self.loop.close()
        for context in self.loop.errors:
            if "never retrieved" not in context["message"] and "destroyed" not in context["message"]:
                self.ledger.broken(f"unhandled: {context['message']} {context.get('exception')!r}")

    def _outcome(self) -> Outcome:
        ledger = self.ledger
        return Outcome(
            seed=self.seed,
            records=sum(len(incarnation.entries) for incarnation in ledger.incarnations.values()),
            acknowledged=sum(owner.acknowledged for owner in ledger.owners),
            acquisitions=ledger.acquisitions,
            takeovers=ledger.takeovers,
            folds=ledger.folds,
            volumes=ledger.volumes,
            incarnations=len(ledger.incarnations),
            settled=ledger.settled,
            fingerprint=self.loop.turns,
        )


def simulate(
    seed: int, actors: Sequence[Actor] | None = None, faults: FaultRates | None = None, *, verbose: bool = False
) -> Outcome:
    """Run one seed.

    Args:
        seed: Decides everything; the same seed is the same run.
        actors: Who acts; default: as the seed casts them.
        faults: Faults of the network; default: as the seed has them.
        verbose: Print what happened, request by request, if it breaks something.

    Raises:
        Violation: An invariant is broken. Its text says how to replay.
    """
    from tests.simulation.actors import cast  # actors need the world's type, the world only their names

    with seeded(seed):
        world = World(seed, faults, verbose=verbose)
        try:
            return world.run(cast(world) if actors is None else actors)
        except (Violation, SegueError) as error:
            timeline = "".join(f"\n{line}" for line in world.ledger.timeline)
            replay = f".venv/bin/python -m tests.simulation --seed {seed}"
            raise Violation(f"{error!s}\nseed {seed} breaks it; replay: {replay}{timeline}") from error
