"""``breakpoint()`` in a worker opens pdb in the terminal of ``make local``, although another process has it."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest

from local.settings import ROOT
from local.workers import debugger, worker_process

PROGRAM = """
import os, signal, sys
from local.workers.debugger import stop_here
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
child = os.fork()
if child == 0:
    os.setpgid(0, 0)  # as the worker: a process group that does not have the terminal
    sys.breakpointhook = stop_here
    answer = 41
    breakpoint()
    print("the answer is", answer, flush=True)
    os._exit(0)
os.waitpid(child, 0)
print("terminal is back:", os.tcgetpgrp(0) == os.getpgrp(), flush=True)
"""


class Over(Exception):  # noqa: N818 - the end of a test
    """No editor comes or goes any more."""


def test_a_breakpoint_stops_in_the_editor_while_it_is_there(monkeypatch):
    there, hooks = iter([False, True, False]), []

    def next_look(_: float) -> None:
        hooks.append(sys.breakpointhook)
        if len(hooks) == 3:
            raise Over

    editor = SimpleNamespace(is_client_connected=lambda: next(there), breakpoint=lambda: None)
    monkeypatch.setitem(sys.modules, "debugpy", editor)
    monkeypatch.setattr(debugger.time, "sleep", next_look)
    monkeypatch.setattr(sys, "breakpointhook", None)
    with pytest.raises(Over):
        debugger.follow_editor()
    assert hooks == [debugger.stop_here, editor.breakpoint, debugger.stop_here]


@pytest.mark.slow
def test_a_breakpoint_takes_the_terminal_and_gives_it_back():
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(ROOT)
        os.execv(sys.executable, [sys.executable, "-c", PROGRAM])
    said = b""

    def until(text: bytes) -> None:
        nonlocal said
        while text not in said:
            said += os.read(terminal, 4096)

    try:
        until(b"(Pdb) ")
        os.write(terminal, b"answer = 42\nc\n")
        until(b"the answer is 42")
        until(b"terminal is back: True")
    finally:
        os.close(terminal)
        os.waitpid(process, 0)


def test_a_worker_under_a_debugger_has_a_lease_that_waits(settings, make_deployment):
    debugged = replace(settings, debug=True)
    environment = worker_process.environment(debugged, make_deployment(), "w1-ab", 5001, {"PATH": "/usr/bin"})
    assert environment["SEGUE_DEBUG"] == "1"
    assert environment["SEGUE_LEASE_SECONDS"] == "3600"
    assert int(environment["SEGUE_DEBUG_PORT"]) > 0
    assert "SEGUE_DEBUG" not in worker_process.environment(settings, make_deployment(), "w1-ab", 5001, {})


PASSED = """
import sys
from local.workers.debugger import stop_here
sys.breakpointhook = stop_here
breakpoint()
print("on")
"""


def test_without_a_terminal_a_breakpoint_is_passed():
    done = subprocess.run(
        [sys.executable, "-c", PASSED],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=60, start_new_session=True,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.stdout == "on\n"
    assert "there is no terminal" in done.stderr
