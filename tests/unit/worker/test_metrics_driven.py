"""Each metric of the worker, told by what makes it so, and read back from what is written."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from strands.bidi.models import ConnectionTimeoutError
from strands.bidi.types.events import BidiConnectionStartEvent

import worker
from segue.wire.frames import AudioOutput, Hello, InputAck, Ready
from shared.log import logger
from tests.support.emf import metrics_told
from tests.support.memory_manager import Latch
from tests.support.scripted_model import answered
from tests.support.waiting import eventually, promptly, within
from tests.unit.worker.handoffs import Worker, conversation, drain
from tests.unit.worker.socket_server import closed
from tests.unit.worker.stand_ins import (
    AddingModel,
    FakeQueue,
    HandledModel,
    address,
    claim,
    delivery,
    speech,
    taken_over,
    text,
)
from tests.unit.worker.test_direct_workers import issuer, workers  # noqa: F401 - fixtures
from worker.conversation import outbox as outbox_module
from worker.hosting import drain as drain_module
from worker.hosting.claims import ClaimTaker
from worker.hosting.drain import Drain
from worker.providers import continuous_model
from worker.providers.connection import reconnect_limits
from worker.providers.continuous_model import ContinuousModel
from worker.providers.errors import ERRORS, Kind, ProviderRefusal, classify
from worker.providers.settings import Settings
from worker.telemetry.loop_watch import BlockedLoopWatch
from worker.telemetry.metrics import Count, Level, Model, Reporter, Size, Time, metrics

OF_EACH_KIND = {
    Kind.THROTTLED: ProviderRefusal("rate_limit_exceeded", "response"),
    Kind.UNAVAILABLE: ConnectionRefusedError(),
    Kind.DISCONNECTED: ConnectionResetError(),
    Kind.ACCESS: type("AccessDeniedException", (Exception,), {})(),
    Kind.REGION: ProviderRefusal("model_not_found", "session"),
    Kind.CREDENTIALS: ProviderRefusal("invalid_api_key", "session"),
    Kind.CONTENT: ProviderRefusal("content_filter", "response"),
    Kind.REQUEST: ProviderRefusal("invalid_value", "session"),
    Kind.UNKNOWN: KeyError(),
}
"""Raised by a model, as its provider's client would."""

BY = frozenset({("service", "segue-worker"), ("stage", "test")})

DRIVEN: dict[Callable[..., Awaitable[None]], set[str]] = {}


def tells(*names: str) -> Callable[[Any], Any]:
    """Note what a scenario makes the worker tell."""

    def noted(scenario: Any) -> Any:
        DRIVEN[scenario] = set(names)
        return scenario

    return noted


@pytest.fixture(autouse=True)
def told():
    """Metrics emitted since the test began, as CloudWatch would read them."""
    metrics.take_figures()

    def read() -> set[str]:
        with metrics_told(service="segue-worker", stage="test") as lines:
            Reporter(metrics, service="segue-worker", stage="test").write_line()
        assert {(namespace, by) for namespace, _, by in lines.found} <= {("Segue", BY)}
        return {name for _, name, _ in lines.found}

    yield read
    metrics.take_figures()


@pytest.fixture
def surroundings(world, host, clients, storage, monkeypatch):
    return {"world": world, "host": host, "clients": clients, "storage": storage, "monkeypatch": monkeypatch}


@tells(
    *(Level.ACTIVE_SESSIONS, Count.RESTORES, Time.RESTORE, Size.RESTORE, Count.FRAMES_IN, Count.FRAMES_OUT),
    *(Count.COMMITS, Time.COMMIT_LATENCY, Size.RECORDS, Time.GATE_WAIT, Time.FIRST_AUDIO, Count.RESENDS),
)
async def a_text_that_is_sent_twice_and_answered_aloud(world, **_):
    await world.host.open_session(claim())
    session = world.host.find("default/talk")
    world.storage.before = latch = Latch("commit")
    session.deliver(delivery(text("hello", 1)))
    await eventually(lambda: session._output.gate._waiting)  # else the commit may be over before there is an ack
    latch.go.set()
    await eventually(lambda: world.clients.of("k1", InputAck))
    session.deliver(delivery(text("hello", 1)))
    world.models[0].emit([speech()])
    await eventually(lambda: world.clients.of("k1", AudioOutput))


