"""AWS in process (moto), a worker that is a real HTTP server, and a clock that only moves when told."""

from __future__ import annotations

import contextlib
import functools
import io
import socket
import threading
from http.server import BaseHTTPRequestHandler
from types import SimpleNamespace
from urllib.parse import unquote

import boto3
import pytest

from gateway import connect, disconnect, message
from gateway.claims import Claims, DirectClaims
from gateway.dispatch import Dispatch
from gateway.post import HttpPost
from gateway.router import Router
from gateway.workers import Workers
from segue.wire.claims import CLAIMS_PATH, CLAIMS_TOKEN_HEADER, decode_claim
from segue.wire.delivery import FRAMES_PATH, ROUTE_TOKEN_HEADER, decode_delivery
from segue.wire.frames import decode_server_frame
from segue.wire.rate import FrameRate
from shared import clients
from shared.connections import ConnectionsTable
from shared.ingress.admission import Admission
from shared.ingress.routes import Routes
from tests.support.http_server import LoopbackServer, QuietHandler
from tests.support.mocked_aws import mocked_aws
from tests.support.moto_http import MotoService
from tests.unit.gateway.dispatching import (
    deliver,  # noqa: F401 - a fixture
    refusing,  # noqa: F401 - a fixture
)

CONNECTIONS = "connections"
LOCKS = "locks"
FOR_LONG = 10**10
"""End of tokens that must not expire: after every clock of these tests."""
SESSIONS = 3
FRAMES_PER_SECOND = 50
FRAMES_OF_A_PRINCIPAL = 80


class Clock:
    """Monotonic and wall time; sleeping moves it and may make something happen."""

    def __init__(self):
        self.now = 1000.0
        self.slept = []
        self.on_sleep = lambda: None

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds
        self.on_sleep()


class Worker:
    """A worker's HTTP endpoint. ``answers`` are used up one by one, then it accepts frames and takes claims."""

    def __init__(self, token="right"):
        self.token = token
        self.claims_token = f"claims of {token}"
        self.answers = []
        self.deliveries = []
        self.claims = []
        self.claimed = threading.Event()
        self.connected = []
        self.requested = []
        self.swallow = 0
        """Over how many of its first connections nothing is answered any more, as if the flow had been dropped."""
        self.stopped = threading.Event()
        self.lock = threading.Lock()
        outer = self

        class Handler(QuietHandler, BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self):
                super().setup()
                outer.connected.append(self.connection)

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                outer.requested.append(self.path)
                if outer.connected.index(self.connection) < outer.swallow:
                    outer.stopped.wait(30)
                    self.close_connection = True
                    return
                status, answer = outer.take(self.path, self.headers, body)
                if status is None:  # hang up without a word
                    self.close_connection = True
                    return
                self.answer(status, answer)

        self.server = LoopbackServer(Handler)

    @property
    def endpoint(self):
        return self.server.url

    def take(self, path, headers, body):
        header, token = {
            FRAMES_PATH: (ROUTE_TOKEN_HEADER, self.token),
            CLAIMS_PATH: (CLAIMS_TOKEN_HEADER, self.claims_token),
        }[path]
        with self.lock:
            if headers[header] != token:
                return 403, b""
            if self.answers:
                answer = self.answers.pop(0)
                if answer is not None:
                    return answer
            if path == FRAMES_PATH:
                self.deliveries.append(decode_delivery(body))
            else:
                self.claims.append(decode_claim(body))
                self.claimed.set()
            return 202, b""

    @property
    def frames(self):
        return [delivery.frame for delivery in self.deliveries]

    def stop(self):
        """Stop as a killed process does: its port is closed, and every connection ends."""
        self.stopped.set()
        if self.server.running:
            self.server.stop()
            for connection in self.connected:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)


