"""Turns that spans belong to, log lines with their trace, and destinations of spans."""

from __future__ import annotations

import io
import json
from http.server import BaseHTTPRequestHandler
from types import SimpleNamespace

import pytest
import requests
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.trace import NoOpTracer, format_trace_id
from strands.bidi.types.events import (
    BidiBargeInEvent,
    BidiResponseStartEvent,
    BidiResponseStopEvent,
    BidiToolUseBlocksEvent,
    BidiTranscriptStartEvent,
    BidiTranscriptStopEvent,
)
from strands.types._events import ToolResultMessageEvent

from segue.wire.fields import trace_id
from segue.wire.frames import TextInput
from shared.log import logger
from tests.support.http_server import LoopbackServer, QuietHandler
from tests.support.spans import collected
from tests.support.waiting import eventually
from tests.unit.worker.stand_ins import delivery
from worker.aws.signing import CredentialsMissing, RequestsSigner
from worker.conversation.turn_boundary import TurnBoundary
from worker.telemetry.tracing import XRAY, configure, tracing

START, STOP, BARGE_IN = BidiResponseStartEvent("r"), BidiResponseStopEvent("r"), BidiBargeInEvent()
USER, HEARD = BidiTranscriptStartEvent("user", "u"), BidiTranscriptStopEvent("user", "u")
AGENT = BidiTranscriptStartEvent("assistant", "a")
CALL, RESULT = BidiToolUseBlocksEvent([]), ToolResultMessageEvent({})
A, B = (f"00-{number * 32}-{number * 16}-01" for number in "ab")


@pytest.fixture
def spans():
    with collected() as exporter:
        yield exporter


def typed(trace):
    return lambda turn: (turn.asked(), turn.traces.asked(trace), turn.traces.given())


def spoke(trace):
    return lambda turn: turn.traces.heard(trace)


def cells(event):
    return [cell.cell_contents for cell in event.__closure__]


def in_words(value):
    if not isinstance(value, list):
        return {A: "A", B: "B", None: "no trace"}[value]
    names = (
        f"{each.__qualname__.partition('.')[0]} {in_words(*cells(each))}" if callable(each) else type(each).__name__
        for each in value
    )
    return " ".join(name.removeprefix("Bidi").removesuffix("Event") for name in names) or "nothing"


@pytest.mark.parametrize(
    ("events", "of_answer"),
    [
        ([], None),
        ([typed(A)], A),
        ([typed(A), START, AGENT], A),
        ([typed(A), START, AGENT, STOP], A),
        ([typed(A), START, STOP, typed(B)], B),
        ([typed(A), START, STOP, typed(None)], None),
        ([typed(A), START, CALL, STOP, RESULT, START, AGENT], A),
        ([spoke(A), USER, HEARD, START, AGENT], A),
        ([spoke(A), spoke(None), USER, HEARD, START], A),
        ([spoke(A), USER, HEARD, START, STOP, USER, HEARD, START], None),
        # Typed while the agent speaks: what it goes on saying answers the first, until it responds to the second.
        ([typed(A), START, AGENT, typed(B)], A),
        ([typed(A), START, AGENT, typed(B), STOP], B),
        ([typed(A), START, AGENT, typed(B), STOP, START], B),
        ([typed(A), START, AGENT, typed(B), BARGE_IN, STOP, START, AGENT], B),
        # A provider that transcribes late tells of the words when the answer to them has begun.
        ([spoke(A), START, AGENT, USER, HEARD], A),
        ([spoke(A), START, AGENT, USER, HEARD, STOP, spoke(B), USER, HEARD, START], B),
        ([spoke(A), START, AGENT, USER, HEARD, spoke(B), USER, HEARD, START], B),
    ],
    ids=in_words,
)
async def test_an_answer_has_the_trace_of_the_input_it_answers(spans, events, of_answer):
    turn = TurnBoundary()
    for event in events:
        if callable(event):
            event(turn)
        else:
            turn.saw(event)
    assert trace_id(turn.traces.of_answer) == trace_id(of_answer)
    turn.traces.close()
    begun = {trace_id(trace) for event in events if callable(event) for trace in cells(event)} - {None}
    told = [format_trace_id(span.context.trace_id) for span in spans.get_finished_spans() if span.name == "turn"]
    assert len(told) == len(set(told)), "each turn once"
    assert set(told) <= begun


