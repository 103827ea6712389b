"""One trace from a client's frame to the model and back (OpenTelemetry; W3C Trace Context).

    input with ``trace`` ─▶ turn ─┬─ input    from its arrival to the model's having it
                                ├─ model    from there to the first sound or word of the answer
                                └─ output   from there to the end of the answer
    frames of the answer ◀─ ``trace``: the same trace id, and the turn's span

Nothing is recorded unless an OTLP endpoint is named (``configure``); without one the frames of an answer carry the
``trace`` of their input as it came. The provider of spans is not OpenTelemetry's global one: Strands writes what is
said into its spans, and what is said belongs into the journal only.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import boto3
from opentelemetry import context
from opentelemetry.context import Context
from opentelemetry.trace import NoOpTracer, Span, SpanKind, Tracer, TracerProvider, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from worker.aws.signing import RequestsSigner

if TYPE_CHECKING:
    from requests import Session

ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
"""Either turns tracing on. The rest is told by OpenTelemetry's own variables, too."""

XRAY: Final = re.compile(r"https://xray\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(?:\.cn)?/")
"""CloudWatch's own endpoint, which takes signed requests only
(https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch-OTLPEndpoint.html)."""

STAGES: Final = ("input", "model", "output")
"""Of a turn, in their order."""

_PROPAGATOR: Final = TraceContextTextMapPropagator()
_NAME: Final = "segue.worker"


class Tracing:
    """The destination of spans.

    Attributes:
        tracer: Begins them.
    """

    def __init__(self) -> None:
        """Begin with nowhere."""
        self.tracer: Tracer = NoOpTracer()

    def to(self, provider: TracerProvider | None) -> None:
        """Let spans begin at a provider; None: at none."""
        self.tracer = provider.get_tracer(_NAME) if provider else NoOpTracer()


tracing: Final = Tracing()
"""The process's."""


def configure(variables: Mapping[str, str] = os.environ) -> TracerProvider | None:
    """Export spans if an OTLP endpoint (HTTP) is named, from a thread of their own; what is left goes out at the exit.

    Args:
        variables: The process's environment. What the exporter itself asks for, it reads there.

    Returns:
        What exports; None if nothing does.

    Raises:
        CredentialsMissing: The endpoint wants signatures, and there is nothing to sign with.
    """
    endpoint = next((variables[name] for name in ENDPOINTS if variables.get(name)), None)
    if endpoint is None:
        return None
    # Some 30 MB and half a second that only those pay who trace.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider as Provider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = Provider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(session=_session(endpoint))))
    tracing.to(provider)
    return provider


def _session(endpoint: str) -> Session:
    import requests  # with the exporter only, as above

    session = requests.Session()
    if (xray := XRAY.match(endpoint)) is not None:
        session.auth = RequestsSigner(boto3.Session().get_credentials(), "xray", xray["region"])
    return session


class _Turn:
    """One turn under way.

    Attributes:
        said: What its frames carry.
        presumed: Whether the answer began before anything was known of what it answers.
    """

    def __init__(self, trace: str | None, arrived_ns: int | None, attributes: Mapping[str, str | int]) -> None:
        """Begin, as a part of the trace if there is one."""
        parent = _PROPAGATOR.extract({"traceparent": trace} if trace else {}, Context())
        self.presumed = False
        self._span = tracing.tracer.start_span(
            "turn", parent, SpanKind.SERVER, attributes=attributes, start_time=arrived_ns
        )
        self._context = set_span_in_context(self._span, Context())
        self._stage_index = 0
        self._stage = self._start_stage(arrived_ns)
        carrier: dict[str, str] = {}
        if trace or self._span.is_recording():  # a trace that is neither a client's nor exported only lengthens frames
            _PROPAGATOR.inject(carrier, self._context)
        self.said = carrier.get("traceparent")

    def reach(self, stage: str) -> None:
        """Go on to a stage; nothing if it was reached before."""
        while self._stage_index < STAGES.index(stage):
            self._stage.end()
            self._stage_index += 1
            self._stage = self._start_stage()

    def end(self) -> None:
        """End it with the stage that it is in."""
        self._stage.end()
        self._span.end()

    def make_current(self) -> None:
        """Let log lines of the running task, and what libraries trace in it, belong to this turn."""
        context.attach(self._context)

    def _start_stage(self, at_ns: int | None = None) -> Span:
        return tracing.tracer.start_span(STAGES[self._stage_index], self._context, start_time=at_ns)


class TurnTraces:
    """Traces of one conversation's turns: one may be asked for while another is still being answered."""

    def __init__(self, session_key: str = "", epoch: int = 0) -> None:
        """Begin with no turn.

        Args:
            session_key: Of the conversation; an attribute of its spans, as it is in log lines.
            epoch: Under which it is held; the same.
        """
        self._attributes: dict[str, str | int] = {"session": session_key, "epoch": epoch}
        self._audio_trace: str | None = None
        self._asked_turn: _Turn | None = None
        self._answered_turn: _Turn | None = None
        self._last_trace: str | None = None

    @property
    def of_input(self) -> str | None:
        """The trace of a frame that answers the input itself: an acknowledgement, a refusal."""
        turn = self._asked_turn or self._answered_turn
        return turn.said if turn else self._last_trace

    @property
    def of_answer(self) -> str | None:
        """The trace of a frame of the answer."""
        turn = self._answered_turn or self._asked_turn
        return turn.said if turn else self._last_trace

    def heard(self, trace: str | None) -> None:
        """Note audio given to the model. Its turn is known once the model tells of words."""
        self._audio_trace = trace or self._audio_trace

    def asked(self, trace: str | None, arrived_ns: int | None = None) -> None:
        """Begin a turn: input is about to be given to the model, which is to answer it.

        Args:
            trace: As its frame says.
            arrived_ns: When that came, in nanoseconds since 1970.
        """
        if self._asked_turn is not None:
            self._asked_turn.end()
        self._asked_turn = _Turn(trace, arrived_ns, self._attributes)
        self._asked_turn.make_current()

    def given(self) -> None:
        """Note that the model has the input."""
        if self._asked_turn is not None:
            self._asked_turn.reach("model")

    def words(self) -> None:
        """Note that the model hears words of the user."""
        if self._answered_turn is not None and self._answered_turn.presumed:
            self._answered_turn.presumed = False  # they are what is being answered
        elif self._asked_turn is None:
            self.asked(self._take_audio_trace())

    def answering(self) -> None:
        """Note that the model begins to respond: to the last input, or on from a tool's result."""
        if self._asked_turn is not None:
            self.ended()
            self._answered_turn, self._asked_turn = self._asked_turn, None
        elif self._answered_turn is None:
            self._answered_turn = _Turn(self._take_audio_trace(), None, self._attributes)
            self._answered_turn.presumed = True
        self._answered_turn.reach("model")
        self._answered_turn.make_current()

    def sounded(self) -> None:
        """Note that the model says something."""
        turn = self._answered_turn or self._asked_turn
        if turn is not None:
            turn.reach("output")

    def ended(self) -> None:
        """End the answer. Until the next input, what is still said belongs to it."""
        if self._answered_turn is not None:
            self._last_trace = self._answered_turn.said
            self._answered_turn.end()
            self._answered_turn = None

    def close(self) -> None:
        """End what is under way: the conversation is over."""
        self.ended()
        if self._asked_turn is not None:
            self._asked_turn.end()
            self._asked_turn = None

    def _take_audio_trace(self) -> str | None:
        heard, self._audio_trace = self._audio_trace, None
        return heard
