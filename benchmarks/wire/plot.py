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

    figure, ((pauses, processor), (lateness, imports)) = plt.subplots(2, 2, figsize=(11, 7.5), layout="constrained")
    spreads = [(f"handoff,\n{entry.name}", entry.seen_ms) for entry in run.handoffs if entry.seen_ms]
    spreads += [(name, each) for name, each in _lost(run) if each]
    names = [name for name, _ in spreads]
    pauses.barh(names, [each.p99 for _, each in spreads], color="#5fb49c", label="p99")
    pauses.barh(names, [each.p50 for _, each in spreads], color="#0b6e4f", label="p50")
    pauses.set(title="pause that the caller sees, ms", xscale="log" if spreads else "linear")
    if spreads:
        pauses.legend(frameon=False)
    for server in dict.fromkeys(entry.name for entry in run.crowds):
        crowds = [entry for entry in run.crowds if entry.name == server]
        sessions, colour = [entry.sessions for entry in crowds], _COLOURS[server]
        processor.plot(sessions, [100 * entry.cpu for entry in crowds], marker="o", color=colour, label=server)
        lateness.plot(
            sessions, [entry.lag_ms.p99 for entry in crowds], marker="o", color=colour, label=f"{server}, loop"
        )
        echoes = [entry.round_trip_ms.p99 for entry in crowds]
        lateness.plot(sessions, echoes, marker="x", linestyle="--", color=colour, label=f"{server}, echo")
    processor.set(title="processor, % of one core", xlabel="sessions, ten frames a second each way", ylim=(0, None))
    lateness.set(
        title="event loop late, and echo: p99, ms", xlabel="sessions", yscale="log" if run.crowds else "linear"
    )
    for axis in (processor, lateness):
        axis.grid(alpha=0.3)
        if run.crowds:
            axis.legend(frameon=False)
    imports.barh(
        [entry.name for entry in run.entries],
        [1000 * entry.seconds.p50 for entry in run.entries],
        color=_COLOURS[GATEWAY],
    )
    imports.set(title="import, p50, ms")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)
