"""One 100 ms audio frame there and back, by each way in turn: what holds the machine up meets all of them alike."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from benchmarks.measuring.figures import Spread
from benchmarks.wire import bare_gateway, figures, plain_servers
from benchmarks.wire.callers import FRAME_SECONDS, PCM, Caller, DirectCaller, PlainCaller, seconds_of
from benchmarks.wire.deployment import Place, sockets_url
from benchmarks.wire.figures import Echo
from segue.client import Client
from segue.wire import frames

LOST_SECONDS: Final = 2.0
"""A frame that is not back by then counts as lost."""


class GatewayCaller:
    """A client of the library, by the gateway."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._events = aiter(client.events())

    async def send(self) -> None:
        """Send the next frame."""
        await self._client.send_audio(PCM)

    async def hear(self) -> float:
        """Return the seconds of the next audio that comes back."""
        async for frame in self._events:
            if isinstance(frame, frames.AudioOutput):
                return seconds_of(len(frame.pcm))
        raise ConnectionError("the client's events have ended")


@dataclass
class EchoRoute:
    """A way there and back.

    Attributes:
        name: As the table has it.
        caller: Takes it.
        took: Milliseconds, of each frame that came back.
        lost: Frames that did not.
    """

    name: str
    caller: Caller
    took: list[float] = field(default_factory=list)
    lost: int = 0

    async def once(self) -> None:
        """Send a frame and wait for it."""
        sent = time.perf_counter()
        try:
            async with asyncio.timeout(LOST_SECONDS):
                await self.caller.send()
                await self.caller.hear()
        except TimeoutError:
            self.lost += 1
        else:
            self.took.append(1000 * (time.perf_counter() - sent))

    @property
    def echo(self) -> Echo:
        """The figures; the first frame, which opens connections, does not count."""
        return Echo(name=self.name, milliseconds=Spread.of(self.took[1:] or [float("inf")]), lost=self.lost)


async def take_turns(routes: Sequence[EchoRoute], count: int) -> list[Echo]:
    """Send frames by each way, one after the other, ten times a second.

    Args:
        routes: With callers that are connected.
        count: Frames for each.
    """
    for _ in range(count):
        await asyncio.sleep(FRAME_SECONDS)
        for route in routes:
            await route.once()
    return [route.echo for route in routes]


async def measure(place: Place, count: int, say: Callable[[str], None]) -> list[Echo]:
    """Measure all ways.

    Args:
        place: Where.
        count: Frames for each.
        say: Told of progress.
    """
    url = await asyncio.to_thread(bare_gateway.put_up, place.deployment.endpoint)
    async with contextlib.AsyncExitStack() as stack:
        worker = await stack.enter_async_context(place.echo_worker())
        bare = await stack.enter_async_context(place.plain_server(plain_servers.BARE))
        agent = await stack.enter_async_context(place.plain_server(plain_servers.AGENT))
        client = Client(place.deployment.websocket_url, session="echo", token=place.token)
        direct = DirectCaller.of(sockets_url(worker), place.token(), "echo-direct")
        routes = [
            EchoRoute(figures.GATEWAY_FLOOR, await stack.enter_async_context(PlainCaller.of(url))),
            EchoRoute(figures.GATEWAY_ECHO, GatewayCaller(await stack.enter_async_context(client))),
            EchoRoute(figures.BARE_ECHO, await stack.enter_async_context(PlainCaller.of(bare.url))),
            EchoRoute(figures.AGENT_ECHO, await stack.enter_async_context(PlainCaller.of(agent.url))),
            EchoRoute(figures.DIRECT_ECHO, await stack.enter_async_context(direct)),
        ]
        say(f"echo: {count} frames by each of {len(routes)} ways")
        return await take_turns(routes, count)
