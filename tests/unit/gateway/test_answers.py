"""Answers of the message function itself: posted to the connection, once, soon or not at all."""

from __future__ import annotations

import json
import re
import time

import pytest

from gateway.answers import TOTAL_SECONDS, Answers, RoleSigner
from segue.wire.frames import Pong, TextInput, encode_frame, error_frame
from shared.ingress.repeated_errors import REPEAT_SECONDS
from tests.unit.gateway.test_handlers import ALICE, environment, event  # noqa: F401 - a fixture

CONNECTION = "L0SM9cOFvHcCIhw="


@pytest.fixture
def answers(management, clock):
    return Answers(management.endpoint, lambda _url, _body: {"x-signed": "yes"}, clock)


def test_an_answer_is_posted_to_its_connection_signed(answers, management):
    answers.post_frame(CONNECTION, Pong())
    assert management.told(CONNECTION) == [Pong()]
    ((path, headers),) = management.requests
    assert path == "/dev/@connections/L0SM9cOFvHcCIhw%3D"
    assert headers["x-signed"] == "yes"


@pytest.mark.parametrize("status", [403, 410, 429, 500])
def test_a_failure_is_logged_and_nothing_is_sent_twice(answers, management, status, log):
    management.statuses = [status]
    answers.post_frame(CONNECTION, Pong())
    assert len(management.requests) == 1
    assert ("answer lost" in log.getvalue()) == (status != 410), "a client that has gone is told nothing"


def test_an_endpoint_that_takes_no_connection_loses_only_the_answer(management, clock, log):
    management.stop()
    Answers(management.endpoint, lambda _url, _body: {}, clock).post_frame(CONNECTION, Pong())
    assert "answer lost" in log.getvalue()


@pytest.mark.slow
def test_an_endpoint_that_does_not_answer_is_waited_for_a_second(answers, management, log):
    management.statuses = [None]
    begun = time.monotonic()
    answers.post_frame(CONNECTION, Pong())
    assert time.monotonic() - begun < 10 * TOTAL_SECONDS, "on a busy machine; without a limit it would be 30 s"
    assert "ReadTimeoutError" in log.getvalue()
    assert len(management.requests) == 1


def test_forbidden_is_a_configuration_error_that_says_what_to_do(answers, management, log):
    management.statuses = [403]
    answers.post_frame(CONNECTION, Pong())
    (line, _) = (json.loads(line) for line in log.getvalue().splitlines() if '"Segue"' not in line)
    assert line["level"] == "ERROR"
    assert "interface endpoint" in line["message"]
    assert "private APIs only" in line["message"]
    assert "docs/deploy.md" in line["message"]


@pytest.mark.parametrize("code", ["too_fast", "expired"])
def test_a_repeated_error_is_posted_once_a_second_to_each_connection(answers, management, clock, code):
    frame = error_frame(code)
    for _ in range(3):
        answers.post_frame("c1", frame)
        answers.post_frame("c2", frame)
    assert (management.told("c1"), management.told("c2")) == ([frame], [frame])
    clock.now += REPEAT_SECONDS
    answers.post_frame("c1", frame)
    assert management.told("c1") == [frame]


def test_other_errors_are_told_each_time(answers, management):
    for _ in range(3):
        answers.post_frame("c1", error_frame("bad_json"))
    assert len(management.told("c1")) == 3


def test_the_functions_own_credentials_sign(management, aws, clock, monkeypatch):
    monkeypatch.setenv("AWS_SESSION_TOKEN", "session")
    Answers(management.endpoint, RoleSigner(), clock).post_frame(CONNECTION, Pong())
    ((_, headers),) = management.requests
    # moto's credentials are in the environment
    signed = {name.lower(): value for name, value in headers.items()}
    assert re.search(r"Credential=FOOBARKEY/\d{8}/us-east-1/execute-api/aws4_request", signed["authorization"])
    assert signed["x-amz-security-token"] == "session"


def test_a_frame_that_cannot_be_answered_has_had_its_effect(gateway, worker, environment, management, log, monkeypatch):  # noqa: F811
    from gateway import message

    monkeypatch.setenv("SEGUE_MANAGEMENT_ENDPOINT", "no address")
    assert message.handler(event(body=encode_frame(TextInput(text="hi"))), None) == {"statusCode": 200}
    assert "answer lost" in log.getvalue()
