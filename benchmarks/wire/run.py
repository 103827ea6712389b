"""The way from a client to the agent and back, the pauses of handoffs and takeovers, and what a worker carries.

    .venv/bin/python -m benchmarks.wire                               the whole run: tables
    .venv/bin/python -m benchmarks.wire --quick                       two minutes
    .venv/bin/python -m benchmarks.wire --docs docs/benchmarks.md --plot docs/images/wire.png

Everything runs on one machine, on the local deployment: the gateway is the emulator's, and its floor is measured
beside it. docs/benchmarks.md says what is measured and how.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec
from websockets.asyncio.client import connect

from benchmarks.measuring import lag
from benchmarks.measuring.figures import Spread
from benchmarks.wire import crowded_worker, floor, import_times, pauses
from benchmarks.wire.figures import Echo, Wire, tables
from benchmarks.wire.plot import draw
from local.deployment import outputs as deployed
from local.deployment.issuer import principal
from local.deployment.outputs import Deployment
from local.processes.children import LAYER_WORKER, Guard, base_environment, free_port
from local.progress import Progress
from local.settings import LOOPBACK, Settings
from local.stack.stack import Stack
from local.workers import worker_process
from local.workers.worker_process import ORPHAN_GRACE_SECONDS, Worker
from segue.client import Client
from segue.wire import frames
from segue.wire.claims import Claim, ClientAddress, encode_claim

BEGIN, END = "<!-- wire: begin -->", "<!-- wire: end -->"


@dataclass(frozen=True)
class Extent:
    """Extent of a run.

    Attributes:
        echoes: Frames there and back.
        crowds: Sessions on a worker.
        crowd_s: Seconds for each.
        redeploys: Planned handoffs of two calls each, with a model that is there at once.
        slow_redeploys: The same with a model whose connection takes its time, in each such scene.
        kills: Holders killed.
        stops: Holders stopped.
        imports: Interpreters for each function.
    """

    echoes: int
    crowds: tuple[int, ...]
    crowd_s: float
    redeploys: int
    slow_redeploys: int
    kills: int
    stops: int
    imports: int


WHOLE = Extent(
    echoes=200, crowds=(10, 40, 80), crowd_s=8.0, redeploys=15, slow_redeploys=8, kills=10, stops=6, imports=5
)
QUICK = Extent(echoes=50, crowds=(10,), crowd_s=5.0, redeploys=2, slow_redeploys=2, kills=1, stops=1, imports=2)


def say(text: str) -> None:
    """Tell of progress, apart from the figures."""
    click.echo(f"{datetime.now(UTC):%H:%M:%S} {text}", err=True)


@dataclass
class Place:
    """The local deployment to measure."""

    settings: Settings
    deployment: Deployment
    token: Callable[[], str]
    guard: Guard

    @property
    def lag(self) -> Path:
        """File into which a process that is watched writes how late its loop was."""
        return self.settings.home / "lag.json"

    @asynccontextmanager
    async def echo_worker(self, **variables: str) -> AsyncIterator[Worker]:
        """Run one worker whose agent says back what it hears."""
        worker_id, port = f"echo-{random.randbytes(3).hex()}", free_port()
        environment = worker_process.environment(self.settings, self.deployment, worker_id, port, base_environment())
        environment["PYTHONPATH"] += f":{self.settings.root}"
        child = await self.guard.spawn(
            worker_id,
            [self.settings.python, "-m", "benchmarks.wire.echo"],
            environment=environment | {lag.VARIABLE: str(self.lag)} | variables,
            log=self.settings.logs / f"worker-{worker_id}.log",
            layer=LAYER_WORKER,
            grace=ORPHAN_GRACE_SECONDS,
        )
        try:
            worker = Worker(id=worker_id, deployment=self.deployment, port=port, child=child)
            await worker.until_ready()
            yield worker
        finally:
            await child.stop(30.0)


@asynccontextmanager
async def place(home: Path) -> AsyncIterator[Place]:
    """Deploy to an emulator of its own."""
    settings = replace(Settings(), home=home, port=0, workers=0)
    guard = Guard()
    async with Stack(settings, Progress()) as stack:
        await guard.start()
        try:
            yield Place(settings, stack.deployment, stack.issuer.token, guard)
        finally:
            await guard.stop()


async def echo_by_floor(url: str, count: int) -> Echo:
    """Send frames to a function that posts them straight back."""
    took: list[float] = []
    async with connect(url, compression=None) as socket:
        for number in range(count):
            await asyncio.sleep(crowded_worker.FRAME_S)
            sent = time.perf_counter()
            await socket.send(floor.message(number, crowded_worker.AUDIO))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(2):
                    await socket.recv()
                    took.append(1000 * (time.perf_counter() - sent))
    return Echo(
        name="the floor: a function that posts it back", milliseconds=Spread.of(took[1:]), lost=count - len(took)
    )


async def echo_by_worker(url: str, token: Callable[[], str], count: int) -> Echo:
    """Send frames to an agent that says them back."""
    took: list[float] = []
    async with Client(url, session="echo", token=token) as client:
        events = aiter(client.events())

        async def next_audio() -> None:
            async for frame in events:
                if isinstance(frame, frames.AudioOutput):
                    return

        for _ in range(count):
            await asyncio.sleep(crowded_worker.FRAME_S)
            sent = time.perf_counter()
            await client.send_audio(crowded_worker.PCM)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(2):
                    await next_audio()
                    took.append(1000 * (time.perf_counter() - sent))
    return Echo(name="gateway, worker, agent", milliseconds=Spread.of(took[1:]), lost=count - len(took))


async def crowd(place: Place, sessions: int, seconds: float) -> list[crowded_worker.Crowd]:
    """Load a worker, then a plain server, with the same."""
    way = crowded_worker.Way()
    async with (
        crowded_worker.connections(lambda: way) as posts,
        place.echo_worker(SEGUE_MANAGEMENT_ENDPOINT=posts, SEGUE_CAPACITY="200") as worker,
    ):
        keys = await _hold(place.deployment, worker, sessions)
        endpoint = f"http://{LOOPBACK}:{worker.port}"
        server = crowded_worker.Server("segue", worker.child.pid, place.lag)
        ours = await crowded_worker.segue_crowd(endpoint, server, keys, seconds, way)
    plain = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "benchmarks.wire.crowded_worker",
        "plain",
        stdout=subprocess.PIPE,
        cwd=place.settings.root,
        env={**os.environ, lag.VARIABLE: str(place.lag)},
    )
    try:
        assert plain.stdout is not None
        port = int(await plain.stdout.readline())
        server = crowded_worker.Server("plain", plain.pid, place.lag)
        theirs = await crowded_worker.plain_crowd(f"ws://{LOOPBACK}:{port}", server, sessions, seconds)
    finally:
        plain.terminate()
        await plain.wait()
    return [ours, theirs]


async def _hold(deployment: Deployment, worker: Worker, sessions: int) -> list[dict[str, str]]:
    """Let a worker take many sessions; return each one's key and route token."""
    sqs = deployed.client("sqs", deployment.endpoint)
    dynamodb = deployed.client("dynamodb", deployment.endpoint)
    prefix = random.randbytes(4).hex()
    keys = [f"{principal()}/{prefix}-{number}" for number in range(sessions)]
    for number, key in enumerate(keys):
        address = ClientAddress(
            client_id=f"client{number}", connection_id=f"{crowded_worker.CONNECTION}{number}", counter=1
        )
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
    held: list[dict[str, str]] = []
    async with asyncio.timeout(60):
        while len(held) < sessions:
            answer = await asyncio.to_thread(
                dynamodb.get_item,
                TableName=deployment.outputs["LockTableName"],
                Key={"session_key": {"S": keys[len(held)]}},
                ConsistentRead=True,
            )
            item = answer.get("Item", {})
            if item.get("holder", {}).get("S") == worker.id:
                held.append({"session_key": keys[len(held)], "token": item["route_token"]["S"]})
            else:
                await asyncio.sleep(0.05)
    return held


