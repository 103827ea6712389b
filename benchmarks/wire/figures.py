"""Figures of ``benchmarks.wire``, and the tables that show them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from benchmarks.measuring.figures import Spread
from benchmarks.measuring.targets import FOUND_DEAD_MS, HANDOFF_MS, Verdict, dead, handoff, replaced

BARE = "strands, boto3"
"""Import that the text function's is held against."""

GATEWAY, DIRECT, PLAIN = "gateway", "direct", "plain"
"""Servers of the crowd."""

PLAIN_TIMES = {DIRECT: 2.0, GATEWAY: 3.0}
"""Times the processor of a plain server that a worker may take for as many sessions."""

ALL_BACK = 0.99
"""Share of the frames that has to come back: a worker that drops them takes little of the processor."""

ECHO_MS = 10.0
ECHO_TIMES = 1.3
"""Times the p99 of a server of the same transport that does nothing but send back what it is sent."""

GATEWAY_FLOOR = "gateway, a function that posts it back: the floor"
GATEWAY_ECHO = "gateway, worker, agent"
BARE_ECHO = "a bare WebSocket server that sends it back"
AGENT_ECHO = "a plain WebSocket server, agent"
DIRECT_ECHO = "direct: a worker's socket, agent"

_ECHOES = ((GATEWAY_ECHO, GATEWAY_FLOOR), (DIRECT_ECHO, BARE_ECHO), (DIRECT_ECHO, AGENT_ECHO))
"""Each with what it is held against."""

MISSED = "**missed**"

_IMPORTS = (("gateway.message", "gateway.authorizer", 1.4), ("turn.handler", BARE, 1.2))
"""Each with what it is held against, and how many times that it may take."""


class Echo(msgspec.Struct, kw_only=True):
    """A 100 ms audio frame there and back.

    Attributes:
        name: Which way it took.
        milliseconds: How long that took.
        lost: Frames that did not come back.
    """

    name: str
    milliseconds: Spread
    lost: int


class Crowd(msgspec.Struct, kw_only=True):
    """Many sessions on one process, ten frames a second each way.

    Attributes:
        name: ``GATEWAY``, ``DIRECT`` or ``PLAIN``.
        sessions: How many.
        cpu: Share of one processor.
        lag_ms: How late the event loop was.
        memory_mib: Resident memory.
        round_trip_ms: From a frame's sending to its echo.
        back: Share of the frames that came back.
    """

    name: str
    sessions: int
    cpu: float
    lag_ms: Spread
    memory_mib: float
    round_trip_ms: Spread
    back: float


class Entry(msgspec.Struct, kw_only=True):
    """The import of a function's handler, in a fresh interpreter.

    Attributes:
        name: The module.
        seconds: Processor time, less that of an interpreter that imports nothing.
        memory_mib: Largest resident memory.
    """

    name: str
    seconds: Spread
    memory_mib: float


class Handoffs(msgspec.Struct, kw_only=True):
    """Planned handoffs of calls under way.

    Attributes:
        name: With which model and callers.
        judged: Whether they are held against the target.
        gap_ms: From when the predecessor takes no more frames to the successor's ``ready``, by the workers' own
            account.
        seen_ms: From a ``moved`` to the successor's ``ready``, as the client sees it.
    """

    name: str
    judged: bool = True
    gap_ms: Spread | None
    seen_ms: Spread | None


class Wire(msgspec.Struct, kw_only=True):
    """A whole run.

    Attributes:
        echoes: By way.
        crowds: By server and number of sessions.
        entries: By function.
        handoffs: By model.
        killed_ms: From SIGKILL of the holder to the successor's ``ready``, with a frame every 100 ms: the first one
            that reaches the message function after the signal does so within these.
        stopped_ms: The same for SIGSTOP.
        direct_killed_ms: From SIGKILL of the holder to the next one's ``ready``, for a client at its socket, which has
            to come back first.
        direct_stopped_ms: The same for SIGSTOP, which the client has to notice first.
        lease_ms: How long a silent holder keeps a session in that, unless it is shown to be dead or hung.
    """

    echoes: list[Echo] = []
    crowds: list[Crowd] = []
    entries: list[Entry] = []
    handoffs: list[Handoffs] = []
    killed_ms: Spread | None = None
    stopped_ms: Spread | None = None
    direct_killed_ms: Spread | None = None
    direct_stopped_ms: Spread | None = None
    lease_ms: int = 0


