"""The text function's log is copied into a file, each invocation once, and its errors are shown."""

from __future__ import annotations

import json

from local.workers.text_log import FILE, TextLog

PLACE = 'File "/dev/shm/segue-0-5d/ministack-lambda-Segue-Turns-h6/code/worker/agent.py", line 63, in recall'
ERROR = json.dumps({"level": "ERROR", "message": "turn failed", "exception": f"Traceback\n  {PLACE}\nKeyError: 'x'"})
INFO = json.dumps({"level": "INFO", "message": "turn taken"})


def invocation(stream: str, at: int, *lines: str) -> list[dict[str, object]]:
    return [{"logStreamName": stream, "timestamp": at, "message": line} for line in (f"START {stream}", *lines, "END")]


def test_log_lines_of_the_text_function_are_copied_once_and_errors_shown(tmp_path):
    group: list[dict[str, object]] = invocation("earlier", 5_000, ERROR)
    shown: list[str] = []
    log = tmp_path / FILE
    text = TextLog(lambda since: [one for one in group if one["timestamp"] >= since], log, shown.append, lambda: 10.0)

    text.copy()
    assert shown == []
    assert not log.exists(), "lines of an earlier run are not copied"
    group += invocation("a", 11_000, INFO, ERROR)
    text.copy()
    text.copy()
    group += invocation("b", 11_000, INFO)  # in the same millisecond
    text.copy()
    group += invocation("c", 12_000, INFO)
    text.copy()
    text.copy()
    assert shown == [f"text function: turn failed: KeyError: 'x': at functions/worker/agent.py:63; log: {log}"]
    copied = log.read_text().splitlines()
    assert [line for line in copied if line.startswith("START")] == ["START a", "START b", "START c"]
