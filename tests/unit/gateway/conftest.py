"""AWS in process (moto), and the message function on it, with stand-ins for all others."""

from __future__ import annotations

import io
from types import SimpleNamespace

import pytest

from gateway import connect, disconnect, message
from gateway.claims import Claims, DirectClaims
from gateway.dispatch import Dispatch
from gateway.post import HttpPost
from gateway.router import Router
from gateway.workers import Workers
from segue.wire.claims import decode_claim
from segue.wire.rate import FrameRate
from shared.aws import clients
from shared.connections import ConnectionsTable
from shared.ingress.admission import Admission
from shared.ingress.routes import Routes
from tests.support.mocked_aws import client, mocked_aws
from tests.support.moto_http import MotoService
from tests.unit.gateway.dispatching import (
    deliver,  # noqa: F401 - a fixture
    refusing,  # noqa: F401 - a fixture
)
from tests.unit.gateway.stand_ins import Clock, Management, Worker

CONNECTIONS = "connections"
LOCKS = "locks"
FOR_LONG = 10**10
"""End of tokens that must not expire: after every clock of these tests."""
SESSIONS = 3
FRAMES_PER_SECOND = 50
FRAMES_OF_A_PRINCIPAL = 80
NO_SEARCH_SECONDS = 30.0
"""Later than any answer of a test's worker."""


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
        self.turns = None
        self.warm()

    def warm(self, post=None, turns=None):
        """Begin a fresh process, in which nothing is remembered.

        Args:
            post: posts to holders; default: as a function does.
            turns: the queue of turns, in this process and later ones.
        """
        self.turns = turns or self.turns
        self.routes = Routes(self.aws.dynamodb, LOCKS)
        direct = DirectClaims(Workers(self.aws.dynamodb, CONNECTIONS, wall_clock=self.clock), clock=self.clock)
        self.claiming = Claims(self.aws.sqs, self.aws.queue_url, direct, self.connections, clock=self.clock)
        self.dispatch = Dispatch(
            routes=self.routes,
            # A machine that is busy must not look like a holder that hangs; tests of the search say when it begins.
            post=post or HttpPost(search_after_seconds=NO_SEARCH_SECONDS),
            claims=self.claiming,
            clock=self.clock,
            sleep=self.clock.sleep,
            turns=self.turns,
        )
        self.router = Router(
            self.connections,
            self.dispatch,
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
    monkeypatch.setattr("gateway.claims.ANSWER_SECONDS", 5.0)
    return Gateway(aws, clock)
