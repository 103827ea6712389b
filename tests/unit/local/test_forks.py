"""Programs forked from a server: processes as any other, that are told of, signalled and ended as such."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from local.errors import LocalError
from local.processes.children import Child, Guard, base_environment
from local.processes.forks import Forks
from local.settings import ROOT, Settings
from tests.support.waiting import eventually, within

SHOWS_ITSELF = """
import atexit, os, sys
atexit.register(print, "at its end")
print(sys.argv[0], __name__, __package__ == "", sys.stdin.read() == "", "json.tool" in sys.modules, os.getpgid(0))
print(sorted(name for name in os.environ if name.startswith("MINE")), file=sys.stderr)
sys.exit(7)
"""
BREAKS = "raise RuntimeError('broken')"
WAITS = "import time; print('waits', flush=True); time.sleep(600)"


@pytest.fixture
async def guard() -> AsyncIterator[Guard]:
    guard = Guard(Forks(("json.tool", "not_installed_here")))
    await guard.start()
    yield guard
    await guard.stop()


@pytest.fixture
def run(guard: Guard, tmp_path: Path) -> Callable[..., Awaitable[Child]]:
    async def run(name: str, program: str, **variables: str) -> Child:
        (tmp_path / f"{name}.py").write_text(program)
        environment = {**base_environment(), "PYTHONPATH": str(tmp_path), **variables}
        log = tmp_path / "logs" / f"{name}.log"
        python = Settings().python
        return await guard.run(name, name, python=python, environment=environment, log=log, layer=0, grace=1)

    return run


async def test_a_program_is_run_as_by_its_own_interpreter(run, tmp_path: Path):
    async with within():
        first = await run("first", "", MINE_ALONE="1")
        shown = await run("shown", SHOWS_ITSELF, MINE="1", MINE_TOO="2")
        assert (await first.wait(), await shown.wait()) == (0, 7)
    said = shown.log.read_text().splitlines()
    assert said == [
        f"{tmp_path / 'shown.py'} __main__ True True True {shown.pid}",
        "['MINE', 'MINE_TOO']",
        "at its end",
    ]
    assert shown.exit_code == 7


@pytest.mark.slow
async def test_a_program_that_breaks_says_why(run):
    broken = await run("breaks", BREAKS)
    async with within():
        assert await broken.wait() == 1
    assert broken.log.read_text().endswith("RuntimeError: broken\n")


async def test_a_program_can_be_signalled(run):
    async with within():
        left, right = await run("left", WAITS), await run("right", WAITS)
        left.signal(signal.SIGTERM)
        assert await left.wait() == -signal.SIGTERM
        assert right.exit_code is None
        assert await right.stop(5) == -signal.SIGTERM


@pytest.mark.slow
async def test_programs_are_killed_when_their_server_dies_and_the_next_gets_another(run):
    async with within():
        orphan = await run("orphan", WAITS)
        server = int(Path(f"/proc/{orphan.pid}/stat").read_text().rpartition(")")[2].split()[1])
        os.kill(server, signal.SIGKILL)
        assert await orphan.wait() == -signal.SIGKILL
        await eventually(lambda: not Path(f"/proc/{orphan.pid}").exists())
        assert await (await run("next", "")).wait() == 0


async def test_a_program_that_is_not_waited_for_is_killed_and_not_taken_for_the_next(guard, run):
    async with within():
        await (await run("first", "")).wait()
        unwanted = asyncio.create_task(run("unwanted", WAITS))
        while not guard._forks._ask_lock.locked():  # held for some turns of the loop only
            await asyncio.sleep(0)
        unwanted.cancel()
        following = await run("following", "print('following')")
        assert await following.wait() == 0
        assert following.log.read_text() == "following\n"
        await eventually(lambda: not guard._forks._programs)


async def test_code_is_read_when_a_program_starts(run, tmp_path: Path):
    async with within():
        for said in ("before", "and after"):
            (tmp_path / "part.py").write_text(f"SAID = {said!r}")
            says = await run("says", "import part; print(part.SAID)")
            assert await says.wait() == 0
    assert says.log.read_text() == "before\nand after\n"


async def test_a_server_that_cannot_start_is_told_of(tmp_path: Path):
    forks = Forks((), Path("/bin/false"))
    with pytest.raises(LocalError, match="it cannot be started"):
        await forks.fork("it", base_environment(), tmp_path / "log")
    await forks.stop()


async def test_a_stopped_guard_leaves_no_program(tmp_path: Path):
    guard = Guard(Forks(()))
    await guard.start()
    (tmp_path / "waits.py").write_text(WAITS)
    environment = {**base_environment(), "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    child = await guard.run(
        "waits", "waits", python=Settings().python, environment=environment, log=tmp_path / "log", layer=0, grace=1
    )
    await guard.stop()
    assert not Path(f"/proc/{child.pid}").exists()
