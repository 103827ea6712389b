"""Errors of workers are shown in the terminal, one line each, with the place and the log."""

from __future__ import annotations

import json

import pytest

from local.workers.error_lines import AGAIN_SECONDS, ErrorLines, error_line

TRACEBACK = """Traceback (most recent call last):
  File "/x/.venv/lib/python3.13/site-packages/strands/tools/decorator.py", line 670, in stream
    result = self._tool_func(**validated_input)
  File "/x/functions/worker/agent.py", line 41, in lamp
    raise ConnectionError("no lamp")
ConnectionError: no lamp"""

LINES = {
    "a tool raised": (
        {"level": "ERROR", "message": "a tool raised", "tool": "lamp", "exception": TRACEBACK},
        "a tool raised: tool lamp: ConnectionError: no lamp: at /x/functions/worker/agent.py:41",
    ),
    "a blocked loop": (
        {"level": "ERROR", "message": "the event loop is blocked", "at": "/x/agent.py:7", "code": "time.sleep(9)"},
        "the event loop is blocked: at /x/agent.py:7 (time.sleep(9))",
    ),
    "a warning": ({"level": "WARNING", "message": "storage is slow"}, None),
    "metrics": ({"_aws": {}, "Commits": 3}, None),
    "an array": ([1], None),
}


@pytest.mark.parametrize("name", LINES)
def test_a_log_line_becomes_one_line_of_the_terminal(name):
    fields, text = LINES[name]
    assert error_line(json.dumps(fields)) == text


def test_log_lines_that_are_no_json_are_left_out():
    assert error_line("Traceback (most recent call last):") is None


def test_lines_come_in_pieces_and_the_same_error_is_shown_once_in_a_while():
    now = [0.0]
    shown: list[str] = []
    lines = ErrorLines(shown.append, lambda: now[0])
    line = json.dumps({"level": "ERROR", "message": "it broke"}).encode() + b"\n"
    lines.feed(line[:10], "w1", "/logs/w1.log")
    assert shown == []
    lines.feed(line[10:] + line, "w1", "/logs/w1.log")
    assert shown == ["w1: it broke; log: /logs/w1.log"]
    now[0] = AGAIN_SECONDS
    lines.feed(line, "w1", "/logs/w1.log")
    assert len(shown) == 2