@tells(Count.HANDOFFS, Count.HANDOFFS_PREPARED, Time.HANDOFF_GAP)
async def a_handoff(world, **_):
    leaving, successor = await Worker(world, "old", "1").begin(), await Worker(world, "new", "2").begin()
    await conversation(world, leaving, "one")
    await drain(leaving, successor)
    await eventually(lambda: len(world.clients.of("k1", Ready)) == 2)
    for each in (leaving, successor):
        await each.end()


@tells(Count.TAKEOVERS)
async def a_claim_without_an_answer(world, **_):
    await world.host.open_session(claim(reason="unreachable"))


@tells(Count.FENCED)
async def a_commit_after_a_takeover(host, storage, **_):
    hosting = await host()
    other = await taken_over(storage)
    hosting.session.deliver(delivery(text("hello", 1)))
    await eventually(hosting.session.ended.is_set)
    await other.close()


@tells(Count.LEASE_LOSSES)
async def a_lease_that_was_not_renewed(host, monkeypatch, **_):
    hosting = await host()
    monkeypatch.setattr(hosting.manager, "lease_is_fresh", lambda: False)
    hosting.model.emit([speech()])
    await eventually(hosting.session.ended.is_set)


@tells(Count.DROPPED_AUDIO)
async def a_client_that_reads_too_slowly(host, clients, monkeypatch, **_):
    monkeypatch.setattr(outbox_module, "FLEETING_BYTES", 1)
    hosting = await host()
    free = clients.hold("k1")
    hosting.model.emit(speech() for _ in range(4))
    await eventually(hosting.model._events.empty)
    await asyncio.sleep(0)
    free.set()


@tells(Count.MODEL_RESTARTS)
async def a_model_whose_connection_ends(host, **_):
    hosting = await host()
    hosting.model.emit([ConnectionTimeoutError("eight minutes")])
    await eventually(lambda: len(hosting.model.started_with) == 2)
    await eventually(lambda: metrics._counts[Count.MODEL_RESTARTS])


@tells(Count.UNANSWERED)
async def a_text_whose_holder_left_before_the_answer(host, clients, **_):
    first = await host()
    first.session.deliver(delivery(text("hello", 1)))
    await eventually(lambda: clients.of("k1", InputAck))
    await first.session.stop()
    second = await host(who=(address(connection_id="k2"),))
    await eventually(lambda: second.model.texts == ["hello"])


@tells(Count.DRAIN_OVERRUNS)
async def a_drain_that_takes_too_long(world, monkeypatch, **_):
    for name in ("DRAIN_SECONDS", "HURRIED_SECONDS"):
        monkeypatch.setattr(drain_module, name, 0.05)
    await world.host.open_session(claim())
    world.storage.before = latch = Latch("release")
    claims = ClaimTaker(FakeQueue(), world.host)
    claims.start()
    await Drain(world.host, claims, FakeQueue(), asyncio.Event()).run()
    latch.go.set()


@tells(Count.ERRORS, "Errors.bad_frame")
async def an_input_that_the_model_does_not_take(host, **_):
    hosting = await host()
    hosting.model.refusal = ValueError("no")
    hosting.session.deliver(delivery(text("hello", 1)))
    await eventually(lambda: metrics._counts[Count.ERRORS])


CHOSEN = {
    "nova-sonic": {},
    "gemini-live": {"GEMINI_API_KEY": "k"},
    "offline": {},
}


def model_of(provider: str, inner: HandledModel, now: Callable[[], float] = time.monotonic) -> ContinuousModel:
    return ContinuousModel(inner, Settings.from_environment({"SEGUE_PROVIDER": provider, **CHOSEN[provider]}), now)


async def connected(model: ContinuousModel, messages: Any = (), *then: Any) -> Exception | None:
    """Connect with a history, and return what the connection ended with; None once it is connected."""
    inner: Any = model.inner
    await model.start(None, None, list(messages))
    inner.emit([BidiConnectionStartEvent("c", "m"), *then])
    try:
        async for _ in model.receive():
            if not then:
                break
    except Exception as error:  # noqa: BLE001 - returned
        return error
    return None