def tables(run: Wire) -> str:
    """Return the figures as Markdown."""
    lines = ["| echo of a 100 ms audio frame | p50 | p99 | frames | lost |", "|---|--:|--:|--:|--:|"]
    for echo in run.echoes:
        spread = echo.milliseconds
        lines.append(f"| {echo.name} | {spread.p50:.2f} ms | {spread.p99:.2f} ms | {spread.count} | {echo.lost} |")
    lines += [
        "",
        "| sessions | server | processor | times plain | memory | loop late, p50 / p99 / max | echo p50 | p99 | back |",
        "|--:|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    plain = {each.sessions: each for each in run.crowds if each.name == PLAIN}
    lines += [_crowd_row(each, plain.get(each.sessions)) for each in run.crowds]
    targets = f"{PLAIN_TIMES[DIRECT]:g} x (direct) and {PLAIN_TIMES[GATEWAY]:g} x (gateway), with all frames back"
    lines += ["", f"Bold: target missed. Targets: {targets}; echo p99 {ECHO_MS:g} ms.", ""]
    columns = (
        "planned handoff, the model's start included",
        "frames refused to `ready`: p50, p99",
        "`moved` to `ready`: p50, p99",
        f"target: {HANDOFF_MS[0]:.0f}, {HANDOFF_MS[1]:.0f} ms",
    )
    lines += [f"| {' | '.join(columns)} |", "|---|--:|--:|---|"]
    lines += [
        f"| {each.name} | {_percentiles(each.gap_ms)} | {_percentiles(each.seen_ms)} | {_judged(_handoffs([each]))} |"
        for each in run.handoffs
    ]
    lines += ["", "| pause that the caller sees | p50 | p99 | longest | samples |", "|---|--:|--:|--:|--:|"]
    for name, pause in (
        ("holder killed, SIGKILL to `ready`", run.killed_ms),
        (f"holder stopped, SIGSTOP to `ready` (lease {run.lease_ms} ms)", run.stopped_ms),
        ("holder killed, at its socket: SIGKILL to `ready`", run.direct_killed_ms),
        ("holder stopped, at its socket: SIGSTOP to `ready`", run.direct_stopped_ms),
    ):
        if pause is not None:
            lines.append(f"| {name} | {pause.p50:.0f} ms | {pause.p99:.0f} ms | {pause.max:.0f} ms | {pause.count} |")
    lines += ["", "| import of | processor time, p50 | longest | memory |", "|---|--:|--:|--:|"]
    lines += [
        f"| `{each.name}` | {1000 * each.seconds.p50:.0f} ms | {1000 * each.seconds.max:.0f} ms | "
        f"{each.memory_mib:.0f} MiB |"
        for each in run.entries
    ]
    lines += ["", "| against the target | target | measured | |", "|---|---|---|---|"]
    lines += [
        f"| {each.figure} | {each.target} | {each.measured} | {'met' if each.met else MISSED} |"
        for each in (*_imports(run.entries), *_echoes(run.echoes), *_takeovers(run))
    ]
    return "\n".join(lines) + "\n"


def _crowd_row(crowd: Crowd, plain: Crowd | None) -> str:
    """A row of the crowds' table; a figure that misses its target is bold."""
    times = f"{crowd.cpu / plain.cpu:.2f} x" if plain and plain.cpu else "-"
    met = _met_targets(crowd, plain) or MetTargets(cheap=True, complete=True, prompt=True)
    return (
        f"| {crowd.sessions} | {crowd.name} | {100 * crowd.cpu:.1f} % | {_marked(times, met=met.cheap)} | "
        f"{crowd.memory_mib:.0f} MiB | "
        f"{crowd.lag_ms.p50:.1f} / {crowd.lag_ms.p99:.1f} / {crowd.lag_ms.max:.1f} ms | "
        f"{crowd.round_trip_ms.p50:.1f} ms | {_marked(f'{crowd.round_trip_ms.p99:.1f} ms', met=met.prompt)} | "
        f"{_marked(f'{100 * crowd.back:.1f} %', met=met.complete)} |"
    )


def _marked(figure: str, *, met: bool) -> str:
    return figure if met else f"**{figure}**"


def _percentiles(spread: Spread | None) -> str:
    return f"{spread.p50:.0f}, {spread.p99:.0f} ms" if spread else ""


def _judged(verdicts: Iterator[Verdict]) -> str:
    """Words for the only verdict, or for none."""
    for verdict in verdicts:
        return "met" if verdict.met else MISSED
    return "none"


def _imports(entries: Sequence[Entry]) -> Iterator[Verdict]:
    """Compare the medians of one run: how long an import takes depends on the machine, and how much longer hardly."""
    seconds = {each.name: each.seconds.p50 for each in entries}
    for name, compared, most in _IMPORTS:
        if seconds.get(name) and seconds.get(compared):
            times = seconds[name] / seconds[compared]
            yield Verdict(
                figure=f"import of `{name}` beside `import {compared}`",
                target=f"≤ {most:g} x",
                measured=f"{times:.2f} x ({1000 * seconds[name]:.0f} and {1000 * seconds[compared]:.0f} ms)",
                met=times <= most,
            )


def _echoes(echoes: Sequence[Echo]) -> Iterator[Verdict]:
    """Compare ways that took turns in one run."""
    p99 = {each.name: each.milliseconds.p99 for each in echoes}
    for name, compared in _ECHOES:
        if name in p99 and p99.get(compared):
            times = p99[name] / p99[compared]
            yield Verdict(
                figure=f"echo, {name}, beside {compared}",
                target=f"p99 ≤ {ECHO_TIMES:g} x",
                measured=f"{times:.2f} x ({p99[name]:.2f} and {p99[compared]:.2f} ms)",
                met=times <= ECHO_TIMES,
            )


def _crowds(crowds: Sequence[Crowd]) -> Iterator[Verdict]:
    """Compare a worker with the plain server that had as many sessions in the same run."""
    plain = {crowd.sessions: crowd for crowd in crowds if crowd.name == PLAIN}
    for crowd in crowds:
        yield from _compare_with_plain(crowd, plain.get(crowd.sessions))


class MetTargets(NamedTuple):
    """Targets of a crowd that were met.

    Attributes:
        cheap: The processor's, beside a plain server.
        complete: That of frames that come back.
        prompt: The echo's.
    """

    cheap: bool
    complete: bool
    prompt: bool


def _met_targets(crowd: Crowd, plain: Crowd | None) -> MetTargets | None:
    """Compare a crowd with its targets; None for one that has none, and without a plain server's figures."""
    if crowd.name not in PLAIN_TIMES or plain is None or not plain.cpu:
        return None
    return MetTargets(
        cheap=crowd.cpu / plain.cpu <= PLAIN_TIMES[crowd.name],
        complete=crowd.back >= ALL_BACK,
        prompt=crowd.round_trip_ms.p99 <= ECHO_MS,
    )


def _compare_with_plain(crowd: Crowd, plain: Crowd | None) -> Iterator[Verdict]:
    """Compare the processor with a plain server's, and the echo with its target; nothing without a plain server."""
    met = _met_targets(crowd, plain)
    if met is None or plain is None:
        return
    most, times, p99 = PLAIN_TIMES[crowd.name], crowd.cpu / plain.cpu, crowd.round_trip_ms.p99
    yield Verdict(
        figure=f"processor of {crowd.sessions} sessions, {crowd.name}, beside a plain server",
        target=f"≤ {most:g} x, and all frames come back",
        measured=f"{times:.2f} x, {100 * crowd.back:.1f} % came back",
        met=met.cheap and met.complete,
    )
    yield Verdict(
        figure=f"echo with {crowd.sessions} sessions on the worker, {crowd.name}",
        target=f"p99 ≤ {ECHO_MS:g} ms",
        measured=f"{p99:.1f} ms",
        met=met.prompt,
    )


def verdicts(run: Wire) -> Iterator[Verdict]:
    """Compare a run with the targets."""
    yield from _imports(run.entries)
    yield from _echoes(run.echoes)
    yield from _crowds(run.crowds)
    yield from _handoffs(run.handoffs)
    yield from _takeovers(run)


def _handoffs(handoffs: Sequence[Handoffs]) -> Iterator[Verdict]:
    """Compare what clients saw of planned handoffs with the target."""
    for each in handoffs:
        if each.seen_ms and each.judged:
            yield handoff(f"planned handoff seen by the client, model start included, {each.name}", each.seen_ms)


def _takeovers(run: Wire) -> Iterator[Verdict]:
    """Compare takeovers by the gateway with their targets."""
    if run.killed_ms:
        yield dead(run.killed_ms, FOUND_DEAD_MS)
    if run.stopped_ms:
        yield replaced(run.stopped_ms, run.lease_ms)
