"""Control of a running stack from other terminals: HTTP on loopback, with the token of ``run.json``.

    GET  /status     -> facts
    GET  /holder/ID  -> {"worker": id or null}, who holds a session
    POST /redeploy?everything=0|1
                     -> a JSON event a line while it goes on; the last is {"state": "finished"} or {"state": "error", …}
    POST /kill       {"worker": id or null, "signal": "SIGKILL"} -> {"worker": id}
    POST /link       {"subject": whom it signs in, "seconds": how long its tokens are good} -> {"link": for a browser}
    POST /down       -> 202; the process is gone when its ``run.json`` is

A redeploy goes on when the terminal that asked for it goes away.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import secrets
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Protocol

import aiohttp
from aiohttp import web

from local.deployment.issuer import SUBJECT, TOKEN_SECONDS, Issuer
from local.errors import LocalError, NotRunningError
from local.progress import Event, Progress
from local.settings import KEYS_PATH, LOOPBACK
from local.stack.run_file import Run

ANSWER_SECONDS = 15.0
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Controlled(Protocol):
    """A running stack, as far as other terminals may control it."""

    issuer: Issuer
    progress: Progress
    stopping: asyncio.Event

    async def facts(self) -> dict[str, Any]:
        """Return what the stack is made of and where it listens."""

    async def holder(self, session: str) -> str | None:
        """Return the worker that holds a session."""

    async def redeploy(self, *, everything: bool = True) -> None:
        """Deploy again, everything or what has changed, and replace the workers."""

    def kill(self, worker_id: str | None, number: signal.Signals = signal.SIGKILL) -> str:
        """Send a signal to a worker, and return its name."""

    def link(self, subject: str = SUBJECT, seconds: int = TOKEN_SECONDS) -> str:
        """Make a link to the page that signs in once."""


class Server:
    """Server of requests for a stack.

    Attributes:
        url: Where, once started.
        keys_url: Where it publishes the keys of this machine's issuer; the deployed authorizer asks there.
        token: What requests have to show.
    """

    def __init__(self, stack: Controlled) -> None:
        self.url = ""
        self.keys_url = ""
        self.token = secrets.token_urlsafe(24)
        self._stack = stack
        self._runner: web.AppRunner | None = None
        self._redeploys: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen on a free loopback port."""
        app = web.Application(middlewares=[self._guarded])
        app.add_routes([
            web.get(KEYS_PATH, self._answer_keys),
            web.get("/status", self._answer_status),
            web.get("/holder/{session}", self._answer_holder),
            web.post("/redeploy", self._answer_redeploy),
            web.post("/kill", self._answer_kill),
            web.post("/link", self._answer_link),
            web.post("/down", self._answer_down),
        ])  # fmt: skip
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, LOOPBACK, 0)
        await site.start()
        self.url = f"http://{LOOPBACK}:{self._runner.addresses[0][1]}"
        self.keys_url = self.url + KEYS_PATH

    async def stop(self) -> None:
        """Take nothing more, and break off a redeploy that is under way."""
        for task in self._redeploys:
            task.cancel()
        await asyncio.gather(*self._redeploys, return_exceptions=True)
        if self._runner is not None:
            await self._runner.cleanup()

    @web.middleware
    async def _guarded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        credentials = request.headers.get("authorization", "")
        if request.path == KEYS_PATH:
            return await handler(request)  # public by nature
        # A header need not be text: what is no UTF-8 comes as half surrogate pairs.
        if not hmac.compare_digest(credentials.encode(errors="surrogateescape"), f"Bearer {self.token}".encode()):
            return web.json_response({"error": "the token of run.json is missing or wrong."}, status=403)
        try:
            return await handler(request)
        except LocalError as error:
            return web.json_response({"error": str(error)}, status=409)

    async def _answer_keys(self, _: web.Request) -> web.Response:
        return web.json_response(self._stack.issuer.published())

    async def _answer_status(self, _: web.Request) -> web.Response:
        return web.json_response(await self._stack.facts())

    async def _answer_holder(self, request: web.Request) -> web.Response:
        return web.json_response({"worker": await self._stack.holder(request.match_info["session"])})

    async def _answer_kill(self, request: web.Request) -> web.Response:
        try:
            wanted = await request.json()
            worker, name = wanted["worker"], str(wanted["signal"])
        except (LookupError, TypeError, ValueError):
            return web.json_response({"error": "say which worker, and which signal."}, status=400)
        try:
            number = signal.Signals[name]
        except KeyError as error:
            msg = f"there is no signal {error}."
            raise LocalError(msg) from error
        return web.json_response({"worker": self._stack.kill(worker, number)})

    async def _answer_link(self, request: web.Request) -> web.Response:
        try:
            wanted = await request.json()
            subject, seconds = str(wanted["subject"]), int(wanted["seconds"])
        except (LookupError, TypeError, ValueError):
            return web.json_response({"error": "say for whom, and for how many seconds."}, status=400)
        return web.json_response({"link": self._stack.link(subject, seconds)})

    async def _answer_down(self, _: web.Request) -> web.Response:
        self._stack.stopping.set()
        return web.json_response({}, status=202)

    async def _answer_redeploy(self, request: web.Request) -> web.StreamResponse:
        everything = request.query.get("everything", "1") != "0"
        events: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        answer = web.StreamResponse(headers={"content-type": "application/x-ndjson"})
        await answer.prepare(request)
        with self._stack.progress.listening(lambda event: events.put_nowait(event.as_dict())):
            redeploy = asyncio.create_task(self._stack.redeploy(everything=everything))
            self._redeploys.add(redeploy)
            redeploy.add_done_callback(lambda _: events.put_nowait(None))
            redeploy.add_done_callback(self._redeploys.discard)
            while (event := await events.get()) is not None:
                await answer.write(json.dumps(event).encode() + b"\n")
        await answer.write(json.dumps(_outcome(redeploy)).encode() + b"\n")
        return answer