def message(role: str, words: str) -> Any:
    return {"role": role, "content": [{"text": words}], "tracking_id": "m1"}


def handle(model: ContinuousModel, given_at: float) -> dict[str, Any]:
    record = {"value": "h", "at": int(given_at * 1000), "model_id": model.model_id, "after": "m1"}
    return {"handle": record}


@tells(Model.BY_NOTHING, Model.FAILED)
async def a_model_that_connects_and_breaks(**_):
    error = await connected(model_of("offline", HandledModel()), (), RuntimeError("broken"))
    assert isinstance(error, RuntimeError)


@tells(Model.BY_HANDLE)
async def a_model_that_resumes_by_handle(**_):
    model = model_of("gemini-live", HandledModel())
    model.load_connection(handle(model, time.time()))
    await connected(model, [message("user", "hello")])


@tells(Model.BY_ADDITIONS)
async def a_model_that_was_opened_in_advance(**_):
    model = model_of("offline", AddingModel())
    await model.open_ahead(None, None, [message("user", "hello")])
    await connected(model, [message("user", "hello"), message("assistant", "hello")])


@tells(Model.HANDLE_UNUSABLE, Model.BY_HISTORY)
async def a_handle_that_is_too_old(**_):
    model = model_of("gemini-live", HandledModel())
    model.load_connection(handle(model, time.time() - 3 * 3600))
    await connected(model, [message("user", "hello")])


@tells(Model.HISTORY_CUT)
async def a_history_that_is_too_long_for_its_provider(**_):
    words = "é" * 20_000
    messages = [message("user", words), message("assistant", words), message("user", words)]
    await connected(model_of("nova-sonic", HandledModel()), messages)


@tells(Model.OFFER_REFUSED)
async def a_provider_that_refuses_how_to_go_on(**_):
    inner = HandledModel()
    inner.start_failure = ProviderRefusal("invalid_value", "session")
    with pytest.raises(ProviderRefusal):
        await connected(model_of("offline", inner), [message("user", "hello")])


@tells(Model.RENEWED)
async def a_connection_that_is_nearly_over(monkeypatch, **_):
    monkeypatch.setattr(continuous_model, "QUIET_SECONDS", 0.03)
    inner, clock = HandledModel(), [0.0]
    config = {"model_id": "m", "connection": {"restart_after_s": 100}}
    monkeypatch.setattr(inner, "get_config", lambda: config)
    model = model_of("offline", inner, lambda: clock[0])
    await model.start(None, None, [])
    clock[0] += 90.0
    with pytest.raises(ConnectionTimeoutError, match="renewed between turns"):
        async with within(5.0):
            async for _ in model.receive():
                pass


@tells(*(ERRORS[kind].metric for kind in Kind))
async def an_error_of_each_kind(monkeypatch, **_):
    monkeypatch.setattr(reconnect_limits, "PAUSE_SECONDS", 0.0)
    for kind, error in OF_EACH_KIND.items():
        assert classify(error) is ERRORS[kind]
        await connected(model_of("offline", HandledModel()), (), error)


@tells(Count.LOOP_BLOCKED)
async def code_that_blocks_the_loop(**_):
    watch = BlockedLoopWatch(logger, blocked_seconds=0.15, look_seconds=0.02)
    watch.start()
    try:
        await asyncio.sleep(0.05)
        ended = time.monotonic() + 60
        while not watch._told and time.monotonic() < ended:
            time.sleep(0.01)  # noqa: ASYNC251 - it blocks the loop
        await eventually(lambda: not watch._told)
    finally:
        watch.stop()


@pytest.mark.parametrize("scenario", DRIVEN, ids=lambda scenario: scenario.__name__)
async def test_each_scenario_emits_its_metrics(scenario, told, surroundings):
    await scenario(**surroundings)
    assert told() >= DRIVEN[scenario]


