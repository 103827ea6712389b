"""Many sessions on one worker process, at ten frames a second each way, beside the same agent on a plain server.

    segue   frames by HTTP to a real worker, as the gateway posts them; its answers go to a stand-in for @connections
    plain   one WebSocket a session to a server that runs the same agent and nothing of Segue

`python -m benchmarks.wire.crowded_worker plain` is the plain server.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
from aiohttp import web
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from benchmarks.measuring import lag
from benchmarks.measuring.figures import Spread
from benchmarks.wire.echo import RATE, build_agent
from benchmarks.wire.figures import Crowd
from local.settings import LOOPBACK

FRAME_S: Final = 0.1
PCM: Final = bytes(int(RATE * FRAME_S) * 2)
CONNECTION: Final = "connection-"
AUDIO: Final = base64.b64encode(PCM).decode()
_SETTLING_S: Final = 1.0
"""Before anything counts: agents that were built a moment ago are still starting, and their first frames wait."""

_TICK: Final = os.sysconf("SC_CLK_TCK")


class Way:
    """Round-trip times of frames; frames of a session come back in order."""

    def __init__(self) -> None:
        self.took: list[float] = []
        self._sent: dict[int, list[float]] = {}

    def sent(self, session: int) -> None:
        """A frame is on its way."""
        self._sent.setdefault(session, []).append(time.perf_counter())

    def forget(self) -> None:
        """Begin anew. What never came back must not be taken for what comes next."""
        self.took.clear()
        self._sent.clear()

    def back(self, session: int, seconds: float) -> None:
        """So much audio is back."""
        for _ in range(round(seconds / FRAME_S)):
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
    server: Server, sessions: int, seconds: float, way: Way, send: Callable[[int], Awaitable[None]]
) -> Crowd:
    """Send ten frames a second for each session, and look at the process meanwhile."""
    loop = asyncio.get_running_loop()
    pid = server.pid
    await _talk(sessions, _SETTLING_S, way, send)
    await asyncio.sleep(_SETTLING_S)
    way.forget()
    await asyncio.to_thread(lag.ask, pid, server.lag)  # what was before is of no interest
    began, cpu = loop.time(), cpu_seconds(pid)
    await _talk(sessions, seconds, way, send)
    took = loop.time() - began
    used, late = cpu_seconds(pid) - cpu, await asyncio.to_thread(lag.ask, pid, server.lag)
    await asyncio.sleep(0.5)  # what is on its way comes back; what does not was dropped
    sent = sessions * round(seconds / FRAME_S)
    return Crowd(
        name=server.name,
        sessions=sessions,
        cpu=used / took,
        lag_ms=late,
        memory_mib=resident_mib(pid),
        round_trip_ms=Spread.of([1000 * one for one in way.took] or [float("inf")]),
        back=len(way.took) / sent,
    )


async def _talk(sessions: int, seconds: float, way: Way, send: Callable[[int], Awaitable[None]]) -> None:
    """Send ten frames a second for each session, spread over the time between two of them."""
    loop = asyncio.get_running_loop()
    began = loop.time()

    async def speak(session: int) -> None:
        due = began + FRAME_S * session / sessions
        while due < began + seconds:
            await asyncio.sleep(max(0.0, due - loop.time()))
            way.sent(session)
            await send(session)
            due += FRAME_S

    await asyncio.gather(*map(speak, range(sessions)))


class Connections:
    """A stand-in for the management API: takes what the worker posts, and counts."""

    def __init__(self, way: Callable[[], Way]) -> None:
        self._way = way

    async def post(self, request: web.Request) -> web.Response:
        """Take a message."""
        connection = request.match_info["connection"]
        if not connection.startswith(CONNECTION):
            return web.Response(status=410)  # a caller of an earlier part
        session = int(connection.removeprefix(CONNECTION))
        found = json.loads(await request.read())
        for frame in found if isinstance(found, list) else [found]:
            if frame["type"] == "audio":
                self._way().back(session, len(frame["audio"]) * 3 / 4 / 2 / RATE)
        return web.Response()


@asynccontextmanager
async def connections(way: Callable[[], Way]) -> AsyncIterator[str]:
    """Listen as the management API does; gives its URL."""
    application = web.Application()
    application.router.add_post("/@connections/{connection}", Connections(way).post)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, LOOPBACK, 0).start()
    try:
        yield f"http://{LOOPBACK}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def segue_crowd(endpoint: str, server: Server, keys: list[dict[str, str]], seconds: float, way: Way) -> Crowd:
    """Send frames of many sessions to a worker that holds them all.

    Args:
        endpoint: The worker's.
        server: Its process.
        keys: `session_key` and `token` of each session.
        seconds: How long.
        way: Where the answers are noted.
    """
    numbers = [0] * len(keys)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=64)) as http:

        async def send(session: int) -> None:
            numbers[session] += 1
            body = {
                "session_key": keys[session]["session_key"],
                "connection_id": f"{CONNECTION}{session}",
                "client_id": f"client{session}",
                "counter": 1,
                "frame": {"type": "audio", "seq": numbers[session], "audio": AUDIO},
            }
            headers = {"x-segue-route-token": keys[session]["token"]}
            async with http.post(f"{endpoint}/frames", json=body, headers=headers) as answer:
                await answer.read()

        return await watch(server, len(keys), seconds, way, send)


async def plain_crowd(url: str, server: Server, sessions: int, seconds: float) -> Crowd:
    """The same against the plain server."""
    way = Way()
    async with contextlib.AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(connect(url, compression=None)) for _ in range(sessions)]

        async def read(session: int) -> None:
            async for text in sockets[session]:
                way.back(session, len(json.loads(text)["audio"]) * 3 / 4 / 2 / RATE)

        readers = [asyncio.create_task(read(session)) for session in range(sessions)]
        text = json.dumps({"type": "audio", "audio": AUDIO})
        try:
            return await watch(server, sessions, seconds, way, lambda session: sockets[session].send(text))
        finally:
            for reader in readers:
                reader.cancel()
            await asyncio.gather(*readers, return_exceptions=True)


async def serve_plainly() -> None:
    """Run one agent a socket, without a session manager, a gate or anything else. Prints the port."""

    async def talk(socket: ServerConnection) -> None:
        agent = build_agent(None)
        await agent.start()

        async def speak() -> None:
            async for event in agent.receive():
                if audio := _audio(event):
                    await socket.send(json.dumps({"type": "audio", "audio": audio, "rate": RATE}))

        speaking = asyncio.create_task(speak())
        try:
            async for text in socket:
                await agent.send(_delta(base64.b64decode(json.loads(text)["audio"])))
        finally:
            speaking.cancel()
            await agent.stop()

    keeping = asyncio.create_task(lag.keep())
    async with serve(talk, LOOPBACK, 0, compression=None) as server:
        print(next(iter(server.sockets)).getsockname()[1], flush=True)
        await server.serve_forever()
    keeping.cancel()


def _audio(event: Any) -> str | None:
    audio = getattr(event, "audio", None)
    return audio if isinstance(audio, str) else None


def _delta(pcm: bytes) -> Any:
    from strands.bidi.types import AudioDelta

    return AudioDelta(format="pcm", source={"bytes": pcm})


if __name__ == "__main__" and sys.argv[1:] == ["plain"]:
    asyncio.run(serve_plainly())