async def test_an_acknowledgement_belongs_to_what_was_asked_last():
    turn = TurnBoundary()
    for event in (typed(A), START, typed(B)):
        event(turn) if callable(event) else turn.saw(event)
    assert (turn.traces.of_input, turn.traces.of_answer) == (B, A)


async def test_log_lines_say_which_trace_they_belong_to(host, monkeypatch):
    written = io.StringIO()
    before = logger.registered_handler.setStream(written)
    try:
        hosting = await host()
        hosting.model.refusal = ValueError("no")
        for seq, trace in ((1, A), (2, None)):
            hosting.session.deliver(delivery(TextInput(text="hello", seq=seq, trace=trace)))
            await eventually(lambda times=seq: written.getvalue().count("does not take an input") == times)
    finally:
        logger.registered_handler.setStream(before)
    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    first, second = (line for line in lines if line["message"] == "the model does not take an input")
    assert first["trace_id"] == trace_id(A)
    assert "trace_id" not in second


@pytest.fixture
def collector():
    """An OTLP collector: keeps what it is posted."""
    posted = []

    class Handler(QuietHandler, BaseHTTPRequestHandler):
        def do_POST(self):
            posted.append(
                (self.path, ExportTraceServiceRequest.FromString(self.rfile.read(int(self.headers["content-length"]))))
            )
            self.answer(200)

    server = LoopbackServer(Handler)
    yield SimpleNamespace(endpoint=server.url, posted=posted)
    server.stop()
    tracing.to(None)


async def test_spans_go_to_the_endpoint_that_is_named(collector, monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint)
    monkeypatch.setenv("OTEL_SERVICE_NAME", "segue-worker")
    provider = configure()
    turn = TurnBoundary()
    for event in (typed(A), START, AGENT, STOP):
        event(turn) if callable(event) else turn.saw(event)
    provider.shutdown()
    ((path, request),) = collector.posted
    assert path == "/v1/traces"
    (resource,) = request.resource_spans
    assert "segue-worker" in {each.value.string_value for each in resource.resource.attributes}
    told = [span for scope in resource.scope_spans for span in scope.spans]
    assert {span.name for span in told} == {"turn", "input", "model", "output"}
    assert {span.trace_id.hex() for span in told} == {trace_id(A)}


def test_without_an_endpoint_nothing_is_imported_or_sent():
    assert configure({}) is None
    assert isinstance(tracing.tracer, NoOpTracer)


@pytest.mark.parametrize(
    ("endpoint", "region"),
    [
        ("https://xray.eu-north-1.amazonaws.com/v1/traces", "eu-north-1"),
        ("https://xray.cn-north-1.amazonaws.com.cn/v1/traces", "cn-north-1"),
        ("https://xray.eu-north-1.amazonaws.com.example.com/v1/traces", None),
        ("http://xray.eu-north-1.amazonaws.com/v1/traces", None),
        ("http://127.0.0.1:4318", None),
    ],
)
def test_only_cloudwatchs_endpoint_gets_signatures(endpoint, region):
    found = XRAY.match(endpoint)
    assert (found and found["region"]) == region


def test_a_signed_request_has_botocores_own_signature(monkeypatch):
    credentials = Credentials("key", "secret", "session")
    url, headers = "https://xray.eu-north-1.amazonaws.com/v1/traces", {"content-type": "application/x-protobuf"}
    plain = requests.Request("POST", url, data=b"spans", headers=headers)
    signed = RequestsSigner(credentials, "xray", "eu-north-1")(plain.prepare())
    expected = AWSRequest("POST", url, data=b"spans", headers=headers | {"X-Amz-Date": signed.headers["X-Amz-Date"]})
    auth = SigV4Auth(credentials.get_frozen_credentials(), "xray", "eu-north-1")
    expected.context["timestamp"] = signed.headers["X-Amz-Date"]
    expected.headers["X-Amz-Security-Token"] = "session"
    signature = auth.signature(auth.string_to_sign(expected, auth.canonical_request(expected)), expected)
    assert signed.headers["Authorization"].endswith(f"Signature={signature}")
    assert "/eu-north-1/xray/aws4_request" in signed.headers["Authorization"]
    assert signed.headers["X-Amz-Security-Token"] == "session"


def test_a_signer_without_credentials_raises_credentials_missing():
    with pytest.raises(CredentialsMissing):
        RequestsSigner(None, "xray", "eu-north-1")
