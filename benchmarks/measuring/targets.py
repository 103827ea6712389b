"""Targets of the figures, and the verdict on each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from benchmarks.measuring.figures import STALL_MS, Cell, Load, Run, Spread
from segue.journal.blocks import VOLUME_PAGES

STALL_SHARE = 0.01
BYTES_RATIO = 2.5
RESTORE_LENGTH = 5_000
TIMES_FASTER = 50
HANDOFF_MS = (200.0, 500.0)
KILLED_MS = 1_000.0
STOPPED_MARGIN_MS = 1_000.0
FOUND_DEAD_MS = 500.0
FOUND_HUNG_MS = 3_000.0
"""On the stack, at default settings, from the first frame that finds it so."""

_SEVERAL_PAGES = 150
"""Messages after which pages have their share in the figures."""


class Verdict(msgspec.Struct, kw_only=True):
    """Verdict on one target."""

    figure: str
    target: str
    measured: str
    met: bool


def verdicts(run: Run) -> Sequence[Verdict]:
    """Compare a run with the targets."""
    return [*_managers(run), *_handover(run)]


def _managers(run: Run) -> Iterator[Verdict]:
    for name in ("segue-await", "segue-gate"):
        cells = sorted((each for each in run.cells if each.manager == name), key=lambda each: each.length)
        label = f'"{name.removeprefix("segue-")}"'
        if not cells:
            continue
        paced_loads = [load for cell in cells for load in (cell.texts, cell.turns) if load and load.idle]
        if paced_loads:
            yield _stalls(label, paced_loads)
        if any(cell.texts and cell.texts.messages < _SEVERAL_PAGES for cell in cells):
            continue
        yield _requests(label, [cell.texts for cell in cells if cell.texts])
        for kind, loads in (("texts", [cell.texts for cell in cells]), ("turns", [cell.turns for cell in cells])):
            yield _bytes(f"{kind}, {label}", [load for load in loads if load])
    yield from _bursts(run.cells)
    yield from _restores(run.cells)


def _stalls(label: str, loads: Sequence[Load]) -> Verdict:
    """All lengths together, less the share of idle moments: no process is free of the machine's pauses (RFC 0009)."""
    count = sum(load.stall.count for load in loads)
    over, idle = (sum(load.over[which] for load in loads) for which in (0, 1))
    shares = [load.over[0] / load.stall.count for load in loads]
    return Verdict(
        figure=f"event loop stall for each message, {label}",
        target=f"p99 ≤ {STALL_MS:g} ms at any length",
        measured=f"{over / count:.1%} of {count:,} above it ({min(shares):.1%} to {max(shares):.1%} at one length); "
        f"{idle / count:.1%} of idle moments",
        met=over - idle <= STALL_SHARE * count,
    )


def _bytes(kind: str, loads: Sequence[Load]) -> Verdict:
    """All lengths together: a volume is written once in hundreds of messages, which is more than are added at one."""
    ratios = [load.traffic.s3_written / load.own_bytes for load in loads]
    ratio_of_all = sum(load.traffic.s3_written for load in loads) / sum(load.own_bytes for load in loads)
    return Verdict(
        figure=f"bytes written to S3, {kind}",
        target=f"≤ {BYTES_RATIO:g} x the message's own size at any length",
        measured=f"{ratio_of_all:.2f} x ({min(ratios):.2f} to {max(ratios):.2f} x at one length)",
        met=ratio_of_all <= BYTES_RATIO,
    )


