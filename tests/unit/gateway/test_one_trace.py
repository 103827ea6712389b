"""One trace id from a client's frame, through message function, worker and model, into what is heard back."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace

import msgspec
import pytest
from opentelemetry.trace import format_span_id, format_trace_id, get_current_span
from strands.bidi import BidiAgent

from gateway import message
from gateway.tracing import VARIABLE, traceparent
from segue.testing.offline import OfflineVoiceModel, speak
from segue.wire.claims import Claim
from segue.wire.fields import trace_id
from segue.wire.frames import (
    AudioInput,
    AudioOutput,
    Error,
    Hello,
    InputAck,
    TextInput,
    Transcript,
    encode_frame,
)
from tests.support.memory_manager import MemorySessionManager, MemoryStorage
from tests.support.spans import collected
from tests.support.waiting import eventually
from tests.unit.worker.stand_ins import FakeConnections
from worker.hosting.claims import ClaimTaker
from worker.hosting.host import Host
from worker.server import Listener, Status
from worker.telemetry.tracing import STAGES

TRACE, OTHER = (f"00-{number * 32}-{number * 16}-01" for number in "ab")
UNSAMPLED = f"00-{'c' * 32}-{'c' * 16}-00"
LAMBDAS = f"Root=1-{'d' * 8}-{'e' * 24};Parent={'f' * 16};Sampled=1;Lineage=1:2:3"
KEY = "alice/s"


@pytest.fixture
def spans():
    with collected() as exporter:
        yield exporter


class ListeningModel(OfflineVoiceModel):
    """Knows within which trace it was sent what."""

    def __init__(self):
        super().__init__(pace=0)
        self.within = []

    async def send(self, content):
        self.within.append(format_trace_id(get_current_span().get_span_context().trace_id))
        await super().send(content)


@pytest.fixture
async def call(gateway):
    """A client that has said hello to a session of a real worker, over the message function's own handler."""
    answers = message.answers
    made, message.dependencies = message.dependencies, lambda: gateway.router
    told, message.answers = [], lambda: SimpleNamespace(post_frame=lambda _connection, frame: told.append(frame))
    clients, models = FakeConnections(), []

    def new_agent(manager):
        models.append(ListeningModel())
        return BidiAgent(model=models[-1], session_manager=manager)

    def new_manager(claim):
        return MemorySessionManager(
            claim.session_id, principal=claim.principal, storage=MemoryStorage(), durability="gate", acquire_timeout=0.0
        )

    host = Host(new_manager, new_agent, clients, capacity=1, linger_seconds=60.0)
    listener = Listener(host, Status(worker_id="w", version="1", ready=True), ClaimTaker(None, host), "claims")
    port = await listener.start("127.0.0.1", 0)
    await host.open_session(Claim(session_key=KEY, session_id="s", principal="alice", reason="no-holder", clients=()))
    session = host.find(KEY)
    gateway.open("c-1", "alice")
    gateway.hold(KEY, SimpleNamespace(endpoint=f"http://127.0.0.1:{port}", token=session.route_token))

    async def say(frame):
        """Send a frame; return what the function answers by itself."""
        event = {"requestContext": {"connectionId": "c-1"}, "body": encode_frame(frame)}
        gateway.clock.now += 1
        told.clear()
        await asyncio.to_thread(message.handler, event, None)
        return list(told)

    def heard(kind, **fields):
        return [
            frame
            for frame in clients.of("c-1", kind)
            if all(getattr(frame, name) == value for name, value in fields.items())
        ]

    await say(Hello(session="s", client_id="c", connection=1))
    await eventually(lambda: clients.posted["c-1"])
    yield SimpleNamespace(say=say, heard=heard, posted=clients.posted["c-1"], model=models[0], session=session)
    await session.stop()
    await listener.close()
    message.dependencies = made
    message.answers = answers


def turns(spans):
    """Each turn's span with its stages by name, in the order of their ends."""
    finished = spans.get_finished_spans()
    return [
        (turn, {span.name: span for span in finished if span.parent and span.parent.span_id == turn.context.span_id})
        for turn in finished
        if turn.name == "turn"
    ]


async def utter(say, words, trace=None):
    """Speak, in frames of 100 ms."""
    pcm = speak(words)
    pieces = [pcm[start : start + 3200] for start in range(0, len(pcm), 3200)]
    pieces += [bytes(3200)] * 12  # the silence by which the end of an utterance is known
    for number, piece in enumerate(pieces):
        await say(msgspec.structs.replace(AudioInput.from_pcm(piece, number + 1), trace=trace))


async def test_a_text_its_answer_and_the_model_have_the_clients_trace(call, spans):
    await call.say(TextInput(text="My name is Alice.", seq=1, trace=TRACE))
    await eventually(lambda: call.heard(Transcript, role="assistant", final=True) and turns(spans))
    ((turn, stages),) = turns(spans)
    assert trace_id(TRACE) == format_trace_id(turn.context.trace_id) == call.model.within[0]
    assert format_span_id(turn.parent.span_id) == TRACE.split("-")[2], "a part of what the client began"
    assert turn.attributes == {"session": KEY, "epoch": call.session.epoch}
    assert set(stages) == set(STAGES)
    assert {span.context.trace_id for span in stages.values()} == {turn.context.trace_id}
    assert turn.start_time == stages["input"].start_time
    assert stages["input"].end_time <= stages["model"].start_time <= stages["model"].end_time
    assert stages["model"].end_time <= stages["output"].start_time <= stages["output"].end_time <= turn.end_time
    said = [*call.heard(AudioOutput), *call.heard(Transcript, role="assistant"), *call.heard(InputAck)]
    assert len(said) > 3
    expected = f"00-{trace_id(TRACE)}-{format_span_id(turn.context.span_id)}-01"
    assert {frame.trace for frame in said} == {expected}


