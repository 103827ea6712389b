"""Each metric of the worker, told by what makes it so, and read back from what is written."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest
from strands.bidi.models import ConnectionTimeoutError

import worker
from segue.wire.frames import Hello, InputAck, Ready
from shared.provider_errors import ERRORS
from tests.support.emf import metrics_told
from tests.support.scripted_model import answered
from tests.support.waiting import eventually, promptly
from tests.unit.worker.metric_scenarios import DRIVEN
from tests.unit.worker.socket_server import closed
from tests.unit.worker.stand_ins import claim, delivery, text
from worker.direct.times import TransportTimes
from worker.telemetry.metrics import Count, Level, Model, Reporter, Size, Time, metrics

BY = frozenset({("service", "segue-worker"), ("stage", "test")})


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


@pytest.mark.slow
@pytest.mark.parametrize("scenario", DRIVEN, ids=lambda scenario: scenario.__name__)
async def test_each_scenario_emits_its_metrics(scenario, told, surroundings):
    await scenario(**surroundings)
    assert told() >= DRIVEN[scenario]


AT_THE_DOOR = {Count.SOCKETS_OPENED, Count.SOCKETS_TURNED_AWAY, Count.HANDSHAKES_EXPIRED, Level.SOCKETS}
BETWEEN_WORKERS = {Count.FRAMES_FORWARDED, Count.OUTPUT_FORWARDED, Count.SESSIONS_FOLLOWED}


async def test_metrics_of_a_workers_own_sockets_are_counted(open_door, told):
    door = await open_door(SEGUE_DIRECT_SOCKETS="1")
    first = await door.connect()
    assert await closed(await door.connect()) == 1013
    impatient = await open_door(TransportTimes(handshake_seconds=0.05))
    reader, writer = await asyncio.open_connection("127.0.0.1", int(impatient.url.rstrip("/").rpartition(":")[2]))
    writer.write(b"GET / HTTP/1.1")
    with contextlib.suppress(ConnectionResetError):
        assert await promptly(reader.read(), 10) == b""
    writer.close()
    await first.close()
    await eventually(lambda: len(door.sockets) == 0)
    assert told() >= AT_THE_DOOR


@pytest.mark.slow
async def test_metrics_between_workers_are_counted(workers, told):
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
    of_errors = {error.metric for error in ERRORS.values()}
    assert of_errors <= set(Model)
    assert all(f'"{name}"' in code or name.startswith("ModelConnectedBy") for name in set(Model) - of_errors)


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
