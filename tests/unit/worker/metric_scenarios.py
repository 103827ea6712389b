"""Scenarios that make a worker emit its metrics, each with the names of those that it is for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from strands.bidi.models import ConnectionTimeoutError
from strands.bidi.types.events import BidiConnectionStartEvent

from segue.wire.frames import AudioOutput, InputAck, Ready
from shared.log import logger
from shared.provider_errors import ERRORS, Kind, ProviderRefusal, classify
from tests.support.memory_manager import Latch
from tests.support.waiting import eventually, within
from tests.unit.worker.handoffs import Worker, conversation, drain
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
from worker.conversation.waiting_frames import WAITING_LIMITS
from worker.hosting.claims import ClaimTaker
from worker.hosting.drain import Drain, DrainTimes
from worker.providers.connection import reconnect_limits, renewal
from worker.providers.continuous_model import ContinuousModel
from worker.providers.settings import Settings
from worker.telemetry.blocked_loop import BlockedLoopWatch
from worker.telemetry.metrics import Count, Level, Model, Size, Time, metrics

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

DRIVEN: dict[Callable[..., Awaitable[None]], set[str]] = {}


def tells(*names: str) -> Callable[[Any], Any]:
    """Note what a scenario makes the worker tell."""

    def noted(scenario: Any) -> Any:
        DRIVEN[scenario] = set(names)
        return scenario

    return noted


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
async def a_client_that_reads_too_slowly(host, clients, **_):
    hosting = await host()
    free = clients.hold("k1")
    half = bytes(WAITING_LIMITS.fleeting_bytes // 2)
    hosting.model.emit(speech(half) for _ in range(4))  # one is on its way, two wait
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
async def a_drain_that_takes_too_long(world, **_):
    await world.host.open_session(claim())
    world.storage.before = latch = Latch("release")
    claims = ClaimTaker(FakeQueue(), world.host)
    claims.start()
    times = DrainTimes(drain_seconds=0.05, hurried_seconds=0.05)
    await Drain(world.host, claims, FakeQueue(), asyncio.Event(), times=times).run()
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
    monkeypatch.setattr(renewal, "QUIET_SECONDS", 0.03)
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
        while not watch._reported and time.monotonic() < ended:
            time.sleep(0.01)  # noqa: ASYNC251 - it blocks the loop
        await eventually(lambda: not watch._reported)
    finally:
        watch.stop()