async def test_a_spoken_answer_has_the_trace_of_its_audio(call, spans):
    await utter(call.say, "hello there", TRACE)
    await eventually(lambda: call.heard(Transcript, role="assistant", final=True) and turns(spans))
    ((turn, stages),) = turns(spans)
    assert format_trace_id(turn.context.trace_id) == trace_id(TRACE)
    assert set(stages) == set(STAGES)
    spoken = [*call.heard(AudioOutput), *call.heard(Transcript, final=True)]
    assert {frame.role for frame in call.heard(Transcript, final=True)} == {"user", "assistant"}
    assert {trace_id(frame.trace) for frame in spoken} == {trace_id(TRACE)}


async def test_each_turn_has_the_trace_of_its_own_input(call, spans):
    for seq, trace in ((1, TRACE), (2, OTHER)):
        await call.say(TextInput(text="What is my name?", seq=seq, trace=trace))
        await eventually(
            lambda done=seq: len(turns(spans)) == len(call.heard(Transcript, role="assistant", final=True)) == done
        )
    assert [format_trace_id(turn.context.trace_id) for turn, _ in turns(spans)] == [trace_id(TRACE), trace_id(OTHER)]
    assert [trace_id(each.trace) for each in call.heard(Transcript, role="assistant", final=True)] == [
        trace_id(TRACE),
        trace_id(OTHER),
    ]


@pytest.mark.slow
@pytest.mark.parametrize(("trace", "said"), [(None, {None}), (UNSAMPLED, {trace_id(UNSAMPLED)})])
async def test_an_unsampled_trace_is_carried_and_not_exported(call, spans, trace, said):
    await call.say(TextInput(text="My name is Alice.", seq=1, trace=trace))
    await eventually(lambda: call.heard(Transcript, role="assistant", final=True))
    assert {trace_id(frame.trace) for frame in call.posted} - {None} == said - {None}
    await call.session.stop()
    assert spans.get_finished_spans() == ()


async def test_frames_carry_the_incoming_trace_without_an_exporter(call):
    await call.say(TextInput(text="My name is Alice.", seq=1, trace=TRACE))
    await eventually(lambda: call.heard(Transcript, role="assistant", final=True))
    assert {frame.trace for frame in call.heard(AudioOutput)} == {TRACE}


async def test_a_turn_that_is_cut_off_is_exported_too(call, spans):
    call.model.free = asyncio.Event()
    await call.say(TextInput(text="My name is Alice.", seq=1, trace=TRACE))
    await eventually(lambda: call.model.within)
    await call.session.stop()
    ((turn, _),) = turns(spans)
    assert format_trace_id(turn.context.trace_id) == trace_id(TRACE)


async def test_lambdas_own_trace_is_gone_on_with(call, spans, monkeypatch):
    monkeypatch.setenv(VARIABLE, LAMBDAS)
    await call.say(TextInput(text="My name is Alice.", seq=1))
    await eventually(lambda: turns(spans))
    ((turn, _),) = turns(spans)
    assert format_trace_id(turn.context.trace_id) == "d" * 8 + "e" * 24
    await call.say(TextInput(text="And my own?", seq=2, trace=TRACE))
    await eventually(lambda: len(turns(spans)) == 2)
    assert format_trace_id(turns(spans)[1][0].context.trace_id) == trace_id(TRACE)


@pytest.mark.slow
async def test_speech_without_a_trace_is_sampled_by_the_workers_own_ratio(call, spans, monkeypatch):
    """Nothing is sampled here but what a frame says is; Lambda samples every invocation."""
    monkeypatch.setenv(VARIABLE, LAMBDAS)
    await utter(call.say, "hello there")
    await eventually(lambda: call.heard(Transcript, role="assistant", final=True))
    assert {frame.trace for frame in call.posted} == {None}
    await call.session.stop()
    assert spans.get_finished_spans() == ()


@pytest.mark.parametrize(
    "header",
    ["", f"Root=1-{'d' * 8}-{'e' * 24};Parent={'f' * 16};Sampled=0", f"Root=1-{'d' * 8};Parent={'f' * 16};Sampled=1"],
)
def test_a_lambda_header_without_a_sampled_trace_gives_no_traceparent(header):
    assert traceparent(header) is None


async def test_an_error_that_the_gateway_tells_has_the_trace(call):
    (told,) = await call.say(Hello(session="another", client_id="c", connection=1, trace=TRACE))
    assert (type(told), told.code, told.trace) == (Error, "already_bound", TRACE)


def lines(written):
    return [json.loads(line) for line in written.getvalue().splitlines()]


async def test_log_lines_of_the_next_message_do_not_have_the_trace(call, log):
    await call.say(Hello(session="s", client_id="c", connection=2, trace=TRACE))
    assert lines(log)[-1]["trace_id"] == trace_id(TRACE)
    message.handler({"requestContext": {"connectionId": "c-1"}, "body": "no frame"}, None)
    assert lines(log)[-1]["message"] == "message refused"
    assert "trace_id" not in lines(log)[-1]
