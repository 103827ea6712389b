"""Metrics of the janitor's functions, each emitted by the event that it counts."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from janitor import ended, second_sweep, weekly
from janitor.second_sweep import SweepsQueue, WaitingSweep
from janitor.sweeper import Incarnation
from shared.metrics import FunctionCount
from tests.support.emf import metrics_told
from tests.unit.janitor.test_janitor import OLD, aws, item, messages_of, put_objects, stream  # noqa: F401 - a fixture

SERVICE, STAGE = "segue-janitor", "test"
BY = frozenset({("service", SERVICE), ("stage", STAGE)})
SWEPT = {FunctionCount.SWEEPS: [1], FunctionCount.OBJECTS_DELETED: [2]}
FAILED = {FunctionCount.SWEEP_FAILURES: [1]}


@pytest.fixture
def told():
    """Runs something and returns the values that it told, by name."""

    def run(what):
        with metrics_told(service=SERVICE, stage=STAGE) as lines:
            what()
        assert {by for _, _, by in lines.found} <= {BY}
        return lines.values

    return run


@pytest.fixture
def broken(aws, monkeypatch):  # noqa: F811 - the fixture of that name
    def fail(_life):
        raise OSError("no")

    monkeypatch.setattr(aws.sweeper, "sweep", fail)


def sweep_again(aws):  # noqa: F811
    SweepsQueue(aws.sqs, aws.url, delay_seconds=0).put(WaitingSweep(Incarnation("a/s", OLD), rounds_left=1))
    second_sweep.handler(messages_of(aws), None)


def collect_ended():
    ended.handler(stream(OldImage=item(OLD)), None)


def sweep_weekly(milliseconds=900_000):
    context = SimpleNamespace(get_remaining_time_in_millis=lambda: milliseconds)
    weekly.handler({"Records": [{"body": "{}"}]}, context)


def test_a_sweep_of_an_ended_incarnation_is_counted(aws, told):  # noqa: F811
    put_objects(aws, OLD)
    assert told(collect_ended) == SWEPT


def test_a_second_sweep_is_counted(aws, told):  # noqa: F811
    put_objects(aws, OLD)
    assert told(lambda: sweep_again(aws)) == SWEPT


@pytest.mark.parametrize("milliseconds", [900_000, 1], ids=["to the end", "goes on in another run"])
def test_a_weekly_sweep_is_counted(aws, told, milliseconds):  # noqa: F811
    put_objects(aws, OLD)
    assert told(lambda: sweep_weekly(milliseconds)) == SWEPT


def test_each_function_counts_its_failed_sweep(aws, told, broken):  # noqa: F811
    put_objects(aws, OLD)
    assert told(collect_ended) == FAILED
    assert told(lambda: sweep_again(aws)) == FAILED
    assert told(sweep_weekly) == {**FAILED, FunctionCount.SWEEPS: [1], FunctionCount.OBJECTS_DELETED: [0]}


def test_a_stream_record_that_ends_no_incarnation_counts_nothing(aws, told):  # noqa: F811
    aws.dynamodb.put_item(TableName="locks", Item=item(OLD))
    assert told(lambda: ended.handler(stream(NewImage=item(OLD)), None)) == {}
