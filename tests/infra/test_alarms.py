"""Each alarm over minutes in which it has to go off, and over some in which it has to stay silent.

The minutes are written in the words of the operator who is woken up, not with the alarm's own numbers. So a threshold,
a statistic or a comparison that changed fails here.
"""

from __future__ import annotations

import math
import operator

import pytest

COMPARISONS = {
    "GreaterThanOrEqualToThreshold": operator.ge,
    "GreaterThanThreshold": operator.gt,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}
STATISTICS = {
    "Average": lambda samples: sum(samples) / len(samples),
    "Sum": sum,
    "Maximum": max,
    "Minimum": min,
    "SampleCount": len,
}


def statistic(alarm, samples):
    if (extended := alarm.get("ExtendedStatistic")) is None:
        return STATISTICS[alarm["Statistic"]](samples)
    part = float(extended.removeprefix("p")) / 100
    return sorted(samples)[math.ceil(part * len(samples)) - 1]


def goes_off(alarm, minutes):
    """Return true if CloudWatch has the alarm on after these minutes, each given as its samples, in order."""
    assert alarm["Period"] == 60
    periods = alarm["EvaluationPeriods"]
    assert len(minutes) >= periods, "too few minutes to tell"
    breaks = COMPARISONS[alarm["ComparisonOperator"]]
    breaching = [
        breaks(statistic(alarm, samples), alarm["Threshold"])
        if samples
        else {"breaching": True, "notBreaching": False}[alarm["TreatMissingData"]]
        for samples in minutes[-periods:]
    ]
    return sum(breaching) >= alarm.get("DatapointsToAlarm", periods)


NOTHING = [[]] * 10


def each_minute(minutes, *samples):
    return [list(samples)] * minutes


def counted(number, minutes):
    """The same number of samples in each of these minutes."""
    return each_minute(minutes, *[1] * number)


def parts(slow, quick, late, minutes=5):
    """Samples in milliseconds of which one in ``late`` is slow and the others are quick."""
    return each_minute(minutes, *[slow], *[quick] * (late - 1))


def test_each_description_says_for_how_many_minutes(dev):
    for each in dev.service.of_type("AWS::CloudWatch::Alarm").values():
        if "AlarmName" in each:
            minutes = each["EvaluationPeriods"] * each["Period"] // 60
            assert f" In {'one minute' if minutes == 1 else f'each of {minutes} minutes'}. " in each["AlarmDescription"]


GIVEN_UP = ([counted(1, 1), each_minute(1, 7)], [NOTHING, each_minute(5, 0)])
"""A dead-letter queue's messages: the first one counts."""

CASES = {
    "answers-come-late": (
        [parts(3_000, 400, late=10), parts(9_000, 400, late=19)],
        [parts(2_900, 400, late=10), parts(9_000, 400, late=40), parts(9_000, 400, 2, minutes=4) + NOTHING[:1]],
    ),
    "callers-wait-for-a-worker": ([each_minute(2, 2, 30)], [each_minute(2, 29), [*each_minute(1, 90), [3]], NOTHING]),
    "claims-given-up": GIVEN_UP,
    "commits-slow": (
        [parts(1_000, 30, late=10)],
        [parts(990, 30, late=10), parts(5_000, 30, late=40), [*parts(5000, 30, 2, minutes=4), [30]], NOTHING],
    ),
    "connections-throttled": ([counted(10, 3)], [counted(9, 3), counted(500, 1) + NOTHING[:2], NOTHING]),
    "errors-shown": ([counted(20, 3)], [counted(19, 3), [[], *counted(99, 2), []], NOTHING]),
    "handoffs-slow": ([[[80, 5_000, 120]]], [[[80, 4_990, 120]], NOTHING]),
    "leases-lost": ([counted(5, 2)], [counted(4, 2), [*counted(40, 1), []], NOTHING]),
    "locks-throttled": ([counted(10, 3)], [counted(9, 3), counted(500, 1) + NOTHING[:2], NOTHING]),
    "messages-fail": ([counted(5, 3)], [counted(4, 3), [*counted(99, 2), []], NOTHING]),
    "messages-throttled": ([counted(10, 3)], [counted(9, 3), [*counted(99, 2), []], NOTHING]),
    "authorizer-fails": ([counted(5, 3)], [counted(4, 3), [*counted(99, 2), []], NOTHING]),
    "objects-left": GIVEN_UP,
    "page-fails": (
        [each_minute(5, 5.0), each_minute(5, 100.0)],
        [each_minute(5, 4.9), [*each_minute(4, 50.0), [0.0]], NOTHING],
    ),
    "sessions-cut-by-a-drain": ([counted(1, 1)], [NOTHING, each_minute(3, 0)]),
    "sessions-not-offered": GIVEN_UP,
    "stream-given-up": GIVEN_UP,
    "texts-given-up": GIVEN_UP,
    "texts-wait": ([each_minute(3, 60)], [each_minute(3, 59), [*each_minute(2, 300), [1]], NOTHING]),
    "weekly-sweep-fails": GIVEN_UP,
    # Two tasks are to run; each reports its CPU, whatever it is.
    "workers-missing": (
        [each_minute(5, 90.0), NOTHING],
        [each_minute(5, 0.1, 0.1), [*each_minute(4, 90.0), [1.0, 2.0]], each_minute(5, 50.0, 50.0, 50.0)],
    ),
    "writers-fenced": ([counted(5, 2)], [counted(4, 2), [*counted(40, 1), []], NOTHING]),
}
"""Minutes after which each alarm is on, and minutes after which it is not."""


@pytest.fixture(scope="module")
def alarms(dev):
    found = dev.service.of_type("AWS::CloudWatch::Alarm").values()
    return {each["AlarmName"].removeprefix("segue-dev-"): each for each in found if "AlarmName" in each}


def test_every_alarm_is_evaluated(alarms):
    assert alarms.keys() == CASES.keys()


@pytest.mark.parametrize("name", CASES)
def test_an_alarm_goes_off_when_it_should_and_only_then(alarms, name):
    on, silent = CASES[name]

    assert [goes_off(alarms[name], minutes) for minutes in on] == [True] * len(on)
    assert [goes_off(alarms[name], minutes) for minutes in silent] == [False] * len(silent)


def test_more_tasks_are_started_once_a_caller_has_waited_for_ten_seconds(dev):
    alarm = dev.service.named("AWS::CloudWatch::Alarm", "WaitingClaims")

    assert goes_off(alarm, [[4, 10]])
    assert not goes_off(alarm, [[4, 9]])
