"""The dashboard's picture: its graphs are the dashboard's, its figures the logs'."""

from __future__ import annotations

import json

import pytest

from infra.dashboard_picture import draw, graphs, read_figures, statistic
from worker.telemetry.metrics import Count, Metrics, Reporter, Time


@pytest.fixture
def logs(tmp_path, capsys):
    """A worker's log, with a line of metrics among others."""
    collected = Metrics()
    collected.count(Count.HANDOFFS, 3)
    for seconds in (0.1, 0.2, 0.3):
        collected.time(Time.HANDOFF_GAP, seconds)
    Reporter(collected, service="segue-worker", stage="local").write_line()
    (tmp_path / "shared.log").write_text('{"message":"worker ready"}\n' + capsys.readouterr().out, encoding="utf-8")
    return tmp_path


def test_figures_are_those_of_the_log(logs):
    figures = read_figures(logs)
    assert [value for _, value in figures["segue-worker", "Handoffs"]] == [3]
    assert [value for _, value in figures["segue-worker", "HandoffGap"]] == pytest.approx([100, 200, 300])


def test_graphs_are_those_of_the_dashboard(local):
    found = {title: lines for _, title, lines in graphs(local.service.content)}
    assert [line["statistic"] for line in found["Handoff: gap (ms)"]] == ["p50", "p95", "Maximum"]
    assert found["Text turns"][0]["key"] == ("segue-turn", "Turns")
    assert "Worker load" not in found


def test_the_picture_is_drawn(local, logs, tmp_path):
    draw(json.loads(json.dumps(local.service.content)), read_figures(logs), tmp_path / "dashboard.png")
    assert (tmp_path / "dashboard.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("name", "value"), [("Sum", 10), ("Maximum", 4), ("Average", 2.5), ("p50", 2), ("p95", 4), ("p100", 4)]
)
def test_a_statistic_is_computed_by_its_name(name, value):
    assert statistic(name, [4, 1, 3, 2]) == value


def test_a_statistic_that_is_not_known_is_no_zero():
    with pytest.raises(ValueError, match="TM99"):
        statistic("TM99", [1.0])
