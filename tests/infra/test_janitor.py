"""The janitor's functions, what calls them, and where failures go."""

from __future__ import annotations

import json

import pytest

from infra.constructs.janitor import ENDED_FILTERS
from janitor.ended import ended_incarnation
from segue.lease import transitions
from segue.lease.item import GuardItem
from segue.lease.transitions import Candidate
from segue.storage.attributes import typed

MODULES = {"Ended": "ended", "Again": "second_sweep", "Weekly": "weekly"}
FUNCTIONS = tuple(MODULES)
ENVIRONMENT = {
    "SEGUE_STAGE",
    "SEGUE_BUCKET",
    "SEGUE_LOCK_TABLE",
    "SEGUE_SWEEPS_QUEUE_URL",
    "POWERTOOLS_SERVICE_NAME",
    "LOG_LEVEL",
}


def function(stage, name):
    return stage.service.named("AWS::Lambda::Function", f"Janitor{name}")


def mapping(stage, name):
    return stage.service.named("AWS::Lambda::EventSourceMapping", f"Janitor{name}")


def queue(stage, part):
    (name,) = [name for name in stage.service.of_type("AWS::SQS::Queue") if part in name]
    return name, stage.service.of_type("AWS::SQS::Queue")[name]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_janitor_functions_have_their_handler_environment_code_and_layers(stage, name):
    found = function(stage, name)

    assert found["Handler"] == f"janitor.{MODULES[name]}.handler"
    extra = {"SEGUE_WEEKLY_QUEUE_URL"} if name == "Weekly" else set()
    assert set(found["Environment"]["Variables"]) == ENVIRONMENT | extra
    assert (found["Runtime"], found["Architectures"]) == ("python3.13", [stage.config.architecture])
    assert [any(part in each["Ref"] for each in found["Layers"]) for part in ("Session", "Dependencies")] == [True] * 2
    assert "VpcConfig" not in found
    shipped = stage.service.folder / f"asset.{found['Code']['S3Key'].removesuffix('.zip')}"
    assert {each.relative_to(shipped).parts[0] for each in shipped.rglob("*")} == {"janitor", "shared"}


