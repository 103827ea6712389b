"""The figures as a picture."""

from __future__ import annotations

from pathlib import Path

from benchmarks.measuring.figures import Cell, Run
from benchmarks.sessions.managers import LABELS

_COLOURS = {
    "segue-await": "#0b6e4f",
    "segue-gate": "#5fb49c",
    "s3": "#c44536",
    "snapshot": "#e09f3e",
    "none": "#9a9a9a",
}


def draw(run: Run, path: Path) -> None:
    """Draw what grows with the length of a conversation, and what does not.

    Args:
        run: The figures.
        path: Where the PNG goes.
    """
    import matplotlib as mpl  # a second that runs without a plot need not pay

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    panels = (
        ("event loop stall for each message, p99, ms", _stall),
        ("from agent.send to the model, p50, ms", _to_model),
        ("bytes written to S3 for each message", _written),
        ("restore, ms", _restore),
    )
    figure, axes = plt.subplots(2, 2, figsize=(11, 7.5), layout="constrained")
    for axis, (title, value) in zip(axes.flat, panels, strict=True):
        for name in dict.fromkeys(cell.manager for cell in run.cells):
            found = [(cell.length, value(cell)) for cell in run.cells if cell.manager == name]
            points = [(length, each) for length, each in found if each]  # a logarithm has no zero
            if points:
                axis.plot(*zip(*points, strict=True), marker="o", color=_COLOURS[name], label=LABELS[name])
        axis.set(xscale="log", yscale="log", title=title, xlabel="messages of history")
        axis.grid(which="major", alpha=0.3)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=5, frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)


def _stall(cell: Cell) -> float:
    return cell.texts.stall.p99 if cell.texts else 0.0


def _to_model(cell: Cell) -> float:
    return cell.texts.to_model.p50 if cell.texts else 0.0


def _written(cell: Cell) -> float:
    return cell.texts.traffic.s3_written / cell.texts.messages if cell.texts else 0.0


def _restore(cell: Cell) -> float:
    return cell.restore.ms if cell.restore else 0.0
