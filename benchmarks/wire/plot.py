"""The wire's figures as a picture."""

from __future__ import annotations

from pathlib import Path

from benchmarks.measuring.figures import Spread
from benchmarks.wire.figures import DIRECT, GATEWAY, PLAIN, Wire

_COLOURS = {GATEWAY: "#0b6e4f", DIRECT: "#d98324", PLAIN: "#9a9a9a"}


def _lost(run: Wire) -> list[tuple[str, Spread | None]]:
    return [
        ("killed", run.killed_ms),
        ("stopped", run.stopped_ms),
        ("killed,\nat its socket", run.direct_killed_ms),
        ("stopped,\nat its socket", run.direct_stopped_ms),
    ]


def draw(run: Wire, path: Path) -> None:
    """Draw the pauses, what a worker carries, and what the functions take to import.

    Args:
        run: The figures; parts that were not measured stay empty.
        path: Where the PNG goes.
    """
    import matplotlib as mpl  # a second that runs without a plot need not pay

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, ((pauses, processor), (late, imports)) = plt.subplots(2, 2, figsize=(11, 7.5), layout="constrained")
    found = [(f"handoff,\n{one.name}", one.seen_ms) for one in run.handoffs if one.seen_ms]
    found += [(name, each) for name, each in _lost(run) if each]
    names = [name for name, _ in found]
    pauses.barh(names, [each.p99 for _, each in found], color="#5fb49c", label="p99")
    pauses.barh(names, [each.p50 for _, each in found], color="#0b6e4f", label="p50")
    pauses.set(title="pause that the caller sees, ms", xscale="log" if found else "linear")
    if found:
        pauses.legend(frameon=False)
    for server in dict.fromkeys(one.name for one in run.crowds):
        crowds = [one for one in run.crowds if one.name == server]
        sessions, colour = [one.sessions for one in crowds], _COLOURS[server]
        processor.plot(sessions, [100 * one.cpu for one in crowds], marker="o", color=colour, label=server)
        late.plot(sessions, [one.lag_ms.p99 for one in crowds], marker="o", color=colour, label=f"{server}, loop")
        echoes = [one.round_trip_ms.p99 for one in crowds]
        late.plot(sessions, echoes, marker="x", linestyle="--", color=colour, label=f"{server}, echo")
    processor.set(title="processor, % of one core", xlabel="sessions, ten frames a second each way", ylim=(0, None))
    late.set(title="event loop late, and echo: p99, ms", xlabel="sessions", yscale="log" if run.crowds else "linear")
    for axis in (processor, late):
        axis.grid(alpha=0.3)
        if run.crowds:
            axis.legend(frameon=False)
    imports.barh(
        [one.name for one in run.entries], [1000 * one.seconds.p50 for one in run.entries], color=_COLOURS[GATEWAY]
    )
    imports.set(title="import, p50, ms")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)
