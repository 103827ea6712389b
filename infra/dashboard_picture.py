"""The dashboard as a picture: from its own JSON, with the figures that workers and functions wrote into their logs.

    .venv/bin/python -m infra.dashboard_picture TEMPLATE LOGS PICTURE

TEMPLATE is the service stack's as synthesized, LOGS a folder with logs (``.segue/demo/logs`` after ``make demo``).
AWS's own metrics are not in there: their graphs are left out, and the picture says so.
"""

from __future__ import annotations

import json
import math
import sys
import textwrap
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

type Series = dict[tuple[str, str], list[tuple[float, float]]]
"""By service and name: seconds since 1970 and the value."""

COLUMNS: Final = 3


def read_figures(logs: Path) -> Series:
    """The metrics in all logs below a folder."""
    figures: Series = defaultdict(list)
    for path in sorted(logs.rglob("*.log")):
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            start = line.find("{")
            if "CloudWatchMetrics" in line and start >= 0:
                _collect(json.loads(line[start:]), figures)
    return figures


def _collect(line: dict[str, Any], figures: Series) -> None:
    for directive in line["_aws"]["CloudWatchMetrics"]:
        for metric in directive["Metrics"]:
            values = line[metric["Name"]]
            for value in values if isinstance(values, list) else [values]:
                figures[line["service"], metric["Name"]].append((line["_aws"]["Timestamp"] / 1000, value))


def statistic(name: str, values: list[float]) -> float:
    """Statistics of a minute's values, as CloudWatch computes them.

    Raises:
        ValueError: The dashboard asks for one that is not known here.
    """
    if name.startswith("p"):
        ordered = sorted(values)
        return ordered[math.ceil(float(name[1:]) / 100 * len(ordered)) - 1]
    functions: dict[str, Callable[[list[float]], float]] = {
        "Sum": sum,
        "Maximum": max,
        "Average": lambda them: sum(them) / len(them),
    }
    if name not in functions:
        raise ValueError(f"no statistic {name}")
    return float(functions[name](values))


def graphs(template: dict[str, Any]) -> list[tuple[str, str, list[dict[str, Any]]]]:
    """Question, title and lines of each graph that has metrics of Segue's own."""
    (board,) = [each for each in template["Resources"].values() if each["Type"] == "AWS::CloudWatch::Dashboard"]
    body = board["Properties"]["DashboardBody"]
    text = (
        body
        if isinstance(body, str)
        else "".join(part if isinstance(part, str) else "reference" for part in body["Fn::Join"][1])
    )
    question, graphs_of_segue = "", []
    for widget in json.loads(text)["widgets"]:
        properties = widget["properties"]
        question = properties.get("markdown", question).removeprefix("## ")
        lines = [_line(metric) for metric in properties.get("metrics", []) if metric[0] == "Segue"]
        if lines and all(metric[0] == "Segue" for metric in properties["metrics"]):
            graphs_of_segue.append((question, properties["title"], lines))
    return graphs_of_segue


def _line(metric: list[Any]) -> dict[str, Any]:
    dimensions = dict(zip(metric[2:-1:2], metric[3:-1:2], strict=True))
    options = metric[-1] if isinstance(metric[-1], dict) else {}
    return {
        "key": (dimensions["service"], metric[1]),
        "label": options.get("label", metric[1]),
        "statistic": options.get("stat", "Average"),
    }


def draw(template: dict[str, Any], figures: Series, picture: Path) -> None:
    """Write the picture."""
    from matplotlib.figure import Figure

    all_graphs = graphs(template)
    shown = [graph for graph in all_graphs if any(line["key"] in figures for line in graph[2])]
    empty = ", ".join(title for _, title, _ in all_graphs if title not in {title for _, title, _ in shown})
    rows = math.ceil(len(shown) / COLUMNS)
    first_timestamp = min((timestamp for series in figures.values() for timestamp, _ in series), default=0.0)
    figure = Figure(figsize=(5 * COLUMNS, 2.9 * rows), layout="constrained")
    figure.suptitle("Segue's own metrics in the workers' logs of one run of `make demo`")
    note = (
        f"No figures in these logs: {empty}. AWS's own metrics, and costs, which are computed from them, are left out."
    )
    figure.supxlabel("\n".join(textwrap.wrap(note, 150)), fontsize=8)
    axes = list(figure.subplots(rows, COLUMNS, squeeze=False).flat)
    for axis, (question, title, lines) in zip(axes, shown, strict=False):
        axis.set_title(f"{question}\n{title}", fontsize=9)
        axis.tick_params(labelsize=7)
        for line in lines:
            slots: defaultdict[int, list[float]] = defaultdict(list)
            for timestamp, value in figures.get(line["key"], []):
                slots[int((timestamp - first_timestamp) // 10)].append(value)
            if slots:
                points = sorted((10 * slot, statistic(line["statistic"], values)) for slot, values in slots.items())
                axis.plot(*zip(*points, strict=True), marker="o", label=line["label"], markersize=4)
        highest = max(axis.dataLim.y1, 0.0)
        axis.set_ylim(0, 1.45 * highest or 1.0)  # the legend lies above the points
        axis.legend(fontsize=7, loc="upper left", ncols=2)
        axis.set_xlabel("seconds", fontsize=7)
    for axis in axes[len(shown) :]:
        axis.set_visible(False)
    figure.savefig(picture, dpi=90)


if __name__ == "__main__":
    template_path, logs_path, picture_path = map(Path, sys.argv[1:])
    draw(json.loads(template_path.read_text(encoding="utf-8")), read_figures(logs_path), picture_path)
