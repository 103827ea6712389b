"""OpenTelemetry metrics of the library: commits, restores, waits, refusals and losses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

import segue.otel
from segue import SessionFenced, SessionHeld
from segue.observers import observe, tell
from segue.otel import instrument
from tests.support.crash import crash
from tests.support.memory_manager import MemoryStorage
from tests.support.sessions import Sessions, built

PAGE = Path(__file__).resolve().parents[3] / "docs" / "operations.md"


@pytest.fixture
def reader() -> Iterator[InMemoryMetricReader]:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    end = instrument(provider)
    yield reader
    end()
    provider.shutdown()


def figures(reader: InMemoryMetricReader) -> dict[str, Any]:
    """The sum of each counter, and the count of each histogram."""
    data = reader.get_metrics_data()
    if data is None:
        return {}
    found = [metric for each in data.resource_metrics for scope in each.scope_metrics for metric in scope.metrics]
    points = {metric.name: next(iter(metric.data.data_points)) for metric in found}
    return {name: getattr(point, "count", None) or getattr(point, "value", None) for name, point in points.items()}


@pytest.mark.slow
async def test_a_session_is_measured(memory_sessions: Sessions, reader: InMemoryMetricReader) -> None:
    first = memory_sessions()
    await first.open()
    agent = built(first)
    await agent.invoke_async("Hello")
    with pytest.raises(SessionHeld):
        await memory_sessions().open()
    await first.close()

    told = figures(reader)
    assert told["segue.records"] == first.head
    assert 0 < told["segue.commits"] <= told["segue.records"]
    assert told["segue.commit.duration"] == told["segue.commits"]
    assert told["segue.acquire.duration"] == told["segue.restore.duration"] == 1
    assert told["segue.acquire.refusals"] == 1


async def test_a_lost_lease_is_counted(
    memory_sessions: Sessions, storage: MemoryStorage, reader: InMemoryMetricReader
) -> None:
    first = memory_sessions()
    await first.open()
    agent = built(first)
    await agent.invoke_async("Hello")
    storage.guard.items[first.session_key]["acquire_id"] = "another"
    with pytest.raises(SessionFenced):
        await agent.invoke_async("Are you there?")

    assert figures(reader)["segue.lease.losses"] == 1
    crash(first)


def test_an_observer_that_fails_disturbs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def fails(*_: Any) -> None:
        raise RuntimeError("as the test wants it")

    end = observe(fails)
    tell("lost")
    end()
    end()
    tell("lost")

    assert len(caplog.records) == 1


def test_the_page_and_the_module_name_the_same_metrics() -> None:
    source = Path(segue.otel.__file__).read_text(encoding="utf-8")
    made = set(re.findall(r'create_\w+\("([\w.]+)"', source))

    assert len(made) == 7
    assert all(f"`{name}`" in PAGE.read_text(encoding="utf-8") for name in made)
