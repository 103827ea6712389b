"""Nothing outlives its supervisor, not even one that got SIGKILL."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from local.processes import guard
from local.processes.children import Guard, base_environment
from local.processes.guard import Guarded
from local.settings import ROOT
from tests.support.waiting import within

SUPERVISOR = """
import asyncio, os, sys
from pathlib import Path
from local.processes.children import Guard

async def main():
    guard = Guard()
    await guard.start()
    for layer, script in enumerate(sys.argv[1:]):
        child = await guard.spawn("child", [sys.executable, "-c", script], environment=dict(os.environ),
                                  log=Path(os.devnull), layer=layer, grace=0.3)
        print(child.pid, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""
OBEDIENT = "import time; time.sleep(60)"
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"


def test_a_removed_process_group_is_forgotten():
    left = guard.read(["add 10 0 5\n", "add 11 1 2.5\n", "remove 10\n", "nonsense\n", "\n"])
    assert list(left.values()) == [Guarded(11, 1, 2.5)]


def test_the_highest_layer_goes_first():
    members = [Guarded(1, 0, 1), Guarded(2, 1, 1), Guarded(3, 1, 1), Guarded(4, 2, 1)]
    assert [[member.group for member in layer] for layer in guard.layers(members)] == [[4], [2, 3], [1]]


def gone(pid: int) -> bool:
    return not guard.alive(pid)


@pytest.mark.slow
def test_a_killed_supervisor_leaves_nothing_behind():
    supervisor = subprocess.Popen(
        [sys.executable, "-c", SUPERVISOR, OBEDIENT, DEAF], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert supervisor.stdout is not None
    pids = [int(supervisor.stdout.readline()) for _ in range(2)]
    assert not any(gone(pid) for pid in pids)
    supervisor.kill()
    supervisor.wait()
    deadline = time.monotonic() + 20
    while not all(gone(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert all(gone(pid) for pid in pids)


async def test_a_child_that_ends_takes_what_it_started_with_it(tmp_path: Path):
    keeper = Guard()
    await keeper.start()
    log = tmp_path / "log"
    script = f"import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', {OBEDIENT!r}]).pid, flush=True)"
    child = await keeper.spawn(
        "parent", [sys.executable, "-c", script], environment=base_environment(), log=log, layer=0, grace=1
    )
    assert await child.wait() == 0
    grandchild = int(log.read_text())
    async with within(10):
        while Path(f"/proc/{grandchild}").exists() and "Z" not in Path(f"/proc/{grandchild}/stat").read_text():
            await asyncio.sleep(0.02)
    await keeper.stop()


async def test_stop_kills_what_does_not_listen(guard: Guard, tmp_path: Path):
    script = DEAF.replace("time.sleep", "print('deaf', flush=True); time.sleep")
    child = await guard.spawn(
        "deaf", [sys.executable, "-c", script], environment=base_environment(), log=tmp_path / "log", layer=0, grace=1
    )
    async with within(10):
        while "deaf" not in child.log.read_text():
            await asyncio.sleep(0.02)
    assert await child.stop(0.1) == -signal.SIGKILL


def test_children_get_no_credentials(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "real")
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    monkeypatch.setenv("UV_OFFLINE", "1")
    environment = base_environment()
    assert not [name for name in environment if name.startswith(("AWS_", "PYTHON"))]
    assert environment["UV_OFFLINE"] == "1"
    assert environment["PATH"] == os.environ["PATH"]
