"""Metrics of the gateway's functions, each emitted by the event that it counts."""

from __future__ import annotations

import pytest

from gateway import message, stopped
from gateway.answers import Answers
from gateway.stopped import Stopped, StoppedEnvironment
from segue.wire.frames import Hello, Pong, TextInput, encode_frame
from tests.support.emf import metrics_told
from worker.hosting.registry import Registry

SERVICE, STAGE = "segue-gateway", "test"
BY = frozenset({("service", SERVICE), ("stage", STAGE)})


def told(lines):
    return {name for namespace, name, by in lines.found if (namespace, by) == ("Segue", BY)}


@pytest.mark.slow
def test_a_claim_that_goes_to_the_queue_counts_as_queued(gateway):
    gateway.open("c-1", "alice")
    with metrics_told(service=SERVICE, stage=STAGE) as lines:
        gateway.router.receive("c-1", encode_frame(Hello(session="s", client_id="c", connection=1)))
    assert told(lines) == {"Claims", "ClaimsQueued"}


def test_a_claim_that_a_worker_takes_counts_only_as_a_claim(gateway, worker):
    gateway.open("c-1", "alice")
    gateway.register(worker, "w1")
    with metrics_told(service=SERVICE, stage=STAGE) as lines:
        gateway.router.receive("c-1", encode_frame(Hello(session="s", client_id="c", connection=1)))
    assert told(lines) == {"Claims"}


def test_a_refused_frame_is_counted_and_a_taken_one_is_not(gateway, worker):
    gateway.open("c-1", "alice")
    with metrics_told(service=SERVICE, stage=STAGE) as lines:
        gateway.router.receive("c-1", "no frame")
    assert told(lines) == {"Refused"}
    gateway.router.receive("c-1", encode_frame(Hello(session="s", client_id="c", connection=1)))
    gateway.hold("alice/s", worker)
    with metrics_told(service=SERVICE, stage=STAGE) as lines:
        gateway.router.receive("c-1", encode_frame(TextInput(text="hi", seq=1)))
    assert len(worker.frames) == 1
    assert told(lines) == set(), "a line for every frame would cost more than the frame"


def test_an_internal_failure_is_counted_with_its_lost_answer(monkeypatch):
    monkeypatch.setattr(message, "dependencies", lambda: 1 / 0)
    with metrics_told(service=SERVICE, stage=STAGE) as lines:
        message.handler({"requestContext": {"connectionId": "c-1"}}, None)
    assert told(lines) == {"Failures", "AnswersLost"}, "and so its client cannot be told"


@pytest.mark.parametrize(("status", "counted"), [(200, set()), (410, set()), (500, {"AnswersLost"})])
def test_an_answer_that_does_not_arrive_is_counted(management, status, counted):
    management.statuses = [status]
    with metrics_told(service=SERVICE, stage=STAGE) as lines:
        Answers(management.endpoint, lambda _url, _body: {}, lambda: 0.0).post_frame("c-1", Pong())
    assert told(lines) == counted


def test_a_way_to_the_connections_that_is_forbidden_sets_off_an_alarm(management, log):
    management.statuses = [403]
    with metrics_told(service=SERVICE, stage=STAGE) as lines:
        Answers(management.endpoint, lambda _url, _body: {}, lambda: 0.0).post_frame("c-1", Pong())
    assert told(lines) == {"AnswersLost", "Failures"}


async def test_sessions_offered_after_a_stopped_task_are_counted(aws, monkeypatch):
    offering = Stopped(aws.dynamodb, aws.sqs, StoppedEnvironment("connections", aws.queue_url))
    monkeypatch.setattr(stopped, "dependencies", lambda: offering)
    await Registry(aws.dynamodb, "connections", "w1", "1", host="task").beat("http://10.0.0.7:1", room=3, sessions=0)
    with metrics_told(service=SERVICE, stage=STAGE) as lines:
        stopped.handler({"detail": {"lastStatus": "STOPPED", "taskArn": "task"}}, None)
    assert told(lines) == {"SessionsOffered"}