class Management:
    """API Gateway's management API. ``statuses`` are used up one by one, then it takes what it is sent.

    A status of None: it takes the message and says nothing.
    """

    def __init__(self):
        self.statuses = []
        self.posted = []
        self.requests = []
        self.silent = threading.Event()
        outer = self

        class Handler(QuietHandler, BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                outer.requests.append((self.path, dict(self.headers.items())))
                status = outer.statuses.pop(0) if outer.statuses else 200
                if status is None:
                    outer.silent.wait(30)
                    self.close_connection = True
                    return
                if status == 200:
                    connection = unquote(self.path.rpartition("/@connections/")[2])
                    outer.posted.append((connection, decode_server_frame(body.decode())))
                self.answer(status)

        self.server = LoopbackServer(Handler)

    @property
    def endpoint(self):
        return f"{self.server.url}/dev"

    def told(self, connection_id="c1"):
        """Take the frames that a connection was sent."""
        found = [frame for connection, frame in self.posted if connection == connection_id]
        self.posted = [each for each in self.posted if each[0] != connection_id]
        return found

    def stop(self):
        self.silent.set()
        self.server.stop()


@pytest.fixture
def management():
    started = Management()
    yield started
    started.stop()


@pytest.fixture
def worker():
    started = Worker()
    yield started
    started.stop()


@pytest.fixture
def other_worker():
    started = Worker(token="other")
    yield started
    started.stop()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def log():
    """Log of the functions, as text."""
    written = io.StringIO()
    handler = message.logger.registered_handler
    before = handler.setStream(written)
    yield written
    handler.setStream(before)


@pytest.fixture
def aws(monkeypatch):
    """Both tables and the queue, empty."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mocked_aws():
        forget_dependencies()
        dynamodb, sqs = client("dynamodb"), client("sqs")
        table(dynamodb, LOCKS, "session_key")
        table(dynamodb, CONNECTIONS, "pk", "sk")
        queue_url = sqs.create_queue(QueueName="claims")["QueueUrl"]
        # For the functions' own clients (`shared.aws`), which moto does not catch; the two above are made already.
        services = {name: MotoService(name, "us-east-1") for name in ("dynamodb", "sqs")}
        for name, service in services.items():
            monkeypatch.setenv(f"AWS_ENDPOINT_URL_{name.upper()}", service.url)
        yield SimpleNamespace(dynamodb=dynamodb, sqs=sqs, queue_url=queue_url)
        forget_dependencies()
        for service in services.values():
            service.stop()


@functools.cache
def client(service):
    """One of boto3's clients, for all tests: a new one costs as much as ten requests."""
    return boto3.client(service)


def forget_dependencies():
    made = (connect.dependencies, message.dependencies, message.answers, disconnect.dependencies)
    for cached in (clients.dynamodb, clients.sqs, *made):
        cached.cache_clear()


def table(dynamodb, name, *keys):
    dynamodb.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": key, "KeyType": kind} for key, kind in zip(keys, ("HASH", "RANGE"), strict=False)],
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in keys],
        BillingMode="PAY_PER_REQUEST",
    )


class Gateway:
    """The message function's parts on moto, with the clock in hand."""

    def __init__(self, aws, clock):
        self.aws = aws
        self.clock = clock
        self.connections = ConnectionsTable(aws.dynamodb, CONNECTIONS, wall_clock=clock)
        self.warm()

    def warm(self):
        """A fresh process: nothing remembered."""
        self.routes = Routes(self.aws.dynamodb, LOCKS)
        direct = DirectClaims(Workers(self.aws.dynamodb, CONNECTIONS, wall_clock=self.clock), clock=self.clock)
        self.router = Router(
            self.connections,
            Dispatch(
                routes=self.routes,
                post=HttpPost(),
                claims=Claims(self.aws.sqs, self.aws.queue_url, direct, self.connections, clock=self.clock),
                clock=self.clock,
                sleep=self.clock.sleep,
            ),
            Admission(self.aws.dynamodb, CONNECTIONS, most=SESSIONS, wall_clock=self.clock),
            FrameRate(self.clock, FRAMES_PER_SECOND, FRAMES_PER_SECOND),
            FrameRate(self.clock, FRAMES_OF_A_PRINCIPAL, FRAMES_OF_A_PRINCIPAL),
            wall_clock=self.clock,
        )

    def open(self, connection_id, principal, token_expires_at=FOR_LONG):
        """Let a client connect."""
        self.connections.store(connection_id, principal, token_expires_at)

    def register(self, worker, worker_id, **changes):
        """Let a worker be in the registry."""
        item = {
            "pk": {"S": "workers"},
            "sk": {"S": worker_id},
            "endpoint": {"S": worker.endpoint},
            "version": {"S": "1"},
            "room": {"N": "1"},
            "sessions": {"N": "0"},
            "beat": {"N": "1"},
            "seen_at": {"N": str(self.clock.now)},
            "claims_token": {"S": worker.claims_token},
            "expires_at": {"N": str(int(self.clock.now) + 120)},
        } | changes
        self.aws.dynamodb.put_item(TableName=CONNECTIONS, Item={name: value for name, value in item.items() if value})

    def hold(self, key, worker, token=None, epoch=1, **changes):
        """Let a worker have the lease."""
        item = {
            "session_key": {"S": key},
            "schema": {"N": "1"},
            "born": {"S": "b"},
            "epoch": {"N": str(epoch)},
            "acquire_id": {"S": f"a{epoch}"},
            "holder": {"S": "w"},
            "endpoint": {"S": worker.endpoint},
            "route_token": {"S": token or worker.token},
            "expires_at": {"N": str(int(self.clock.now) + 3600)},
        } | changes
        self.aws.dynamodb.put_item(TableName=LOCKS, Item={name: value for name, value in item.items() if value})

    def free(self, key):
        self.hold(key, SimpleNamespace(endpoint="-", token="-"), acquire_id=None, endpoint=None, route_token=None)

    def claims(self):
        """The claims sent since the last look."""
        found = []
        while messages := self.aws.sqs.receive_message(QueueUrl=self.aws.queue_url, MaxNumberOfMessages=10).get(
            "Messages"
        ):
            for received in messages:
                found.append(decode_claim(received["Body"]))
                self.aws.sqs.delete_message(QueueUrl=self.aws.queue_url, ReceiptHandle=received["ReceiptHandle"])
        return found


@pytest.fixture
def gateway(aws, clock, monkeypatch):
    # A machine that is busy must not look like a holder that hangs; tests of the search say when it begins.
    monkeypatch.setattr("gateway.post.SEARCH_AFTER_SECONDS", 30.0)
    monkeypatch.setattr("gateway.claims.ANSWER_SECONDS", 5.0)
    return Gateway(aws, clock)
