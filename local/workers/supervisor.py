"""Supervisor of workers as an ECS service is: as many as wanted, crashed ones replaced, all replaced on a deployment.

A rolling deployment at 100/200 %:

    old  ──── running ───────────────┬─ SIGTERM ─ draining ─┬─ gone
    new        start ── healthy ─────┘                      └─ SIGKILL when the stop timeout is over
"""

from __future__ import annotations

import asyncio
import secrets
import signal
import time
from collections import deque
from typing import Any

from local.deployment.outputs import Deployment
from local.errors import LocalError
from local.processes.children import Guard
from local.progress import Progress
from local.settings import Settings
from local.workers import error_lines, worker_process
from local.workers.worker_process import Worker, ending

CRASH_WINDOW_SECONDS = 60.0
LONGEST_PAUSE_SECONDS = 30.0
STOP_ALL_SECONDS = 20.0
"""The longest that a clean stop of everything waits for workers, however long their stop timeout is."""


def restart_pause(crashes: int) -> float:
    """Return how many seconds to wait before replacing a worker after this many crashes within the last minute.

    The first is replaced at once; a worker that cannot live is tried ever less often, as ECS throttles a service.
    """
    return 0.0 if crashes <= 1 else min(LONGEST_PAUSE_SECONDS, 2.0 ** (crashes - 2))


class Supervisor:
    """The workers of one stack."""

    def __init__(self, settings: Settings, guard: Guard, progress: Progress) -> None:
        self._settings = settings
        self._guard = guard
        self._progress = progress
        self._workers: list[Worker] = []
        self._deployment: Deployment | None = None
        self._number = 0
        self._crashes: deque[float] = deque(maxlen=32)
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False

    @property
    def workers(self) -> list[Worker]:
        """The workers that have a process, oldest first."""
        return list(self._workers)

    async def start(self, deployment: Deployment) -> None:
        """Start as many workers as wanted and wait until all are ready.

        Raises:
            LocalError: One did not become ready.
        """
        self._deployment = deployment
        await self._launch(deployment, self._settings.workers)

    async def replace(self, deployment: Deployment) -> None:
        """Bring up workers of a new deployment, then drain and end the ones before it.

        Raises:
            LocalError: A new worker did not become ready; the new ones are gone again and the old ones work on.
        """
        deployment_before, old_workers = (
            self._deployment,
            [worker for worker in self._workers if worker.state != "draining"],
        )
        self._deployment = deployment
        try:
            with self._progress.step("starting new workers"):
                new_workers = await self._launch(deployment, self._settings.workers)
        except LocalError:
            self._deployment = deployment_before
            await self._fill_up()
            raise
        names = " and ".join(worker.id for worker in old_workers)
        self._progress.note(f"{' and '.join(worker.id for worker in new_workers)} are ready; {names} get SIGTERM")
        with self._progress.step("draining the old workers"):
            await self._drain(old_workers, self._settings.stop_timeout)

    def find(self, worker_id: str | None) -> Worker:
        """Return a worker by its id, or the first one that is not on its way out.

        Raises:
            LocalError: There is none.
        """
        for worker in self._workers:
            if worker.id == worker_id or (worker_id is None and worker.state == "running"):
                return worker
        known = ", ".join(worker.id for worker in self._workers) or "none"
        msg = f"there is no worker {worker_id or 'running'} here; the workers are: {known}."
        raise LocalError(msg)

    def kill(self, worker_id: str | None, number: signal.Signals) -> Worker:
        """Send a signal to a worker. What dies of it is replaced as after a crash.

        Raises:
            LocalError: There is no such worker.
        """
        worker = self.find(worker_id)
        self._progress.note(f"{worker.id} gets {number.name}")
        worker.child.signal(number)
        return worker

    async def facts(self) -> list[dict[str, Any]]:
        """Return what is known of each worker."""
        return await asyncio.gather(*(worker.facts() for worker in self._workers))

    async def stop(self) -> None:
        """Drain and end all workers, and start none any more."""
        self._stopping = True
        restarts = [task for task in self._tasks if task.get_name() == "restart"]
        for task in restarts:
            task.cancel()
        await asyncio.gather(*restarts, return_exceptions=True)
        await self._drain(self.workers, min(self._settings.stop_timeout, STOP_ALL_SECONDS))
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def kill_all(self) -> None:
        """SIGKILL all workers; tasks that wait for them go on."""
        self._stopping = True
        for worker in self._workers:
            worker.child.kill()

    async def _launch(self, deployment: Deployment, count: int) -> list[Worker]:
        workers: list[Worker] = []
        try:
            for _ in range(count):
                self._number += 1
                # The random part tells a worker from its namesake of an earlier run, whose lease may still be there.
                worker_id = f"w{self._number}-{secrets.token_hex(2)}"
                workers.append(await worker_process.start(self._settings, self._guard, deployment, worker_id))
                self._workers.append(workers[-1])
                self._spawn(self._watch(workers[-1]), "watch")
                self._spawn(error_lines.follow(workers[-1].child, worker_id, self._progress.note), "errors")
            await asyncio.gather(*(worker.until_ready() for worker in workers))
        except BaseException:
            for worker in workers:
                worker.state = "draining"
                worker.child.kill()
                worker.reserved.release()
            raise
        for worker in workers:
            worker.state = "running"
            if worker.debug_port is not None:
                self._progress.note(
                    f"{worker.id}: breakpoint() opens pdb in the terminal of `make local`; an editor attaches to "
                    f"127.0.0.1:{worker.debug_port} (debugpy)"
                )
        return workers

    async def _drain(self, workers: list[Worker], seconds: float) -> None:
        for worker in workers:
            worker.state = "draining"
        codes = await asyncio.gather(*(worker.child.stop(seconds) for worker in workers))
        for worker, code in zip(workers, codes, strict=True):
            if code == -signal.SIGKILL:
                self._progress.note(f"{worker.id} was not done {seconds:.0f} s after SIGTERM and got SIGKILL")

    async def _watch(self, worker: Worker) -> None:
        code = await worker.child.wait()
        crashed = worker.state == "running"
        worker.state = "stopped"
        self._workers.remove(worker)
        if crashed and not self._stopping and worker.deployment is self._deployment:
            self._progress.note(f"{worker.id} {ending(code)}; starting another")
            self._crashes.append(time.monotonic())
            self._spawn(self._restart(), "restart")

    async def _restart(self) -> None:
        while True:
            recent = sum(time.monotonic() - crash < CRASH_WINDOW_SECONDS for crash in self._crashes)
            await asyncio.sleep(restart_pause(recent))
            try:
                await self._fill_up()
            except LocalError as error:
                self._crashes.append(time.monotonic())
                self._progress.note(str(error).splitlines()[0])
            else:
                return

    async def _fill_up(self) -> None:
        """Start what is missing of the current deployment."""
        if self._deployment is None or self._stopping:
            return
        current = [w for w in self._workers if w.deployment is self._deployment and w.state in {"starting", "running"}]
        missing = self._settings.workers - len(current)
        if missing > 0:
            new = await self._launch(self._deployment, missing)
            self._progress.note(f"{' and '.join(worker.id for worker in new)} ready")

    def _spawn(self, work: Any, name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
