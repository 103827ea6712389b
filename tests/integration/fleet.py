"""Real worker processes on the emulator, with clients that speak as the gateway would let them.

The management API is a server of the test, so that every frame that reaches a client is seen with the time at which it
came. Clients keep what was not acknowledged, send it again, follow the lease, and claim a session without a holder.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from aiohttp import ClientError as HttpError
from aiohttp import ClientSession, ClientTimeout, web

from gateway.stopped import Stopped, StoppedEnvironment
from segue.lease.item import GuardItem
from segue.wire.claims import CLAIMS_PATH, CLAIMS_TOKEN_HEADER, Claim, ClientAddress, encode_claim
from segue.wire.delivery import FRAMES_PATH, ROUTE_TOKEN_HEADER, Delivery, encode_delivery
from segue.wire.frames import InputAck, Moved, Ready, ServerFrame, TextInput, Transcript, decode_server_message
from shared.connections import Binding, ConnectionsTable
from tests.support.forking import ForkedWorker, warm_up
from tests.support.stage import AWS_ENVIRONMENT, REGION, Stage
from tests.support.waiting import eventually

CLAIM_SECONDS = 0.5
RESEND_SECONDS = 0.25


def task_arn(name: str) -> str:
    """The ARN of the ECS task that a worker believes to run in."""
    return f"arn:aws:ecs:{REGION}:111122223333:task/segue/{name}"


@dataclass
class Client:
    """One client of one session: says texts, and keeps what came.

    Attributes:
        number: Which.
        received: Frames with the time at which they came, in seconds.
        pending: Texts that were not acknowledged, by number.
        acknowledged: The highest number that was.
    """

    number: int
    received: list[tuple[float, ServerFrame]] = field(default_factory=list)
    pending: dict[int, str] = field(default_factory=dict)
    acknowledged: int = 0
    _said: int = 0
    _claimed_at: float = 0.0

    @property
    def session_id(self) -> str:
        return f"s{self.number}"

    @property
    def key(self) -> str:
        return f"default/{self.session_id}"

    @property
    def address(self) -> ClientAddress:
        return ClientAddress(client_id="c", connection_id=f"k{self.number}", counter=1)

    @property
    def epoch(self) -> int:
        """The epoch that speaks."""
        return max((frame.epoch or 0 for _, frame in self.received), default=0)

    @property
    def finals(self) -> list[Transcript]:
        """Final transcripts, each record once, as a client of the protocol shows them."""
        shown = {one.record: one for one in self.of(Transcript) if one.final}
        return [shown[record] for record in sorted(shown)]

    def of(self, kind: type[Any]) -> list[Any]:
        return [frame for _, frame in self.received if isinstance(frame, kind)]

    def say(self, text: str) -> int:
        self._said += 1
        self.pending[self._said] = text
        return self._said

    def hear(self, frame: ServerFrame) -> None:
        self.received.append((time.monotonic(), frame))
        if isinstance(frame, InputAck | Ready):
            self.acknowledged = max(self.acknowledged, frame.upto if isinstance(frame, InputAck) else frame.known.upto)
            for seq in [seq for seq in self.pending if seq <= self.acknowledged]:
                del self.pending[seq]

    def gap(self, after: int) -> float:
        """Seconds from the predecessor's last frame to the successor's first, at the change from an epoch."""
        last = max(at for at, frame in self.received if frame.epoch == after)
        first = min(at for at, frame in self.received if (frame.epoch or 0) > after)
        moved = [at for at, frame in self.received if frame.epoch == after and isinstance(frame, Moved)]
        return first - (moved[0] if moved else last)


class Fleet:
    """The emulated world: a queue, two tables, workers and clients."""

    def __init__(self, stage: Stage, home: Path, management: str) -> None:
        options: Any = {"endpoint_url": stage.endpoint_url, "region_name": REGION}
        self.dynamodb, self.sqs = boto3.client("dynamodb", **options), boto3.client("sqs", **options)
        self.stage = stage
        self.clients: dict[str, Client] = {}
        self.ledger = home / "heard.jsonl"
        self._home = home
        self._management = management
        self._connections = f"connections-{stage.lock_table}"
        self.dynamodb.create_table(
            TableName=self._connections,
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
            BillingMode="PAY_PER_REQUEST",
        )
        self._queue = self.sqs.create_queue(QueueName=f"claims-{stage.lock_table}")["QueueUrl"]
        self.processes: dict[str, ForkedWorker] = {}
        self._asked: dict[str, asyncio.Future[GuardItem | None]] = {}
        self._reading: asyncio.Task[None] | None = None
        self.http = ClientSession(timeout=ClientTimeout(total=2, sock_connect=0.25))

    async def start(self, name: str, version: str, *, pace: float = 0.0, **settings: str) -> None:
        """Start a worker, with more variables if there are any, and wait until it is registered."""
        variables = {
            **AWS_ENVIRONMENT,
            "PATH": os.environ.get("PATH", os.defpath),
            "AWS_ENDPOINT_URL": str(self.stage.endpoint_url),
            "SEGUE_STAGE": "test",
            "SEGUE_LOCK_TABLE": self.stage.lock_table,
            "SEGUE_BUCKET": self.stage.bucket,
            "SEGUE_CONNECTIONS_TABLE": self._connections,
            "SEGUE_CLAIMS_QUEUE_URL": self._queue,
            "SEGUE_MANAGEMENT_ENDPOINT": self._management,
            "ECS_CONTAINER_METADATA_URI_V4": f"{self._management}/tasks/{name}",
            "SEGUE_WORKER_ID": name,
            "SEGUE_WORKER_VERSION": version,
            "SEGUE_PROVIDER": "offline",
            "SEGUE_REHEARSAL_PACE": str(pace),
            "SEGUE_REHEARSAL_LOG": str(self.ledger),
            **settings,
        }

        def fork() -> None:  # it is known also if the wait for it is cancelled
            self.processes[name] = ForkedWorker(variables, self._home / f"{name}.log")

        await asyncio.to_thread(fork)
        await eventually(lambda: name in self.registered(), 60)

    def registered(self) -> dict[str, Any]:
        """The workers' items, by id."""
        answer = self.dynamodb.query(
            TableName=self._connections,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": "workers"}},
            ConsistentRead=True,
        )
        return {item["sk"]["S"]: item for item in answer["Items"]}

    def claims_in_the_queue(self) -> int:
        """The number of claims that no worker has taken, hidden ones included."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.sqs.get_queue_attributes(QueueUrl=self._queue, AttributeNames=names)["Attributes"]
        return sum(int(found[name]) for name in names)

    def signal(self, name: str, number: signal.Signals) -> None:
        self.processes[name].send_signal(number)

    def kill(self, name: str) -> None:
        """Kill a worker; ECS tells of it, later."""
        self.signal(name, signal.SIGKILL)
        self.processes[name].join()

    def tell_stopped(self, name: str) -> int:
        """Have ECS tell that a worker's task has stopped."""
        stopped = Stopped(self.dynamodb, self.sqs, StoppedEnvironment(self._connections, self._queue))
        return stopped.offer_sessions(task_arn(name))

    def item(self, client: Client) -> GuardItem | None:
        answer = self.dynamodb.get_item(
            TableName=self.stage.lock_table, Key={"session_key": {"S": client.key}}, ConsistentRead=True
        )
        return GuardItem.from_attributes(answer["Item"]) if "Item" in answer else None

    def log(self, name: str) -> str:
        return (self._home / f"{name}.log").read_text()

    async def serve(self, client: Client) -> None:
        """Bring a client's frames to its session's holder, as the client and the gateway do, until cancelled."""
        self.clients[client.address.connection_id] = client
        binding = Binding(client.key, client.session_id, "c", 1)
        connections = ConnectionsTable(self.dynamodb, self._connections)
        await asyncio.to_thread(connections.claim_client, client.address.connection_id, binding)
        while True:
            item = await self._look(client.key)
            reached = item is not None and item.held and item.endpoint is not None
            for seq, text in list(client.pending.items()):
                if not reached or item is None:
                    break
                reached = await self._deliver(client, item, TextInput(text=text, seq=seq))
            if not reached:
                await self._claim(client, "unreachable" if item is not None and item.held else "no-holder")
            await asyncio.sleep(RESEND_SECONDS if reached else 0.02)

    async def _look(self, key: str) -> GuardItem | None:
        """Read an item, in one request with those that others ask for meanwhile."""
        asked = self._asked[key] = asyncio.get_running_loop().create_future()
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read_asked())
        reading = self._reading
        await asyncio.wait((asked, reading), return_when=asyncio.FIRST_COMPLETED)
        if not asked.done():
            reading.result()  # raises
        return await asked

    async def _read_asked(self) -> None:
        while self._asked:
            asked, self._asked = self._asked, {}
            keys = [{"session_key": {"S": key}} for key in asked]
            request = {self.stage.lock_table: {"Keys": keys, "ConsistentRead": True}}
            answer = await asyncio.to_thread(self.dynamodb.batch_get_item, RequestItems=request)
            found = map(GuardItem.from_attributes, answer["Responses"][self.stage.lock_table])
            items = {item.session_key: item for item in found}
            for key, future in asked.items():
                if not future.done():
                    future.set_result(items.get(key))

    async def _deliver(self, client: Client, item: GuardItem, frame: TextInput) -> bool:
        at = client.address
        body = encode_delivery(
            Delivery(session_key=client.key, connection_id=at.connection_id, client_id="c", counter=1, frame=frame)
        )
        headers = {ROUTE_TOKEN_HEADER: item.route_token or ""}
        try:
            async with self.http.post(f"{item.endpoint}{FRAMES_PATH}", data=body, headers=headers) as answer:
                return answer.status < 500
        except (HttpError, TimeoutError):
            return False

    async def _claim(self, client: Client, reason: Any) -> None:
        """Post a claim to a worker that answers; into the queue if there is none."""
        now = time.monotonic()
        if now - client._claimed_at < CLAIM_SECONDS:
            return
        client._claimed_at = now
        claim = Claim(
            session_key=client.key,
            session_id=client.session_id,
            principal="default",
            reason=reason,
            clients=(client.address,),
        )
        for item in (await asyncio.to_thread(self.registered)).values():
            headers = {CLAIMS_TOKEN_HEADER: item["claims_token"]["S"]}
            url = item["endpoint"]["S"] + CLAIMS_PATH
            try:
                async with self.http.post(url, data=encode_claim(claim), headers=headers) as answer:
                    if answer.status == 202:
                        return
            except (HttpError, TimeoutError):
                continue
        await asyncio.to_thread(self.sqs.send_message, QueueUrl=self._queue, MessageBody=encode_claim(claim))


