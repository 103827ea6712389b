"""The entry point: what becomes of a message whose turn goes well, badly, or not at all."""

from __future__ import annotations

import asyncio
import io
import json
import threading
import time

import boto3
import msgspec
import pytest
from botocore.exceptions import ClientError

from segue import SessionFenced
from segue.environment import EnvironmentInvalid, read_environment
from segue.wire.delivery import Delivery, encode_delivery
from segue.wire.fields import trace_id
from segue.wire.frames import TextInput
from shared.agent_code import AgentFailed
from shared.management import FORBIDDEN
from tests.support.emf import metrics_told
from tests.support.mocked_aws import provision
from tests.support.waiting import eventually
from turn import handler, post
from turn.environment import TurnEnvironment
from turn.post import ManagementApi, MessageOutcome
from turn.queue_message import HIDDEN_SECONDS, QueueMessage
from turn.turn import OutOfTime

DELIVERY = Delivery(
    session_key="alice/talk", connection_id="c-1", client_id="c", counter=1, frame=TextInput(text="a", seq=1)
)
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
VARIABLES = {
    "SEGUE_BUCKET": "b",
    "SEGUE_LOCK_TABLE": "l",
    "SEGUE_CONNECTIONS_TABLE": "c",
    "SEGUE_TURNS_QUEUE_URL": "http://queue",
    "SEGUE_MANAGEMENT_ENDPOINT": "/_aws/execute-api/a/local",
}


def record(tries=1, body=None):
    return {
        "messageId": "m-1",
        "receiptHandle": "r-1",
        "body": encode_delivery(DELIVERY).decode() if body is None else body,
        "attributes": {"ApproximateReceiveCount": str(tries)},
    }


class Queue:
    """Remembers for how long messages are hidden."""

    def __init__(self):
        self.hidden = []
        self.fails = False
        self.lock = threading.Lock()

    def change_message_visibility(self, *, QueueUrl, ReceiptHandle, VisibilityTimeout):  # noqa: N803 - boto3's names
        assert (QueueUrl, ReceiptHandle) == ("http://queue", "r-1")
        with self.lock:
            self.hidden.append(VisibilityTimeout)
        if self.fails:
            raise ClientError({"Error": {"Code": "ServiceUnavailable"}}, "ChangeMessageVisibility")


class Turns:
    """Takes turns as a test says."""

    def __init__(self, error=None):
        self.attempts = []
        self.apologies = []
        self.error = error

    async def run_turn(self, attempt):
        self.attempts.append(attempt)
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error

    def apologise(self, delivery, code=None):
        self.apologies.append(delivery if code is None else (delivery, code))


class Context:
    @staticmethod
    def get_remaining_time_in_millis():
        return 90_000


@pytest.fixture
def queue():
    return Queue()


@pytest.fixture
def invoke(monkeypatch, queue):
    """Invokes the function with a message."""

    def invoke(turns, **given):
        monkeypatch.setattr(handler, "turn_runner", lambda: turns)
        monkeypatch.setattr(handler, "queue", lambda: queue)
        monkeypatch.setattr(handler, "environment", lambda: read_environment(TurnEnvironment, VARIABLES))
        return handler.handler({"Records": [record(**given)]}, Context())

    yield invoke
    handler.runner().close()
    handler.runner.cache_clear()


def test_a_turn_that_was_taken_is_done(invoke, queue):
    turns = Turns()
    assert invoke(turns) == {"batchItemFailures": []}
    (attempt,) = turns.attempts
    assert (attempt.delivery, attempt.repeated, attempt.seconds_left()) == (DELIVERY, False, 90.0)
    assert queue.hidden == [HIDDEN_SECONDS]


def test_log_lines_of_a_turn_have_its_trace(invoke, monkeypatch):
    written = io.StringIO()
    monkeypatch.setattr(handler.logger.registered_handler, "stream", written)
    traced = msgspec.structs.replace(DELIVERY, frame=TextInput(text="a", seq=1, trace=TRACE))
    invoke(Turns(OutOfTime()), body=encode_delivery(traced).decode())
    invoke(Turns(OutOfTime()))
    first, second = map(json.loads, written.getvalue().splitlines())
    assert first["trace_id"] == trace_id(TRACE)
    assert "trace_id" not in second


def test_a_turn_that_ran_out_of_time_goes_on_at_once(invoke, queue):
    turns = Turns(OutOfTime())
    assert invoke(turns, tries=2) == {"batchItemFailures": [{"itemIdentifier": "m-1"}]}
    assert turns.attempts[0].repeated
    assert queue.hidden == [HIDDEN_SECONDS, 0]
    assert turns.apologies == []


@pytest.mark.parametrize(("tries", "pause"), [(1, 2), (4, 16), (5, 30)])
def test_a_turn_that_failed_is_tried_again_later_and_its_client_told_at_last(invoke, queue, tries, pause):
    turns = Turns(RuntimeError("a bad day"))
    assert invoke(turns, tries=tries) == {"batchItemFailures": [{"itemIdentifier": "m-1"}]}
    assert queue.hidden == [HIDDEN_SECONDS, pause]
    assert turns.apologies == ([DELIVERY] if tries == handler.MOST_TRIES else [])


@pytest.mark.parametrize(("tries", "pause"), [(1, 2), (5, 30)])
def test_the_client_of_a_session_whose_agent_cannot_be_built_is_told_each_time(invoke, queue, tries, pause):
    turns = Turns(AgentFailed("alice/talk"))
    assert invoke(turns, tries=tries) == {"batchItemFailures": [{"itemIdentifier": "m-1"}]}
    assert queue.hidden == [HIDDEN_SECONDS, pause]
    assert turns.apologies == [(DELIVERY, "agent_failed")]


