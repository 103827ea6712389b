"""Many sessions on one worker process, at ten frames a second each way, beside the same agent on a plain server.

gateway   frames by HTTP to a real worker, as the gateway posts them; its answers go to a stand-in for @connections
direct    one WebSocket a session straight at the sockets' port of a real worker, audio in binary messages
plain     one WebSocket a session to a server that runs the same agent and nothing of Segue
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
from aiohttp import web

from benchmarks.measuring import lag
from benchmarks.measuring.figures import Spread
from benchmarks.wire import plain_servers
from benchmarks.wire.callers import AUDIO, FRAME_SECONDS, Caller, DirectCaller, PlainCaller, seconds_of
from benchmarks.wire.deployment import Place, sockets_url
from benchmarks.wire.figures import DIRECT, GATEWAY, PLAIN, Crowd
from local.deployment import outputs as deployed
from local.deployment.issuer import principal
from local.deployment.outputs import Deployment
from local.settings import LOOPBACK
from local.workers.worker_process import Worker
from segue.wire.claims import Claim, ClientAddress, encode_claim

CONNECTION: Final = "connection-"
CAPACITY: Final = "200"
"""Sessions that a worker takes here: as many as are measured."""

OPENING: Final = 8
"""Callers that connect at a time."""

HELD_SECONDS: Final = 60.0

_SETTLING_SECONDS: Final = 1.0
"""Before anything counts: agents that were built a moment ago are still starting, and their first frames wait."""

_TICK: Final = os.sysconf("SC_CLK_TCK")


class RoundTrips:
    """Round-trip times of frames; frames of a session come back in order."""

    def __init__(self) -> None:
        self.took: list[float] = []
        self._sent: dict[int, list[float]] = {}

    def sent(self, session: int) -> None:
        """Note that a frame is on its way."""
        self._sent.setdefault(session, []).append(time.perf_counter())

    def forget(self) -> None:
        """Begin anew. What never came back must not be taken for what comes next."""
        self.took.clear()
        self._sent.clear()

    def back(self, session: int, seconds: float) -> None:
        """Note that so much audio is back."""
        for _ in range(round(seconds / FRAME_SECONDS)):
            if waiting := self._sent.get(session):
                self.took.append(time.perf_counter() - waiting.pop(0))


def cpu_seconds(pid: int) -> float:
    """Return the processor time that a process has used (proc(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def resident_mib(pid: int) -> float:
    """Return the memory that a process has, in MiB (proc(5))."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


@dataclass(frozen=True)
class Server:
    """A process that is watched.

    Attributes:
        name: What it is.
        pid: Its number.
        lag: File into which it writes how late its loop was.
    """

    name: str
    pid: int
    lag: Path


async def watch(
    server: Server, sessions: int, seconds: float, trips: RoundTrips, send: Callable[[int], Awaitable[None]]
) -> Crowd:
    """Send ten frames a second for each session, and look at the process meanwhile.

    At first at how late its loop is, then, without the ticker for that, at its processor time and the echoes.
    """
    loop = asyncio.get_running_loop()
    pid = server.pid
    await _talk(sessions, _SETTLING_SECONDS, trips, send)
    await asyncio.sleep(_SETTLING_SECONDS)
    await asyncio.to_thread(lag.ask, pid, server.lag)  # what was before is of no interest
    await _talk(sessions, seconds / 2, trips, send)
    lag_ms = await asyncio.to_thread(lag.ask, pid, server.lag)
    lag.pause_ticks(pid)
    await asyncio.sleep(_SETTLING_SECONDS)
    trips.forget()
    began, cpu = loop.time(), cpu_seconds(pid)
    await _talk(sessions, seconds, trips, send)
    elapsed, cpu_used = loop.time() - began, cpu_seconds(pid) - cpu
    await asyncio.sleep(0.5)  # what is on its way comes back; what does not was dropped
    sent = sessions * round(seconds / FRAME_SECONDS)
    return Crowd(
        name=server.name,
        sessions=sessions,
        cpu=cpu_used / elapsed,
        lag_ms=lag_ms,
        memory_mib=resident_mib(pid),
        round_trip_ms=Spread.of([1000 * round_trip for round_trip in trips.took] or [float("inf")]),
        back=len(trips.took) / sent,
    )


async def _talk(sessions: int, seconds: float, trips: RoundTrips, send: Callable[[int], Awaitable[None]]) -> None:
    """Send ten frames a second for each session, spread over the time between two of them."""
    loop = asyncio.get_running_loop()
    began = loop.time()

    async def speak(session: int) -> None:
        due = began + FRAME_SECONDS * session / sessions
        while due < began + seconds:
            await asyncio.sleep(max(0.0, due - loop.time()))
            trips.sent(session)
            await send(session)
            due += FRAME_SECONDS

    await asyncio.gather(*map(speak, range(sessions)))


class Connections:
    """A stand-in for the management API: takes what the worker posts, and counts."""

    def __init__(self, trips: RoundTrips) -> None:
        self._trips = trips

    async def post(self, request: web.Request) -> web.Response:
        """Take a message."""
        connection = request.match_info["connection"]
        if not connection.startswith(CONNECTION):
            return web.Response(status=410)  # a caller of an earlier part
        session = int(connection.removeprefix(CONNECTION))
        found = json.loads(await request.read())
        for frame in found if isinstance(found, list) else [found]:
            if frame["type"] == "audio":
                self._trips.back(session, seconds_of(len(frame["audio"]) * 3 / 4))
        return web.Response()


@asynccontextmanager
async def connections(trips: RoundTrips) -> AsyncIterator[str]:
    """Listen as the management API does; gives its URL."""
    application = web.Application()
    application.router.add_post("/@connections/{connection}", Connections(trips).post)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, LOOPBACK, 0).start()
    try:
        yield f"http://{LOOPBACK}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def measure(place: Place, sessions: int, seconds: float, say: Callable[[str], None]) -> list[Crowd]:
    """Load a worker by each way, then a plain server, with the same.

    Args:
        place: Where.
        sessions: How many.
        seconds: How long.
        say: Told of progress.
    """
    crowds = []
    for measure_one in (_measure_gateway, _measure_direct, _measure_plain):
        crowd = await measure_one(place, sessions, seconds)
        say(f"{sessions} sessions, {crowd.name}: {100 * crowd.cpu:.0f} % of a core")
        crowds.append(crowd)
    return crowds


async def _measure_gateway(place: Place, sessions: int, seconds: float) -> Crowd:
    trips = RoundTrips()
    async with (
        connections(trips) as posts,
        place.echo_worker(SEGUE_MANAGEMENT_ENDPOINT=posts, SEGUE_CAPACITY=CAPACITY) as worker,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=64)) as http,
    ):
        keys = await _give_sessions_to(place.deployment, worker, sessions)
        numbers = [0] * sessions

        async def post(session: int, frame: dict[str, Any]) -> None:
            body = {
                "session_key": keys[session]["session_key"],
                "connection_id": f"{CONNECTION}{session}",
                "client_id": f"client{session}",
                "counter": 1,
                "frame": frame,
            }
            headers = {"x-segue-route-token": keys[session]["token"]}
            url = f"http://{LOOPBACK}:{worker.port}/frames"
            async with http.post(url, json=body, headers=headers) as answer:
                await answer.read()

        async def send(session: int) -> None:
            numbers[session] += 1
            await post(session, {"type": "audio", "seq": numbers[session], "audio": AUDIO})

        crowd = await watch(Server(GATEWAY, worker.child.pid, place.lag), sessions, seconds, trips, send)
        for session in range(sessions):  # or the next worker would be given what has clients
            await post(session, {"type": "bye"})
        return crowd


async def _measure_direct(place: Place, sessions: int, seconds: float) -> Crowd:
    run = random.randbytes(3).hex()
    async with place.echo_worker(SEGUE_CAPACITY=CAPACITY) as worker, contextlib.AsyncExitStack() as stack:
        opening = asyncio.Semaphore(OPENING)

        async def connect(number: int) -> Caller:
            # A subject each: no principal may have so many sessions.
            token = place.issuer.token(f"caller{number}")
            async with opening:
                caller = DirectCaller.of(sockets_url(worker), token, f"crowd-{run}")
                return await stack.enter_async_context(caller)

        async with asyncio.TaskGroup() as group:
            connecting = [group.create_task(connect(number)) for number in range(sessions)]
        callers = [task.result() for task in connecting]
        return await _converse(Server(DIRECT, worker.child.pid, place.lag), callers, seconds)


async def _measure_plain(place: Place, sessions: int, seconds: float) -> Crowd:
    async with place.plain_server(plain_servers.AGENT) as server, contextlib.AsyncExitStack() as stack:
        callers = [await stack.enter_async_context(PlainCaller.of(server.url)) for _ in range(sessions)]
        return await _converse(Server(PLAIN, server.pid, place.lag), callers, seconds)


async def _converse(server: Server, callers: Sequence[Caller], seconds: float) -> Crowd:
    """Have callers speak, and note what they hear."""
    trips = RoundTrips()

    async def hear(session: int) -> None:
        while True:
            trips.back(session, await callers[session].hear())

    hearing = [asyncio.create_task(hear(session)) for session in range(len(callers))]
    try:
        return await watch(server, len(callers), seconds, trips, lambda session: callers[session].send())
    finally:
        for task in hearing:
            task.cancel()
        await asyncio.gather(*hearing, return_exceptions=True)


async def _give_sessions_to(deployment: Deployment, worker: Worker, sessions: int) -> list[dict[str, str]]:
    """Let a worker take many sessions; return each one's key and route token."""
    sqs = deployed.client("sqs", deployment.endpoint)
    dynamodb = deployed.client("dynamodb", deployment.endpoint)
    prefix = random.randbytes(4).hex()
    keys = [f"{principal()}/{prefix}-{number}" for number in range(sessions)]
    for number, key in enumerate(keys):
        address = ClientAddress(client_id=f"client{number}", connection_id=f"{CONNECTION}{number}", counter=1)
        claim = Claim(
            session_key=key,
            session_id=key.partition("/")[2],
            principal=principal(),
            reason="no-holder",
            clients=(address,),
        )
        await asyncio.to_thread(
            sqs.send_message, QueueUrl=deployment.outputs["ClaimsQueueUrl"], MessageBody=encode_claim(claim)
        )
    held_keys: list[dict[str, str]] = []
    async with asyncio.timeout(HELD_SECONDS):
        while len(held_keys) < sessions:
            answer = await asyncio.to_thread(
                dynamodb.get_item,
                TableName=deployment.outputs["LockTableName"],
                Key={"session_key": {"S": keys[len(held_keys)]}},
                ConsistentRead=True,
            )
            item = answer.get("Item", {})
            if item.get("holder", {}).get("S") == worker.id:
                held_keys.append({"session_key": keys[len(held_keys)], "token": item["route_token"]["S"]})
            else:
                await asyncio.sleep(0.05)
    return held_keys