@asynccontextmanager
async def fleet(stage: Stage, home: Path) -> AsyncIterator[Fleet]:
    """Bring everything up, and end what was started."""
    app, made = web.Application(), []

    async def take(request: web.Request) -> web.Response:
        client = made[0].clients.get(request.match_info["connection"])
        if client is None:
            return web.Response(status=410)
        for frame in decode_server_message(await request.read()):
            client.hear(frame)
        return web.Response()

    async def metadata(request: web.Request) -> web.Response:
        arn = task_arn(request.match_info["name"])
        networks = [{"IPv4Addresses": ["127.0.0.1"]}]
        return web.json_response({"Labels": {"com.amazonaws.ecs.task-arn": arn}, "Networks": networks})

    async def look(_: web.Request) -> web.Response:
        return web.Response()

    app.router.add_get("/stage/tasks/{name}", metadata)
    app.router.add_post("/stage/@connections/{connection}", take)
    app.router.add_get("/stage/@connections/{connection}", look)
    await asyncio.to_thread(warm_up)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    world = Fleet(stage, home, f"http://127.0.0.1:{runner.addresses[0][1]}/stage")
    made.append(world)
    try:
        yield world
    finally:
        for process in world.processes.values():
            process.send_signal(signal.SIGKILL)
            process.join()
        await world.http.close()
        await runner.cleanup()
