"""The whole process in one: moto for AWS, a real listener, a fake management API, the offline model."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from http.client import HTTPConnection
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from local.settings import ROOT
from segue.lease.item import GuardItem
from segue.wire.claims import decode_claim, encode_claim
from segue.wire.delivery import FRAMES_PATH, ROUTE_TOKEN_HEADER, encode_delivery
from segue.wire.frames import InputAck, Ready, Transcript, decode_server_message
from shared.environment_problem import EnvironmentProblem
from shared.ingress.frame_needs import HOLDER_WAIT_SECONDS
from tests.support.mocked_aws import client, provision
from tests.support.waiting import eventually, promptly
from tests.unit.worker.stand_ins import address, claim, delivery, text
from worker.app import Aws, PartEnded, Service
from worker.aws.claims_queue import POLL_SECONDS, ClaimsQueue
from worker.hosting.registry import Registry
from worker.settings import Environment


@pytest.fixture
async def management():
    """Takes posts to connections."""
    posted: list[Any] = []
    app = web.Application()

    async def take(request: web.Request) -> web.Response:
        posted.extend(decode_server_message(await request.read()))
        return web.Response()

    app.router.add_post("/stage/@connections/{connection}", take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    endpoint = f"http://127.0.0.1:{runner.addresses[0][1]}/stage"
    yield SimpleNamespace(
        posted=posted, endpoint=endpoint, of=lambda kind: [frame for frame in posted if isinstance(frame, kind)]
    )
    await runner.cleanup()


@pytest.fixture
def stack(aws, management, monkeypatch):
    """The tables, the bucket and the queue, and the variables that name them."""
    monkeypatch.setenv("SEGUE_PROVIDER", "offline")
    monkeypatch.setenv("SEGUE_REHEARSAL_PACE", "0")
    provision("service-bucket", "service-locks")
    dynamodb, sqs = client("dynamodb"), client("sqs")
    dynamodb.create_table(
        TableName="connections",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
        BillingMode="PAY_PER_REQUEST",
    )
    url = sqs.create_queue(QueueName="claims")["QueueUrl"]
    variables = {
        "SEGUE_STAGE": "test",
        "SEGUE_LOCK_TABLE": "service-locks",
        "SEGUE_CONNECTIONS_TABLE": "connections",
        "SEGUE_CLAIMS_QUEUE_URL": url,
        "SEGUE_BUCKET": "service-bucket",
        "SEGUE_MANAGEMENT_ENDPOINT": management.endpoint,
        "SEGUE_WORKER_ID": "w1",
    }
    return SimpleNamespace(dynamodb=dynamodb, sqs=sqs, url=url, variables=variables)


@pytest.mark.slow
async def test_a_worker_registers_takes_a_claim_and_hands_over_at_sigterm(stack, management, unused_port):
    service = Service(Environment.read({**stack.variables, "SEGUE_WORKER_PORT": str(unused_port)}))
    running = asyncio.create_task(service.run())
    async with aiohttp.ClientSession(f"http://127.0.0.1:{unused_port}") as http:

        async def health() -> tuple[int, dict[str, Any]] | None:
            try:
                async with http.get("/health") as answer:
                    return answer.status, json.loads(await answer.text())
            except aiohttp.ClientError:
                return None

        seen = []
        while not seen or seen[-1] is None or seen[-1][0] != 200:
            assert not running.done(), running.exception()
            seen.append(await health())
            await asyncio.sleep(0.005)
        registered = stack.dynamodb.get_item
        key = {"pk": {"S": "workers"}, "sk": {"S": "w1"}}
        await eventually(lambda: "Item" in registered(TableName="connections", Key=key))
        assert (
            registered(TableName="connections", Key=key)["Item"]["endpoint"]["S"] == f"http://127.0.0.1:{unused_port}"
        )

        stack.sqs.send_message(QueueUrl=stack.url, MessageBody=encode_claim(claim("talk", address())))
        await eventually(lambda: management.of(Ready))
        item = guard_item(stack)
        assert (item.holder, item.endpoint) == ("w1", f"http://127.0.0.1:{unused_port}")
        headers = {ROUTE_TOKEN_HEADER: item.route_token or ""}
        frame = encode_delivery(delivery(text("My name is Alice", 1)))
        async with http.post(FRAMES_PATH, data=frame, headers=headers) as answer:
            assert answer.status == 202
        await eventually(lambda: [one for one in management.of(Transcript) if one.final and "Alice" in one.text])
        assert management.of(InputAck)[-1].upto == 1
        assert json.loads(health_without_the_loop(unused_port))["stood_still_ms"] > 0

        os.kill(os.getpid(), signal.SIGTERM)
        await promptly(running, 20)
        assert await health() is None, "the listener is closed"
    assert not guard_item(stack).held
    assert "Item" not in registered(TableName="connections", Key=key)
    (message,) = stack.sqs.receive_message(QueueUrl=stack.url)["Messages"]
    assert decode_claim(message["Body"]) == claim("talk", address(), reason="handoff")


def health_without_the_loop(port: int) -> bytes:
    """Ask on the loop's own thread: it stands still meanwhile, and another thread has to notice and to answer."""
    with contextlib.closing(HTTPConnection("127.0.0.1", port, timeout=60)) as asking:
        asking.request("GET", "/health")
        return asking.getresponse().read()