AT_THE_DOOR = {Count.SOCKETS_OPENED, Count.SOCKETS_TURNED_AWAY, Count.HANDSHAKES_EXPIRED, Level.SOCKETS}
BETWEEN_WORKERS = {Count.FRAMES_FORWARDED, Count.OUTPUT_FORWARDED, Count.SESSIONS_FOLLOWED}


async def test_metrics_of_a_workers_own_sockets_are_counted(open_door, told, monkeypatch):
    door = await open_door(SEGUE_DIRECT_SOCKETS="1")
    first = await door.connect()
    assert await closed(await door.connect()) == 1013
    monkeypatch.setattr("worker.direct.socket_server.HANDSHAKE_SECONDS", 0.05)
    reader, writer = await asyncio.open_connection("127.0.0.1", int(door.url.rstrip("/").rpartition(":")[2]))
    writer.write(b"GET / HTTP/1.1")
    with contextlib.suppress(ConnectionResetError):
        assert await promptly(reader.read(), 10) == b""
    writer.close()
    await first.close()
    await eventually(lambda: len(door.sockets) == 0)
    assert told() >= AT_THE_DOOR


@pytest.mark.slow
async def test_metrics_between_workers_are_counted(workers, told):  # noqa: F811 - a fixture
    await workers.start("w1")
    first = await workers.connect("w1")
    await first.say(Hello(session="talk", client_id="c1", connection=1))
    await eventually(lambda: first.of(Ready))
    await workers.start("w2")
    second = await workers.connect("w2")  # the same client: its session follows it
    await second.say(Hello(session="talk", client_id="c1", connection=2))
    await eventually(lambda: metrics._counts[Count.SESSIONS_FOLLOWED])
    assert told() >= BETWEEN_WORKERS


def test_every_metric_is_driven():
    every = {*Count, *Time, *Size, *Level, *Model}
    driven = {name for names in DRIVEN.values() for name in names} & every
    assert every == driven | AT_THE_DOOR | BETWEEN_WORKERS


def test_metrics_that_providers_count_are_known():
    """Those that a fake can bring about are asserted in ``tests/integration/providers`` as well."""
    code = "\n".join(path.read_text(encoding="utf-8") for path in Path(worker.__path__[0], "providers").rglob("*.py"))
    assert {error.metric for error in ERRORS.values()} <= set(Model)
    assert all(f'"{name}"' in code or name.startswith("ModelConnectedBy") for name in Model)


async def test_a_commits_records_and_a_restores_bytes_are_what_they_are(world, storage):
    await world.host.open_session(claim())
    session = world.host.find("default/talk")
    session.deliver(delivery(text("hello", 1)))
    await eventually(lambda: world.clients.of("k1", InputAck))
    await session.stop()
    # The last of them is told of just after it has been waited for.
    await eventually(lambda: sum(metrics._values[Size.RECORDS]) == session.position)
    _, measures, _ = metrics.take_figures()
    assert len(measures[Time.COMMIT_LATENCY]) == len(measures[Size.RECORDS])
    assert measures[Size.RESTORE] == [0], "there was nothing yet"
    await world.host.open_session(claim())
    _, measures, _ = metrics.take_figures()
    stored = sum(map(len, storage.objects.objects.values()))
    assert measures[Size.RESTORE] == [stored]


async def test_no_metric_carries_what_was_said(world, host, capsys):
    """Neither in names nor in dimensions nor beside them: texts, transcripts, names of sessions, texts of errors."""
    secret = "s3cr3t-4111"
    hosting = await host()
    hosting.session.deliver(delivery(text(f"my number is {secret}", 1)))
    await eventually(lambda: world.clients.of("k1", InputAck))
    hosting.model.emit([*answered(f"so it is {secret}"), ConnectionTimeoutError(secret)])
    await eventually(lambda: len(hosting.model.started_with) == 2)
    hosting.model.refusal = ValueError(f"{secret} is refused")
    hosting.session.deliver(delivery(text(secret, 2)))
    await eventually(lambda: metrics._counts["Errors.bad_frame"])
    await hosting.session.stop()

    Reporter(metrics, service="segue-worker", stage="test").write_line()
    told = capsys.readouterr().out
    assert "Errors.bad_frame" in told
    for hidden in (secret, "my number", "default/talk", "k1"):
        assert hidden not in told