@pytest.mark.parametrize(
    ("error", "names"),
    [
        (None, {"Turns", "TurnTime"}),
        (RuntimeError("a bad day"), {"TurnFailures"}),
        (SessionFenced(2, "another"), {"TurnFailures", "Fenced"}),
        (AgentFailed("alice/talk"), {"TurnFailures"}),
        (OutOfTime(), set()),
    ],
    ids=["answered", "failed", "fenced", "agent failed", "out of time"],
)
def test_outcome_of_a_turn_is_counted(invoke, error, names):
    with metrics_told(service="segue-turn", stage="test") as lines:
        invoke(Turns(error))
    by = frozenset({("service", "segue-turn"), ("stage", "test")})
    assert lines.found == {("Segue", name, by) for name in names}


def test_a_queue_that_does_not_answer_changes_nothing(invoke, queue):
    queue.fails = True
    assert invoke(Turns()) == {"batchItemFailures": []}


def test_a_message_that_is_no_delivery_goes_to_the_dead_letters_at_once(invoke, queue):
    turns = Turns()
    assert invoke(turns, body="{}") == {"batchItemFailures": [{"itemIdentifier": "m-1"}]}
    assert queue.hidden == [0]
    assert (turns.attempts, turns.apologies) == ([], [])


async def test_a_message_stays_hidden_while_its_turn_lasts_and_no_longer(queue):
    message = QueueMessage(queue, "http://queue", record(), renewal_seconds=0.01)
    async with message.hidden():
        await eventually(lambda: len(queue.hidden) > 3)
    await message.give_back(7)
    told = list(queue.hidden)
    await asyncio.sleep(0.05)
    assert queue.hidden == told
    assert (set(told[:-1]), told[-1]) == ({HIDDEN_SECONDS}, 7)


# --- environment and clients


def test_the_management_endpoint_may_be_a_path_on_the_endpoint_of_all_services():
    local = read_environment(TurnEnvironment, VARIABLES)
    assert local.management_url({"AWS_ENDPOINT_URL": "http://host:1/"}) == "http://host:1/_aws/execute-api/a/local"
    aws = read_environment(TurnEnvironment, {**VARIABLES, "SEGUE_MANAGEMENT_ENDPOINT": "https://a.example/dev"})
    assert aws.management_url({}) == "https://a.example/dev"
    assert (aws.lease_seconds, aws.heartbeat_seconds) == (10.0, 3.0)


def test_a_missing_variable_is_named():
    with pytest.raises(EnvironmentInvalid, match="SEGUE_BUCKET"):
        read_environment(TurnEnvironment, {name: value for name, value in VARIABLES.items() if "BUCKET" not in name})


def test_the_parts_are_made_from_the_environment(monkeypatch):
    for name, value in {**VARIABLES, "AWS_ENDPOINT_URL": "http://127.0.0.1:1"}.items():
        monkeypatch.setenv(name, value)
    for made in (handler.environment, handler.turn_runner):
        made.cache_clear()
    try:
        manager = handler.turn_runner()._sessions._new_manager("alice", "talk")
        assert (manager.session_key, manager.settings.durability) == ("alice/talk", "await")
        # Longer than a lease: the holder may have died without a word.
        assert manager.settings.acquire_timeout > manager.settings.lease.duration
        assert manager.settings.endpoint is None
    finally:
        for made in (handler.environment, handler.turn_runner):
            made.cache_clear()


async def test_a_session_ends_so_many_days_after_its_last_turn_as_the_deployment_says(aws, monkeypatch):
    provision("turn-bucket", "turn-locks")
    stored = {"SEGUE_BUCKET": "turn-bucket", "SEGUE_LOCK_TABLE": "turn-locks", "SEGUE_RETENTION_DAYS": "30"}
    for name, value in {**VARIABLES, **stored, "AWS_ENDPOINT_URL": ""}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SEGUE_MANAGEMENT_ENDPOINT", "https://a.example/dev")
    for made in (handler.environment, handler.turn_runner):
        made.cache_clear()
    try:
        before = time.time()
        async with handler.turn_runner()._sessions._new_manager("alice", "talk"):
            key = {"session_key": {"S": "alice/talk"}}
            item = boto3.client("dynamodb").get_item(TableName="turn-locks", Key=key)["Item"]
    finally:
        for made in (handler.environment, handler.turn_runner):
            made.cache_clear()
    assert int(before) <= int(item["expires_at"]["N"]) - 30 * 86_400 <= time.time()


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (200, MessageOutcome.DELIVERED),
        (410, MessageOutcome.GONE),
        (429, MessageOutcome.FAILED),
        (500, MessageOutcome.FAILED),
    ],
)
def test_statuses_of_the_management_api_become_outcomes(status, outcome):
    class Client:
        def post_to_connection(self, *, ConnectionId, Data):  # noqa: N803 - boto3's names
            assert (ConnectionId, Data) == ("c-1", b"{}")
            if status != 200:
                answer = {"Error": {"Code": "x"}, "ResponseMetadata": {"HTTPStatusCode": status}}
                raise ClientError(answer, "PostToConnection")

    assert ManagementApi(Client())("c-1", b"{}") is outcome


@pytest.mark.parametrize(("code", "said"), [("ForbiddenException", [FORBIDDEN]), ("ExpiredTokenException", [])])
def test_a_forbidden_way_to_the_connections_is_a_configuration_error(monkeypatch, code, said):
    class Client:
        def post_to_connection(self, **_):
            answer = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": 403}}
            raise ClientError(answer, "PostToConnection")

    errors = []
    monkeypatch.setattr(post.logger, "error", lambda text, **_: errors.append(text))
    assert ManagementApi(Client())("c-1", b"{}") is MessageOutcome.FAILED
    assert errors == said