def _requests(label: str, loads: Sequence[Load]) -> Verdict:
    commits = sum(load.traffic.count("dynamodb.UpdateItem") for load in loads)
    puts = sum(load.traffic.count("s3.PutObject") for load in loads)
    pages = sum(load.traffic.count("s3.DeleteObjects") for load in loads)  # one for the segments of each
    volumes = sum(load.traffic.count("s3.GetObject") // VOLUME_PAGES for load in loads)  # nothing else is read
    messages = sum(load.messages for load in loads)
    folded = pages + volumes
    return Verdict(
        figure=f"requests, steady conversation, {label}",
        target="≤ 1 S3 PUT + 1 DynamoDB update a commit",
        measured=f"{(puts - folded) / commits:.2f} + 1, {folded / commits:.2f} PUT for pages and volumes; "
        f"{commits / messages:.2f} commits a message",
        met=puts - folded <= commits <= messages,
    )


def _bursts(cells: Sequence[Cell]) -> Iterator[Verdict]:
    bursts = [cell.burst for cell in cells if cell.manager == "segue-gate" and cell.burst]
    if bursts:
        each = [load.traffic.count("dynamodb.UpdateItem") / load.messages for load in bursts]
        yield Verdict(
            figure='commits under load, "gate"',
            target="fewer than messages",
            measured=f"at most {max(each):.2f} a message",
            met=max(each) < 1,
        )


def _restores(cells: Sequence[Cell]) -> Iterator[Verdict]:
    restore_ms = {cell.manager: cell.restore.ms for cell in cells if cell.length == RESTORE_LENGTH and cell.restore}
    if len(restore_ms) < 4:
        return
    segue_ms = (restore_ms["segue-await"] + restore_ms["segue-gate"]) / 2
    yield Verdict(
        figure=f"restore of {RESTORE_LENGTH:,} messages, beside S3SessionManager",
        target=f"≥ {TIMES_FASTER} x faster",
        measured=f"{restore_ms['s3'] / segue_ms:.0f} x ({segue_ms:,.0f} ms)",
        met=restore_ms["s3"] / segue_ms >= TIMES_FASTER,
    )
    yield Verdict(
        figure=f"restore of {RESTORE_LENGTH:,} messages, beside SnapshotSessionManager",
        target="no slower",
        measured=f"{segue_ms:,.0f} ms beside {restore_ms['snapshot']:,.0f} ms",
        met=segue_ms <= restore_ms["snapshot"],
    )


def _handover(run: Run) -> Iterator[Verdict]:
    handover = run.handover
    if handover is None:
        return
    yield handoff("planned handoff", handover.handoff)
    yield dead(handover.takeover_killed)
    yield hung(handover.takeover_stopped.max, handover.lease_ms)


def handoff(figure: str, gap: Spread) -> Verdict:
    """Compare the gaps of planned handoffs with the target."""
    return Verdict(
        figure=figure,
        target=f"p50 ≤ {HANDOFF_MS[0]:.0f} ms, p99 ≤ {HANDOFF_MS[1]:.0f} ms",
        measured=f"{gap.p50:.0f} and {gap.p99:.0f} ms",
        met=gap.p50 <= HANDOFF_MS[0] and gap.p99 <= HANDOFF_MS[1],
    )


def dead(pauses: Spread, target_ms: float = KILLED_MS) -> Verdict:
    """Compare takeovers from holders that were killed with the target."""
    return Verdict(
        figure="takeover, holder killed",
        target=f"≤ {target_ms / 1000:g} s",
        measured=f"{pauses.max:,.0f} ms at most",
        met=pauses.max <= target_ms,
    )


def replaced(pauses: Spread, lease_ms: float) -> Verdict:
    """Compare takeovers by workers from holders that were stopped with the target."""
    return Verdict(
        figure="takeover, holder stopped",
        target=f"≤ {FOUND_HUNG_MS / 1000:g} s",
        measured=f"{pauses.max:,.0f} ms at most, lease {lease_ms:,} ms",
        met=pauses.max <= FOUND_HUNG_MS,
    )


def hung(longest_ms: float, lease_ms: float) -> Verdict:
    """Compare the longest takeover from a holder that was stopped, where only its silence shows, with the target."""
    return Verdict(
        figure="takeover, holder stopped",
        target="≤ lease + 1 s from the first notice",
        measured=f"{longest_ms:,.0f} ms at most, lease {lease_ms:,} ms",
        met=longest_ms <= lease_ms + STOPPED_MARGIN_MS,
    )