async def measure(home: Path, extent: Extent, parts: Sequence[str]) -> Wire:
    """Measure everything."""
    run = Wire()
    if "imports" in parts:
        run.entries = await asyncio.to_thread(import_times.measure, extent.imports)
    if set(parts) <= {"imports"}:
        return run
    async with place(home) as here:
        if "echo" in parts:
            url = await asyncio.to_thread(floor.put_up, here.deployment.endpoint)
            say("echo: the floor")
            run.echoes.append(await echo_by_floor(url, extent.echoes))
            async with here.echo_worker():
                say("echo: a worker")
                run.echoes.append(await echo_by_worker(here.deployment.websocket_url, here.token, extent.echoes))
        if "crowd" in parts:
            for sessions in extent.crowds:
                say(f"{sessions} sessions")
                run.crowds += await crowd(here, sessions, extent.crowd_s)
        faults = pauses.Faults(extent.redeploys, extent.slow_redeploys, extent.kills, extent.stops)
        where = pauses.Where(here.settings, here.deployment, here.token, say)
        if "pauses" in parts:
            await pauses.measure(where, faults, run)
        elif HANDOFFS in parts:
            await pauses.measure_handoffs(where, faults, run)
    return run


def put_into(path: Path, text: str) -> None:
    """Put the tables between the two marks of a page.

    Raises:
        click.ClickException: The marks are not there.
    """
    page = path.read_text(encoding="utf-8")
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise click.ClickException(f"{path} has no place between {BEGIN} and {END}")
    path.write_text(f"{before}{begin}\n\n{text}\n{end}{after}", encoding="utf-8")


PARTS = ("imports", "echo", "crowd", "pauses")
HANDOFFS = "handoffs"
"""Of the pauses, those that are planned."""


@click.command()
@click.option("--quick", is_flag=True, help="A small run, to see that it works.")
@click.option(
    "--part", "parts", type=click.Choice([*PARTS, HANDOFFS]), multiple=True, help="Only this; may be repeated."
)
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), help="Write a plot (PNG).")
@click.option(
    "--docs", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="Page to put the tables into."
)
def main(*, quick: bool, parts: tuple[str, ...], as_json: bool, docs: Path | None, plot: Path | None) -> None:
    """Measure the wire, on the local deployment."""
    with tempfile.TemporaryDirectory(prefix="segue-wire-") as home:
        run = asyncio.run(measure(Path(home), QUICK if quick else WHOLE, parts or PARTS))
    if docs is not None:
        put_into(docs, tables(run))
    if plot is not None:
        draw(run, plot)
    click.echo(msgspec.json.format(msgspec.json.encode(run)).decode() if as_json else tables(run))