def _outcome(task: asyncio.Task[None]) -> dict[str, Any]:
    if task.cancelled():
        return {"state": "error", "text": "the stack was stopped while it was being deployed."}
    error = task.exception()
    if error is None:
        return {"state": "finished"}
    return {"state": "error", "text": str(error) if isinstance(error, LocalError) else repr(error)}


class Client:
    """Talks to a running stack."""

    def __init__(self, run: Run) -> None:
        self._run = run

    async def status(self) -> dict[str, Any]:
        """Return the stack's facts."""
        return await self._ask("GET", "/status")

    async def holder(self, session: str) -> str | None:
        """Return the id of the worker that holds a session, or None."""
        worker: str | None = (await self._ask("GET", f"/holder/{session}"))["worker"]
        return worker

    async def kill(self, worker: str | None, number: str) -> str:
        """Send a signal, by its name, to a worker (None: the first one); return the worker's id.

        Raises:
            LocalError: There is no such worker or signal.
        """
        killed: str = (await self._ask("POST", "/kill", {"worker": worker, "signal": number}))["worker"]
        return killed

    async def link(self, subject: str = SUBJECT, seconds: int = TOKEN_SECONDS) -> str:
        """Return a link to the page that signs in once.

        Args:
            subject: Who signs in with it.
            seconds: How long each token of that sign-in is good.
        """
        made: str = (await self._ask("POST", "/link", {"subject": subject, "seconds": seconds}))["link"]
        return made

    async def down(self) -> None:
        """Ask the stack to stop."""
        await self._ask("POST", "/down")

    async def redeploy(self, *, everything: bool = True) -> AsyncIterator[Event]:
        """Deploy again and yield what happens.

        Args:
            everything: False: only what has changed since the last deployment.

        Raises:
            LocalError: It failed; the workers that were there go on.
        """
        async with self._request("POST", f"/redeploy?everything={int(everything)}", None, seconds=None) as answer:
            await _raise_for_error(answer)
            async for line in answer.content:
                event = json.loads(line)
                if event["state"] == "error":
                    raise LocalError(event["text"])
                if event["state"] == "finished":
                    return
                yield Event(**event)
        msg = "the stack went away while it was being deployed."
        raise LocalError(msg)

    async def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        async with self._request(method, path, body, seconds=ANSWER_SECONDS) as answer:
            await _raise_for_error(answer)
            facts: dict[str, Any] = await answer.json()
            return facts

    @contextlib.asynccontextmanager
    async def _request(
        self, method: str, path: str, body: dict[str, Any] | None, *, seconds: float | None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=seconds)) as http,
                http.request(
                    method,
                    self._run.control_url + path,
                    json=body,
                    headers={"authorization": f"Bearer {self._run.token}"},
                ) as answer,
            ):
                yield answer
        except (aiohttp.ClientError, TimeoutError) as error:
            msg = f"process {self._run.pid} does not answer on {self._run.control_url} ({type(error).__name__})."
            raise NotRunningError(msg) from error


async def _raise_for_error(answer: aiohttp.ClientResponse) -> None:
    if answer.status == 409:
        raise LocalError((await answer.json())["error"])
    answer.raise_for_status()
