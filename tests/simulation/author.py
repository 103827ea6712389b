"""One session object in a process, and a memory of what it was given and told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from segue.history.agent_history import History
from segue.journal.reader import StoredJournal, read_unheld
from segue.journal.records import Record
from segue.lease.holder_watch import Probe
from segue.lease.item import Known
from segue.session.standby import Standby
from tests.simulation.loop import Process
from tests.simulation.network import GuardOverNetwork, Network, ObjectsOverNetwork
from tests.simulation.truth import GONE, Owner, entry_of, secret
from tests.simulation.world import KEY, World

_GLANCE_SECONDS = 0.001
"""Shorter than any latency, so that a scene sees what was applied before its sender does."""

_PATIENCE_SECONDS = 60.0


async def until(seen: Callable[[], bool]) -> None:
    """Wait for what only storage knows."""
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while not seen():
            await asyncio.sleep(_GLANCE_SECONDS)


class Author:
    """One session object, and a memory of what it was given and told.

    Attributes:
        known: Tracking ids of the messages that it restored or wrote.
    """

    def __init__(self, world: World, process: Process, name: str, network: Network | None = None) -> None:
        self.owner = Owner(name)
        self.session = world.session(process, self.owner, network)
        self.known: list[str] = []
        self._world, self._process = world, process
        self._ledger = world.ledger
        self._redacted: list[str] = []
        self._standby: Standby | None = None
        self._settling: dict[str, int] = {}
        self._to_acknowledge: list[tuple[int, str, int]] = []

    async def prepare(self) -> None:
        """Read while another process holds; records that are appended from now on wait until this one does."""
        journal = await read(self._world, self._process, self.owner)
        self._know(journal.records)
        journal.records.clear()  # as a session manager does: what they add up to is all that it keeps
        self._standby = Standby(journal, History())

    async def open(self, probe: Probe | None = None, timeout: float = 15.0) -> None:
        """Acquire and read, unless what was read before is what was acquired."""
        restored = await self.session.open(timeout, probe, self._standby)
        self.session.live.on_settled(self._settled)
        prepared, self._standby = self._standby, None
        if prepared is None or not prepared.built_on:
            self._know(restored.records)
        elif prepared.records:
            self.session.append(*prepared.records)

    def append(self, count: int) -> None:
        """Queue messages."""
        first = len(self.owner.appended)
        names = [f"{self.owner.name}.{number}" for number in range(first, first + count)]
        self._queue([self._message(name, name, secret(name)) for name in names])
        self.known += names

    def settle(self, client_id: str) -> None:
        """Settle a client's next input."""
        live = self.session.live
        known = live.inputs.get(client_id, Known()).upto
        seq = self._settling[client_id] = max(known, self._settling.get(client_id, 0)) + 1
        live.settle(Record(kind="input", agent="", inputs=(client_id, (seq,))))

    def _settled(self, client_id: str) -> None:
        """Acknowledge what is known of a client's input, as soon as the records are there that it may rest on."""
        live = self.session.live
        self._to_acknowledge.append((live.position, client_id, live.inputs[client_id].upto))
        self._acknowledge_inputs()

    def _acknowledge_inputs(self) -> None:
        head = self.session.live.head
        for position, client_id, upto in self._to_acknowledge:
            if position <= head:
                self._ledger.input_acknowledged_to(self.owner, client_id, upto)
        self._to_acknowledge = [one for one in self._to_acknowledge if one[0] > head]

    def redact(self, tracking_id: str) -> None:
        """Queue the redaction of an earlier message, of this author or another."""
        name = f"{self.owner.name}.{len(self.owner.appended)}"
        self._queue([self._message(name, tracking_id, GONE, kind="redact")])

    def _know(self, records: list[Record]) -> None:
        self.known = [entry_of(record).tracking_id for record in records if record.kind == "message"]

    async def durable(self, timeout: float | None) -> None:
        """Wait for what is queued, and remember that it was acknowledged."""
        count, redacted = len(self.owner.appended), list(self._redacted)
        await self.session.durable(timeout=timeout)
        self._ledger.acknowledged_to(self.owner, count)
        self._acknowledge_inputs()
        for text in redacted:
            self._ledger.redaction_acknowledged_to(self.owner, text)

    async def close(self) -> None:
        """Flush and release, and remember that it was acknowledged."""
        count = len(self.owner.appended)
        await self.session.close()
        self._ledger.acknowledged_to(self.owner, count)

    def _message(self, name: str, tracking_id: str, text: str, kind: str = "message") -> Record:
        return Record(kind=kind, data={"id": name, "message": {"tracking_id": tracking_id, "text": text}})

    def _queue(self, records: list[Record]) -> None:
        if self._standby is not None:
            self._standby.built_on = True
            position = self._standby.append(*records)
        else:
            position = self.session.append(*records)
        self.owner.appended += [record.data["id"] for record in records]
        self.owner.positions += range(position - len(records) + 1, position + 1)
        self._redacted += [secret(one.data["message"]["tracking_id"]) for one in records if one.kind == "redact"]


async def read(world: World, process: Process, owner: Owner) -> StoredJournal:
    """Read without the lease, and have it checked what was read."""
    guard = GuardOverNetwork(world.table, process, owner, world.ledger)
    objects = ObjectsOverNetwork(world.bucket, process, owner, world.ledger)
    journal = await read_unheld(guard, objects, "", KEY, process.clock)
    world.ledger.seen(journal)
    return journal
