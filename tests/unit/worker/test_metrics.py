"""Counts of the worker are emitted in CloudWatch's format."""

from __future__ import annotations

import json

import worker.telemetry.metrics as metrics_module
from worker.telemetry.metrics import SAMPLES, Count, Level, Metrics, Reporter, Time


def told(capsys, collected: Metrics) -> list[dict]:
    Reporter(collected, service="worker", stage="test").write_line()
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_one_line_has_all_that_happened(capsys):
    collected = Metrics()
    collected.count(Count.HANDOFFS, 2)
    collected.error("busy")
    collected.time(Time.HANDOFF_GAP, 0.125)
    collected.level(Level.ACTIVE_SESSIONS, 7)
    (line,) = told(capsys, collected)
    assert (line["Handoffs"], line["Errors"], line["Errors.busy"]) == ([2.0], [1.0], [1.0])
    assert (line["HandoffGap"], line["ActiveSessions"]) == ([125.0], [7.0])
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "Segue"
    assert set(directive["Dimensions"][0]) == {"service", "stage"}
    units = {metric["Name"]: metric["Unit"] for metric in directive["Metrics"]}
    assert (units["HandoffGap"], units["Handoffs"]) == ("Milliseconds", "Count")
    (line,) = told(capsys, collected)
    assert line["ActiveSessions"] == [7.0], "the active sessions are still there"
    assert "Handoffs" not in line, "told once"


def test_no_line_is_written_without_a_figure(capsys):
    assert told(capsys, Metrics()) == []


def test_a_sample_of_very_many_values_is_one_line(capsys):
    collected = Metrics()
    for value in range(10 * SAMPLES):
        collected.time(Time.GATE_WAIT, value / 1000)
    (line,) = told(capsys, collected)
    assert len(line["GateWait"]) == SAMPLES - 1
    assert max(line["GateWait"]) > SAMPLES, "not only the first"


def test_the_table_names_every_metric():
    table = metrics_module.__doc__ or ""
    for name in (*Count, *Time, *Level):
        assert f"    {name} " in table
