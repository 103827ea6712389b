"""The whole stack on this machine: emulator, deployment, workers, and how other terminals reach it."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
from dataclasses import replace
from datetime import UTC, datetime
from typing import IO, Any, Self

from local.deployment import sources, text_function
from local.deployment.cdk import Toolkit
from local.deployment.emulator import Emulator
from local.deployment.issuer import SUBJECT, TOKEN_SECONDS, Issuer, principal
from local.deployment.outputs import Deployment, read, session_holder
from local.deployment.sources import Change, Sources
from local.developing.check import check
from local.errors import AlreadyRunningError, LocalError
from local.page.server import PageServer
from local.processes.children import Guard, prune_logs
from local.processes.ports import kept_port
from local.progress import Progress
from local.settings import Settings
from local.stack import control, run_file
from local.stack.addresses import ClientAddresses
from local.workers import text_log
from local.workers.supervisor import Supervisor
from local.workers.worker_process import ending, forks_of

TAKE_LOCK_SECONDS = 45.0
"""Seconds to wait until a killed supervisor's guard has ended what that supervisor started."""


def new_version() -> str:
    """Return the version of a deployment made now; a later one sorts after it."""
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f")[:-3] + "Z"


class Stack:
    """One running local stack; ``async with`` starts it and stops it.

    Attributes:
        settings: Where things are and how many.
        progress: Where events go.
        stopping: Set when it was asked to stop, or must because the emulator ended.
        failure: Why it must; None if it was asked.
        issuer: Makes the tokens that let a client in.
    """

    def __init__(self, settings: Settings, progress: Progress) -> None:
        self.settings = settings
        self.progress = progress
        self.stopping = asyncio.Event()
        self.failure: LocalError | None = None
        self.issuer = Issuer(settings)
        self._guard = Guard(forks_of(settings))
        self._emulator = Emulator(settings, self._guard)
        self._toolkit = Toolkit(settings, self._guard, progress)
        self._supervisor = Supervisor(settings, self._guard, progress)
        self._control = control.Server(self)
        self._addresses = ClientAddresses(settings, lambda: self._supervisor.workers)
        self._page = PageServer(self.issuer, lambda: self.websocket_url, origins=settings.origins)
        self._deployment: Deployment | None = None
        self._deployed: Sources = {}
        self._text_code, self._replaced_code = b"", False
        self._deploying = asyncio.Lock()
        self._lock: IO[str] | None = None
        self._emulator_watch: asyncio.Task[None] | None = None
        self._text_log: asyncio.Task[None] | None = None

    @property
    def deployment(self) -> Deployment:
        """The present deployment.

        Raises:
            LocalError: Nothing is, yet.
        """
        if self._deployment is None:
            msg = "nothing is deployed yet."
            raise LocalError(msg)
        return self._deployment

    @property
    def websocket_url(self) -> str:
        """Address that clients connect to."""
        return self._addresses.url(self.deployment)

    @property
    def direct_url(self) -> str | None:
        """Address of the balancer before the workers' own sockets; None if they take no connections."""
        return self._addresses.direct_url

    @property
    def supervisor(self) -> Supervisor:
        """The workers."""
        return self._supervisor

    async def __aenter__(self) -> Self:
        """Start everything, or nothing: what was started before a failure is stopped again."""
        try:
            await self._start()
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop everything; the emulator last, so that workers can give their sessions back."""
        await self._stop()

    def hurry(self) -> None:
        """Let the stop that is under way not wait for workers any more."""
        self._supervisor.kill_all()

    async def redeploy(self, *, everything: bool = True) -> None:
        """Deploy what the sources say now, and replace all workers.

        Args:
            everything: Synthesize and deploy both stacks, also if only workers and the text function have changed.

        Raises:
            LocalError: A redeploy is under way, agent.py has mistakes, the deployment failed, or the new workers did
                not come up. In all of these cases the workers there are go on.
        """
        if self._deploying.locked():
            msg = "a deployment is under way already."
            raise LocalError(msg)
        async with self._deploying:
            present_sources = await asyncio.to_thread(sources.read, self.settings.root)
            if everything or sources.change(self._deployed, present_sources) is Change.EVERYTHING:
                deployment = await self._deploy(present_sources)
                await self._supervisor.replace(deployment)
            else:
                deployment = await self._replace_agents(present_sources)
            self._deployment, self._deployed = deployment, present_sources

    async def change(self) -> Change:
        """Return the part of the deployment that is not what the sources say now."""
        present_sources = await asyncio.to_thread(sources.read, self.settings.root)
        return sources.change(self._deployed, present_sources)

    def kill(self, worker_id: str | None, number: signal.Signals = signal.SIGKILL) -> str:
        """Send a signal to a worker (default: to the first one) and return its id.

        Raises:
            LocalError: There is no such worker.
        """
        return self._supervisor.kill(worker_id, number).id

    async def holder(self, session: str) -> str | None:
        """Return the id of the worker that holds a session, or None."""
        holder = await asyncio.to_thread(session_holder, self.deployment, session, principal())
        return holder[0] if holder else None

    def link(self, subject: str = SUBJECT, seconds: int = TOKEN_SECONDS) -> str:
        """Make a link to the page that signs in once.

        Args:
            subject: Who signs in with it.
            seconds: How long each token of that sign-in is good.
        """
        return self._page.link(subject, seconds)

    async def facts(self) -> dict[str, Any]:
        """Return what ``status`` prints."""
        return {
            "running": True,
            "pid": os.getpid(),
            **self.deployment.facts(),
            **self._addresses.facts(self.deployment),
            "page_url": self._page.url,
            "browser_url": self._page.socket_url,
            "token": self.issuer.token(),
            "logs": str(self.settings.logs),
            "workers": await self._supervisor.facts(),
        }

    async def _start(self) -> None:
        settings = self.settings
        self._toolkit.check()
        settings.make_home()
        self._lock = await self._take_lock()
        self._emulator.check()
        settings.run_file.unlink(missing_ok=True)  # a killed supervisor's
        prune_logs(settings)
        await self._guard.start(keep_open=[self._lock.fileno()])
        with self.progress.step("starting the emulator"):
            await self._emulator.start()
        self._emulator_watch = asyncio.create_task(self._watch_emulator())
        await self._control.start()  # publishes the issuer's keys
        async with self._deploying:
            present_sources = await asyncio.to_thread(sources.read, settings.root)
            self._deployment, self._deployed = await self._deploy(present_sources), present_sources
            with self.progress.step(f"starting {settings.workers} workers"):
                await self._supervisor.start(self._deployment)
        await self._addresses.open()
        follow = text_log.follow(self._emulator.url, settings.logs, self.progress.note)
        self._text_log = asyncio.create_task(follow)
        await self._serve_page()
        run_file.write(settings, run_file.Run(os.getpid(), self._control.url, self._control.token))

    async def _serve_page(self) -> None:
        file = self.settings.page_port_file
        try:
            await self._page.start(self.settings.page_port or kept_port(file))
        except OSError as error:
            msg = f"the page cannot be served ({error.strerror}): choose another port with --page-port."
            raise LocalError(msg) from error
        file.write_text(f"{self._page.port}\n", encoding="utf-8")

    async def _deploy(self, present_sources: Sources) -> Deployment:
        """Deploy everything; agent.py is checked while the stacks are synthesized."""
        synthesis = self._toolkit.synthesize(self._emulator.url, new_version(), self._control.keys_url)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._check(present_sources))
                group.create_task(synthesis)
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from failed
        outputs = await self._toolkit.deploy(self._emulator.url)
        code = await asyncio.to_thread(sources.text_function, self.settings.root)
        if self._replaced_code:  # the template may be that of before, and then CloudFormation leaves the function alone
            await asyncio.to_thread(text_function.replace_code, self._emulator.url, code)
        self._text_code, self._replaced_code = code, False
        deployment = await asyncio.to_thread(read, self._emulator.url, outputs)
        return self._addresses.equip(deployment, self._control.keys_url)

    async def _replace_agents(self, present_sources: Sources) -> Deployment:
        """Replace the text function's code and the workers; all else stays as it was deployed."""
        await self._check(present_sources)
        code_before, code = self._text_code, await asyncio.to_thread(sources.text_function, self.settings.root)
        deployed = self.deployment
        deployment = replace(
            deployed, worker_environment={**deployed.worker_environment, "SEGUE_WORKER_VERSION": new_version()}
        )
        self._replaced_code = True
        with self.progress.step("updating the text function"):
            await asyncio.to_thread(text_function.replace_code, self._emulator.url, code)
        try:
            await self._supervisor.replace(deployment)
        except LocalError:
            await asyncio.to_thread(text_function.replace_code, self._emulator.url, code_before)
            raise
        self._text_code = code
        return deployment

    async def _check(self, present_sources: Sources) -> None:
        with self.progress.step("checking agent.py"):
            await check(self.settings, self._guard, present_sources)

    async def _take_lock(self) -> IO[str]:
        # Open for as long as this process and its guard live: the system lets go of the lock with the last of them.
        file = self.settings.lock_file.open("a+", encoding="utf-8")
        owner = run_file.lock_owner(self.settings)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(TAKE_LOCK_SECONDS if owner is None else 0.5):
                while True:
                    with contextlib.suppress(BlockingIOError):
                        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                        file.truncate(0)
                        file.write(f"{os.getpid()}\n")
                        file.flush()
                        return file
                    await asyncio.sleep(0.1)
        file.close()
        if owner is None:
            msg = f"what an earlier run left behind has not ended within {TAKE_LOCK_SECONDS:.0f} s; try again."
            raise LocalError(msg)
        msg = (
            f"the stack of this folder is already up (process {owner}): "
            "open a conversation with `.venv/bin/python -m local chat`, "
            "or stop it with `.venv/bin/python -m local down`."
        )
        raise AlreadyRunningError(msg)

    async def _watch_emulator(self) -> None:
        child = self._emulator.child
        if child is None:
            return
        code = await child.wait()
        self.failure = LocalError(f"the emulator {ending(code)}; its output: {self._emulator.log}")
        self._supervisor.kill_all()  # without it they can give nothing back
        self.stopping.set()

    async def _stop(self) -> None:
        run_file.remove(self.settings, os.getpid())
        for task in (self._emulator_watch, self._text_log):
            if task is not None:
                task.cancel()
        for stop_part in (
            self._page.stop,
            self._control.stop,
            self._addresses.close,  # workers wait for open connections, and need not
            self._stop_workers,
            self._stop_emulator,
            self._guard.stop,
        ):
            try:
                await stop_part()
            except Exception as error:  # noqa: BLE001 - the rest must be stopped whatever one part does
                self.progress.note(f"while stopping: {error}")
        if self._lock is not None:
            self._lock.close()

    async def _stop_workers(self) -> None:
        if self._supervisor.workers:
            with self.progress.step("stopping the workers"):
                await self._supervisor.stop()

    async def _stop_emulator(self) -> None:
        if self._emulator.running:
            with self.progress.step("stopping the emulator (it keeps its state)"):
                await self._emulator.stop()
        else:
            await self._emulator.stop()