def test_the_stream_is_read_from_where_it_was_left_and_failures_hold_nothing_up_for_ever(stage):
    found = mapping(stage, "Ended")

    assert "StreamArn" in found["EventSourceArn"]["Fn::GetStackOutput"]["OutputName"]
    # A mapping made anew, over data that was there before, begins with what the stream still has.
    assert found["StartingPosition"] == "TRIM_HORIZON"
    assert found["BisectBatchOnFunctionError"] is True
    assert found["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert (found["MaximumRetryAttempts"], found["MaximumRecordAgeInSeconds"]) == (10, 6 * 3600)
    assert found["MaximumRecordAgeInSeconds"] < 24 * 3600  # as long as the stream keeps records
    (failures, _) = queue(stage, "JanitorEndedFailures")
    assert found["DestinationConfig"] == {"OnFailure": {"Destination": {"Fn::GetAtt": [failures, "Arn"]}}}


@pytest.mark.parametrize(
    ("name", "source", "failures", "batch", "responses"),
    [
        ("Again", "JanitorSweepsD", "JanitorSweepsFailures", 10, ["ReportBatchItemFailures"]),
        ("Weekly", "JanitorWeeklyRuns", "JanitorWeeklyFailures", 1, None),
    ],
)
def test_queues_have_attempts_and_dead_letters(stage, name, source, failures, batch, responses):
    found = mapping(stage, name)
    (queue_name, properties) = queue(stage, source)

    assert found["EventSourceArn"] == {"Fn::GetAtt": [queue_name, "Arn"]}
    assert (found["BatchSize"], found.get("FunctionResponseTypes")) == (batch, responses)
    redrive = properties["RedrivePolicy"]
    assert redrive["maxReceiveCount"] == 5
    assert redrive["deadLetterTargetArn"] == {"Fn::GetAtt": [queue(stage, failures)[0], "Arn"]}
    assert properties["VisibilityTimeout"] == 6 * function(stage, name)["Timeout"]
    assert properties["MessageRetentionPeriod"] > 5 * properties["VisibilityTimeout"]
    assert queue(stage, failures)[1]["MessageRetentionPeriod"] == 14 * 86_400


def test_a_weekly_rule_queues_a_run(stage):
    rule = stage.service.named("AWS::Events::Rule", "JanitorEveryWeek")

    assert (rule["ScheduleExpression"], rule["State"]) == ("cron(0 3 ? * SUN *)", "ENABLED")
    (target,) = rule["Targets"]
    assert target["Arn"] == {"Fn::GetAtt": [queue(stage, "JanitorWeeklyRuns")[0], "Arn"]}
    assert target["Input"] == "{}"
    assert target["DeadLetterConfig"]["Arn"] == {"Fn::GetAtt": [queue(stage, "JanitorWeeklyFailures")[0], "Arn"]}
    assert target["RetryPolicy"] == {"MaximumEventAgeInSeconds": 6 * 3600, "MaximumRetryAttempts": 20}


def test_a_long_weekly_sweep_is_not_taken_for_a_mistake(stage):
    assert function(stage, "Weekly")["RecursiveLoop"] == "Allow"
    assert function(stage, "Weekly")["Timeout"] == 900
    assert {"RecursiveLoop"} & (function(stage, "Ended").keys() | function(stage, "Again").keys()) == set()


def test_each_queue_of_failures_has_an_alarm(stage):
    watched = set()
    for alarm in stage.service.of_type("AWS::CloudWatch::Alarm").values():
        if alarm["MetricName"] == "ApproximateNumberOfMessagesVisible":
            assert (alarm["Threshold"], alarm["EvaluationPeriods"], alarm["Period"]) == (1, 1, 60)
            assert alarm["TreatMissingData"] == "notBreaching"
            watched.add(alarm["Dimensions"][0]["Value"]["Fn::GetAtt"][0])
    queues = stage.service.of_type("AWS::SQS::Queue")
    assert watched == {name for name in queues if "Failures" in name or "DeadLetters" in name}
    assert len(watched) == 6


# Filters


def matches(pattern, record):
    """Return true if a record passes a filter of exact values and ``exists``, which is all that ours use."""
    if isinstance(pattern, list):
        return any(record is not None if each == {"exists": True} else record == each for each in pattern)
    return isinstance(record, dict) and all(matches(part, record.get(name)) for name, part in pattern.items())


def invoked(record):
    return any(matches(pattern, record) for pattern in ENDED_FILTERS)


def record(old, new):
    name = "INSERT" if old is None else "REMOVE" if new is None else "MODIFY"
    images = {"OldImage": old, "NewImage": new}
    shown = {key: {k: typed(v) for k, v in image.items()} for key, image in images.items() if image is not None}
    return {"eventName": name, "dynamodb": {"SequenceNumber": "1", **shown}}


WALL = 1_800_000_000.0
CANDIDATE = Candidate("acquire-1", "holder-1", 10_000, None, "token", 3600)
BEGUN = transitions.begin_incarnation("a/s", None, CANDIDATE, WALL).applied(None)
LIVING = transitions.beat(GuardItem.parse(BEGUN), int(WALL) + 7200).applied(BEGUN)
ITEM = GuardItem.parse(LIVING)
FREE = transitions.release(ITEM).applied(LIVING)
BURIED = transitions.bury(ITEM, int(WALL) + 9000).applied(LIVING)
AGAIN = transitions.begin_incarnation("a/s", ITEM, CANDIDATE, WALL + 90_000)
FIRST = {"head": 1, "tail": ["0.1.x"], "commit_id": "x"}
SCRUBBING = {**LIVING, **FIRST, "scrub": "0"}

GOES_ON = {
    "born": (None, BEGUN),
    "heartbeat": (LIVING, transitions.beat(ITEM, int(WALL)).applied(LIVING)),
    "commit": (LIVING, transitions.commit(ITEM, FIRST, int(WALL)).applied(LIVING)),
    "the first commit": (BEGUN, transitions.commit(GuardItem.parse(BEGUN), FIRST, int(WALL)).applied(BEGUN)),
    "redacted": (SCRUBBING, transitions.scrubbed(GuardItem.parse(SCRUBBING)).applied(SCRUBBING)),
    "released": (LIVING, FREE),
    "taken": (FREE, transitions.acquire(GuardItem.parse(FREE), CANDIDATE, WALL).applied(FREE)),
    "taken over": (LIVING, transitions.acquire(ITEM, CANDIDATE, WALL).applied(LIVING)),
}
ENDS = {
    "removed": (LIVING, None),
    "buried": (LIVING, BURIED),
    "buried before anything happened": (BEGUN, transitions.bury(GuardItem.parse(BEGUN), int(WALL)).applied(BEGUN)),
    "a new incarnation over an expired one": (LIVING, AGAIN.applied(LIVING)),
    "a new incarnation over an expired one without a holder": (FREE, AGAIN.applied(FREE)),
    # A copy begins without a holder.
    "a copy over an expired one": (
        FREE,
        {name: value for name, value in AGAIN.applied(FREE).items() if name not in {"acquire_id", "holder"}},
    ),
}


@pytest.mark.parametrize("images", GOES_ON.values(), ids=GOES_ON)
def test_frequent_changes_of_a_guard_item_do_not_invoke_the_janitor(images):
    assert not invoked(record(*images))
    assert ended_incarnation(record(*images)) is None


@pytest.mark.parametrize("images", ENDS.values(), ids=ENDS)
def test_every_end_of_an_incarnation_invokes_the_janitor(images):
    assert invoked(record(*images))
    assert ended_incarnation(record(*images)) is not None


def test_the_filters_are_those_of_the_template(stage):
    found = [json.loads(each["Pattern"]) for each in mapping(stage, "Ended")["FilterCriteria"]["Filters"]]

    assert found == list(ENDED_FILTERS)
    assert len(found) <= 5  # as many as a mapping may have


def test_rare_changes_invoke_the_janitor_without_an_ended_incarnation():
    """A session released before anything happened in it, and a tombstone that goes."""
    released = transitions.release(GuardItem.parse(BEGUN)).applied(BEGUN)
    for images in ((BEGUN, released), (BURIED, None), (BURIED, AGAIN.applied(BURIED))):
        assert invoked(record(*images))
        assert ended_incarnation(record(*images)) is None