def guard_item(stack: Any) -> GuardItem:
    key = {"session_key": {"S": "default/talk"}}
    return GuardItem.from_attributes(stack.dynamodb.get_item(TableName="service-locks", Key=key)["Item"])


@pytest.mark.slow
@pytest.mark.parametrize(("works", "part"), [((ClaimsQueue, "receive"), "claims"), ((Registry, "beat"), "registry")])
async def test_a_part_that_breaks_does_not_leave_a_deaf_worker_behind(
    stack, management, unused_port, monkeypatch, works, part
):
    (owner, method), broken = works, asyncio.Event()
    unbroken = getattr(owner, method)

    async def breaks(self: Any, *args: Any, **kwargs: Any) -> Any:
        if broken.is_set():
            raise ZeroDivisionError
        return await unbroken(self, *args, **kwargs)

    monkeypatch.setattr(owner, method, breaks)
    monkeypatch.setattr("worker.app.BEAT_SECONDS", 0.05)
    service = Service(Environment.read({**stack.variables, "SEGUE_WORKER_PORT": str(unused_port)}))
    running = asyncio.create_task(service.run())
    stack.sqs.send_message(QueueUrl=stack.url, MessageBody=encode_claim(claim("talk", address())))
    await eventually(lambda: management.of(Ready))
    broken.set()
    with pytest.raises(PartEnded, match=part) as ended:
        await promptly(running, 30)
    assert isinstance(ended.value.__cause__, ZeroDivisionError)
    assert not guard_item(stack).held, "its sessions were handed over"
    key = {"pk": {"S": "workers"}, "sk": {"S": "w1"}}
    assert "Item" not in stack.dynamodb.get_item(TableName="connections", Key=key)


async def test_a_mistake_in_the_agent_stops_the_start(stack, monkeypatch):
    monkeypatch.setenv("SEGUE_PROVIDER", "pigeon")
    with pytest.raises(EnvironmentProblem, match="pigeon"):
        await Service(Environment.read(stack.variables)).run()


@pytest.mark.slow
def test_a_lost_request_to_a_table_is_tried_anew_while_a_caller_waits(aws_environment):
    clients = Aws.connect()
    table, queue = clients.dynamodb.meta.config, clients.sqs.meta.config
    assert table.connect_timeout + table.read_timeout <= HOLDER_WAIT_SECONDS
    assert table.retries["total_max_attempts"] == 3
    assert queue.read_timeout > POLL_SECONDS


@pytest.mark.slow
def test_missing_variables_are_named_on_one_json_line_and_the_process_ends():
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SEGUE_")}
    path = os.pathsep.join([str(ROOT / "functions"), str(ROOT / "layers/session/python")])
    ended = subprocess.run(
        [sys.executable, "-m", "worker"],
        env={**environment, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 2
    (line,) = ended.stdout.splitlines()
    assert "SEGUE_BUCKET is missing" in json.loads(line)["message"]
    assert ended.stderr == ""
