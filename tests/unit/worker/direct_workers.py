"""Whole workers of the direct transport in one process, on moto, with an issuer and real WebSockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from aiohttp import WSMsgType

from segue.ids import principal_of
from segue.lease.item import GuardItem
from segue.wire.binary import decode_binary_server
from segue.wire.frames import (
    ClientFrame,
    Hello,
    ServerFrame,
    Transcript,
    decode_server_message,
    encode_frame,
)
from tests.support import mocked_aws
from tests.support.issuer import AUDIENCE, ISSUER, Issuer, publishing
from tests.support.waiting import eventually, promptly
from worker.app import Service
from worker.direct.times import TRANSPORT_TIMES, TransportTimes
from worker.settings import Environment

PRINCIPAL = principal_of(ISSUER, "alice")


@dataclass
class Caller:
    """A client's socket: what was said into it, and what came."""

    ws: aiohttp.ClientWebSocketResponse
    received: list[ServerFrame] = field(default_factory=list)
    binary: int = 0
    reading: asyncio.Task[None] | None = None

    async def read(self) -> None:
        async for message in self.ws:
            if message.type is WSMsgType.BINARY:
                frame = decode_binary_server(message.data)
                assert frame is not None
                self.binary += 1
                self.received.append(frame)
            else:
                self.received += decode_server_message(message.data)

    async def say(self, *frames: ClientFrame) -> None:
        for frame in frames:
            await self.ws.send_str(encode_frame(frame))

    def of(self, kind: type[Any]) -> list[Any]:
        return [frame for frame in self.received if isinstance(frame, kind)]

    @property
    def heard(self) -> list[str]:
        return [one.text for one in self.of(Transcript) if one.final and one.role == "assistant"]


@dataclass
class Workers:
    """Workers of one deployment, in this process."""

    issuer: Issuer
    variables: dict[str, str]
    dynamodb: Any
    http: aiohttp.ClientSession
    services: dict[str, Service] = field(default_factory=dict)
    running: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    callers: list[Caller] = field(default_factory=list)

    async def start(self, name: str, times: TransportTimes = TRANSPORT_TIMES, **settings: str) -> Service:
        service = Service(Environment.read({**self.variables, "SEGUE_WORKER_ID": name, **settings}), times)
        self.services[name] = service
        self.running[name] = asyncio.create_task(service.run())
        await eventually(lambda: service._status.ready or self.running[name].done(), 60)
        assert service._status.ready, self.running[name].exception()
        return service

    def port(self, name: str) -> int:
        port = self.services[name]._status.sockets_port
        assert port is not None
        return port

    async def connect(self, name: str, *, subject: str = "alice", token: str | None = None, **options: Any) -> Caller:
        token = self.issuer.token(sub=subject) if token is None else token
        protocols = ("segue.v1", f"bearer.{token}")
        ws = await self.http.ws_connect(f"http://127.0.0.1:{self.port(name)}/", protocols=protocols, **options)
        caller = Caller(ws)
        caller.reading = asyncio.create_task(caller.read())
        self.callers.append(caller)
        return caller

    def item(self, session: str = "talk") -> GuardItem:
        key = {"session_key": {"S": f"{PRINCIPAL}/{session}"}}
        return GuardItem.from_attributes(self.dynamodb.get_item(TableName="direct-locks", Key=key)["Item"])

    async def stop(self, name: str) -> None:
        self.services[name].stop.set()
        await promptly(self.running[name], 60)


def hello(connection: int = 1, *, client_id: str = "c1", session: str = "talk", **more: Any) -> Hello:
    return Hello(session=session, client_id=client_id, connection=connection, **more)


@pytest.fixture(scope="module")
def published_issuer() -> Iterator[tuple[Issuer, str]]:
    made = Issuer()
    with publishing(made) as keys:
        yield made, keys.url


@pytest.fixture
async def workers(
    aws: None, published_issuer: tuple[Issuer, str], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Workers]:
    monkeypatch.setenv("SEGUE_PROVIDER", "offline")
    monkeypatch.setenv("SEGUE_REHEARSAL_PACE", "0")
    mocked_aws.provision("direct-bucket", "direct-locks")
    dynamodb, sqs = mocked_aws.client("dynamodb"), mocked_aws.client("sqs")
    dynamodb.create_table(
        TableName="connections",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
        BillingMode="PAY_PER_REQUEST",
    )
    variables = {
        "SEGUE_STAGE": "test",
        "SEGUE_LOCK_TABLE": "direct-locks",
        "SEGUE_CONNECTIONS_TABLE": "connections",
        "SEGUE_CLAIMS_QUEUE_URL": sqs.create_queue(QueueName="claims")["QueueUrl"],
        "SEGUE_BUCKET": "direct-bucket",
        "SEGUE_TRANSPORT": "direct",
        "SEGUE_TOKEN_ISSUER": ISSUER,
        "SEGUE_TOKEN_AUDIENCE": AUDIENCE,
        "SEGUE_TOKEN_KEYS_URL": published_issuer[1],
    }
    async with aiohttp.ClientSession() as http:
        made = Workers(published_issuer[0], variables, dynamodb, http)
        yield made
        for caller in made.callers:
            await caller.ws.close()
            if caller.reading is not None:
                caller.reading.cancel()
        for service in made.services.values():
            service.stop.set()
            service.hurry.set()
        await asyncio.gather(*made.running.values(), return_exceptions=True)
