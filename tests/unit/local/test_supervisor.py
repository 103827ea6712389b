"""Workers are kept up and replaced as an ECS service would do it: real processes, a stand-in for the worker."""

from __future__ import annotations

import asyncio
import re
import signal
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest

from local.errors import LocalError
from local.processes.children import Guard
from local.progress import Event, Progress
from local.settings import Settings
from local.workers.supervisor import Supervisor, restart_pause
from local.workers.worker_process import Worker
from tests.support.waiting import within


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
async def supervisor(settings: Settings, guard: Guard, events: list[Event]) -> AsyncIterator[Supervisor]:
    supervisor = Supervisor(replace(settings, stop_timeout=1.0), guard, Progress(events.append))
    yield supervisor
    await supervisor.stop()


async def until(condition: Callable[[], bool]) -> None:
    async with within(20):
        while not condition():
            await asyncio.sleep(0.02)


def moment(worker: Worker, what: str) -> float:
    found = re.search(rf"{what} ([\d.]+)", worker.child.log.read_text())
    assert found, worker.child.log.read_text()
    return float(found[1])


@pytest.mark.slow
async def test_starts_as_many_as_wanted_and_tells_about_them(supervisor, make_deployment):
    await supervisor.start(make_deployment("7"))
    facts = await supervisor.facts()
    assert [fact["state"] for fact in facts] == ["running", "running"]
    assert {fact["version"] for fact in facts} == {"7"}
    assert {fact["sessions"] for fact in facts} == {1}
    assert len({fact["id"] for fact in facts}) == 2


@pytest.mark.slow
async def test_a_killed_worker_is_replaced_by_one_with_a_new_name(supervisor, make_deployment):
    await supervisor.start(make_deployment())
    victim, other = supervisor.workers
    supervisor.kill(victim.id, signal.SIGKILL)
    await until(lambda: len(supervisor.workers) == 2 and all(w.state == "running" for w in supervisor.workers))
    await until(lambda: victim not in supervisor.workers)
    names = {worker.id for worker in supervisor.workers}
    assert other.id in names
    assert victim.id not in names


@pytest.mark.slow
async def test_new_workers_are_up_before_the_old_get_sigterm(supervisor, make_deployment):
    await supervisor.start(make_deployment("1"))
    old = supervisor.workers
    await supervisor.replace(make_deployment("2"))
    new = supervisor.workers
    assert [worker.deployment.version for worker in new] == ["2", "2"]
    assert [worker.child.exit_code for worker in old] == [0, 0]
    assert max(moment(worker, "started") for worker in new) < min(moment(worker, "got SIGTERM") for worker in old)


@pytest.mark.slow
async def test_a_worker_that_does_not_drain_is_killed_after_the_stop_timeout(supervisor, make_deployment, events):
    await supervisor.start(make_deployment("1", drain="never"))
    old = supervisor.workers
    await supervisor.replace(make_deployment("2"))
    assert [worker.child.exit_code for worker in old] == [-signal.SIGKILL, -signal.SIGKILL]
    assert sum("got SIGKILL" in event.text for event in events) == 2


@pytest.mark.slow
async def test_a_stopped_worker_is_ended_too(supervisor, make_deployment):
    await supervisor.start(make_deployment())
    hung = supervisor.workers[0]
    supervisor.kill(hung.id, signal.SIGSTOP)
    assert (await hung.facts())["answers"] is False
    await supervisor.stop()
    assert hung.child.exit_code == 0


@pytest.mark.slow
async def test_workers_that_do_not_come_up_leave_the_old_ones_at_work(supervisor, make_deployment):
    await supervisor.start(make_deployment("1"))
    old = supervisor.workers
    with pytest.raises(LocalError, match="exit code 1 before it was ready:\nno such model"):
        await supervisor.replace(make_deployment("2", drain="never starts"))
    await until(lambda: supervisor.workers == old)
    assert [worker.state for worker in old] == ["running", "running"]
    # and they are still looked after
    supervisor.kill(old[0].id, signal.SIGKILL)
    await until(lambda: len(supervisor.workers) == 2 and supervisor.workers[-1].state == "running")
    assert {worker.deployment.version for worker in supervisor.workers} == {"1"}


async def test_an_unknown_name_is_an_error(supervisor):
    with pytest.raises(LocalError, match="there is no worker w9 here; the workers are: none"):
        supervisor.kill("w9", signal.SIGKILL)


@pytest.mark.parametrize(("crashes", "seconds"), [(0, 0.0), (1, 0.0), (2, 1.0), (3, 2.0), (6, 16.0), (9, 30.0)])
def test_the_pause_before_a_restart_grows_with_the_crashes(crashes, seconds):
    assert restart_pause(crashes) == seconds
