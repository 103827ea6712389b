"""Figures of a run, in a form that goes between processes as JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from benchmarks.measuring.metering import Traffic

STALL_MS = 2.0
"""A stall of a message above this is one too many, but for one in a hundred."""


class Spread(msgspec.Struct, kw_only=True):
    """A sample: its median, its 99th percentile (nearest rank), its largest, and how many there were."""

    p50: float
    p99: float
    max: float
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Sum up a sample that is not empty."""
        ordered = sorted(values)
        return cls(
            p50=ordered[math.ceil(0.5 * len(ordered)) - 1],
            p99=ordered[math.ceil(0.99 * len(ordered)) - 1],
            max=ordered[-1],
            count=len(ordered),
        )


class Load(msgspec.Struct, kw_only=True):
    """Messages that were added to a conversation, and what that cost.

    Attributes:
        messages: How many came into the history.
        own_bytes: Bytes of their JSON.
        stall: Longest time that the ticker woke late, for each message, in ms.
        idle: The same just after each, for as long, with nothing to do: the machine's own part.
        over: How many of these stalls were longer than ``STALL_MS``; and of those with nothing to do.
        turn: Longest turn of the loop, for each message, in ms.
        busy: Time on the loop, for each message, in ms.
        to_model: From ``agent.send`` to the model's ``send``, in ms.
        seconds: How long all took, until the last was durable.
        traffic: What went over the wire.
    """

    messages: int
    own_bytes: int
    stall: Spread
    idle: Spread | None = None
    over: tuple[int, int] = (0, 0)
    turn: Spread
    busy: Spread
    to_model: Spread
    seconds: float
    traffic: Traffic


class Restore(msgspec.Struct, kw_only=True):
    """An agent that was built with its history.

    Attributes:
        ms: From making the manager to the agent being ready, median of ``count``.
        bare_ms: What the same reads take an HTTP client that does nothing else, the first alone and then all others at
            once, with the same delay; median of as many. None where they were not made at once.
        stall: Longest time that the event loop did not turn meanwhile, in ms, of the same repetition.
        count: Repetitions.
        peak_mb: Peak of the process's memory above what it was before, first repetition, in MB.
        messages: Messages that were there, with content.
        traffic: What went over the wire, first repetition.
    """

    ms: float
    stall: float
    count: int
    peak_mb: float
    messages: int
    traffic: Traffic
    bare_ms: float | None = None


class Cell(msgspec.Struct, kw_only=True):
    """One manager at one length of history."""

    manager: str
    length: int
    restore: Restore | None = None
    texts: Load | None = None
    turns: Load | None = None
    burst: Load | None = None


class Handover(msgspec.Struct, kw_only=True):
    """Times of handoffs from hand to hand, in ms.

    Attributes:
        acquire_new: ``open`` of a session that does not exist.
        acquire: ``open`` and building the agent, of a free session with history.
        commit: One message, from its being added to its being durable.
        handoff: From the beginning of ``close`` in one process to the agent being ready in another.
        release: The part of it until the first process has released.
        takeover_killed: From ``open`` to the agent being ready, its holder killed, with evidence from its address.
        takeover_stopped: The same, its holder stopped (SIGSTOP), no evidence.
        lease_ms: The lease of the holders that are stopped; that of the killed outlasts the run.
        fenced: How many of the stopped holders, woken, found themselves fenced.
        history: Messages in the session.
    """

    acquire_new: Spread
    acquire: Spread
    commit: Spread
    handoff: Spread
    release: Spread
    takeover_killed: Spread
    takeover_stopped: Spread
    lease_ms: int
    fenced: int
    history: int


class Crowd(msgspec.Struct, kw_only=True):
    """Many sessions open in one process, none of them writing.

    Attributes:
        sessions: How many.
        seconds: How long they were watched.
        open_s: Seconds that it took to open all.
        cpu: Share of one core that the process used while it only kept its leases.
        kb_each: Memory of a session with its agent, in KB.
        threads: Threads of the process.
        beats: Heartbeats that were sent.
        late: How late heartbeats were begun, in ms.
        interval: Time between two renewals of one session on the wire, in s.
        stall: How late the ticker on the agents' loop woke, in ms, over all ticks.
        heartbeat_s: The heartbeat that was asked for.
        lease_s: The lease.
        lost: Sessions whose lease was not fresh at the end.
    """

    sessions: int
    seconds: float
    open_s: float
    cpu: float
    kb_each: float
    threads: int
    beats: int
    late: Spread
    interval: Spread
    stall: Spread
    heartbeat_s: float
    lease_s: float
    lost: int


class Run(msgspec.Struct, kw_only=True):
    """Everything that one run found.

    Attributes:
        machine: What it ran on, for people.
        date: The day.
        delay_ms: What was added to each request.
        seconds: How long the run took.
        cells: Managers by lengths.
    """

    machine: str
    date: str
    delay_ms: float
    seconds: float = 0.0
    cells: list[Cell] = []
    handover: Handover | None = None
    crowd: Crowd | None = None
