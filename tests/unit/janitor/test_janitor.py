"""Objects of an ended incarnation are deleted, those of one that goes on stay."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import BotoCoreError

from janitor import ended, second_sweep, weekly
from janitor.second_sweep import DELAY_SECONDS, ROUNDS, SweepsQueue, WaitingSweep
from janitor.sweeper import Incarnation, JanitorEnvironment, Sweeper
from janitor.weekly import Runs, WeeklyEnvironment
from segue.environment import EnvironmentInvalid, read_environment
from segue.errors import StorageRefused
from segue.ids import session_key, session_name
from segue.storage.attributes import plain, typed
from tests.support.mocked_aws import client, mocked_aws, provision

OLD = "20200101T000000Z-" + "0" * 32
EMPTY = {"beat": 0, "lease_ms": 0, "head": 0, "pages": 0, "tail": [], "inputs": []}
NEW = "20200202T000000Z-" + "1" * 32


@pytest.fixture
def aws(monkeypatch, request):
    """Both functions' AWS; messages for a second sweep come at once unless a test parametrizes it with their delay."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with mocked_aws():
        provision("bucket", "locks")
        s3, dynamodb, sqs = (client(name) for name in ("s3", "dynamodb", "sqs"))
        url, weekly_url = (sqs.create_queue(QueueName=name)["QueueUrl"] for name in ("sweeps", "weekly"))
        environment = JanitorEnvironment(bucket="bucket", lock_table="locks", sweeps_queue_url=url)
        sweeper = Sweeper(s3, dynamodb, environment)
        queue = SweepsQueue(sqs, url, getattr(request, "param", 0))
        monkeypatch.setattr(second_sweep, "dependencies", lambda: (sweeper, queue))
        monkeypatch.setattr(ended, "dependencies", second_sweep.dependencies)
        monkeypatch.setattr(weekly, "dependencies", lambda: (sweeper, queue, Runs(sqs, weekly_url)))
        yield SimpleNamespace(s3=s3, dynamodb=dynamodb, sqs=sqs, url=url, weekly_url=weekly_url, sweeper=sweeper)


def item(born, **more):
    written = {"session_key": "a/s", "schema": 1, "born": born, "epoch": 1, "expires_at": 2_000_000_000, **EMPTY}
    return {name: typed(value) for name, value in (written | more).items()}


def put_objects(aws, born, key="a/s"):
    for name in ("pages/0.json", "segments/3-1-x.json"):
        aws.s3.put_object(Bucket="bucket", Key=f"sessions/{key}/{born}/{name}", Body=b"{}")


def objects(aws):
    return [found["Key"] for found in aws.s3.list_objects_v2(Bucket="bucket").get("Contents", [])]


def stream(**images):
    return {"Records": [{"eventID": "1", "dynamodb": {"SequenceNumber": "7", **images}}]}


ENDINGS = {
    "removed by TTL": {"OldImage": item(OLD)},
    "tombstone": {"OldImage": item(OLD), "NewImage": item(OLD, deleted=True)},
    "a new incarnation over an expired item": {"OldImage": item(OLD), "NewImage": item(NEW)},
}


@pytest.mark.slow
@pytest.mark.parametrize("body", [b"", b'{"Item":{"session_key":{"S":"a/', b"<html><body>Sign in</body></html>"])
def test_half_an_item_does_not_pass_for_none(aws, body):
    """Else a living session's objects would be deleted."""
    aws.dynamodb.put_item(TableName="locks", Item=item(OLD))
    put_objects(aws, OLD)
    environment = JanitorEnvironment(bucket="bucket", lock_table="locks", sweeps_queue_url=aws.url)
    sweeper = Sweeper.from_environment(environment)

    def cut(request, **_):
        return AWSResponse(request.url, 200, {}, SimpleNamespace(stream=lambda *_, **__: iter([body])))

    sweeper._dynamodb.meta.events.register_first("before-send.dynamodb.GetItem", cut)
    with pytest.raises(BotoCoreError):
        sweeper.sweep(Incarnation("a/s", OLD))
    assert len(objects(aws)) == 2


@pytest.mark.slow
@pytest.mark.parametrize("aws", [DELAY_SECONDS], indirect=True)
@pytest.mark.parametrize("images", ENDINGS.values(), ids=ENDINGS.keys())
def test_an_ended_incarnation_is_swept_now_and_queued_for_a_second_sweep(aws, images):
    if "NewImage" in images:
        aws.dynamodb.put_item(TableName="locks", Item=images["NewImage"])
    put_objects(aws, OLD)
    put_objects(aws, NEW)
    assert ended.handler(stream(**images), None) == {"batchItemFailures": []}
    assert all(NEW in key for key in objects(aws))
    assert len(objects(aws)) == 2
    queued = aws.sqs.get_queue_attributes(QueueUrl=aws.url, AttributeNames=["All"])["Attributes"]
    assert queued["ApproximateNumberOfMessagesDelayed"] == "1"


@pytest.mark.parametrize(
    "images",
    [
        {"NewImage": item(OLD)},
        {"OldImage": item(OLD), "NewImage": item(OLD, head=3, tail=["0.1.x"], commit_id="x")},
        {"OldImage": item(OLD, deleted=True)},
    ],
    ids=["born", "committed", "tombstone removed"],
)
def test_other_changes_end_no_incarnation(images):
    assert ended.ended_incarnation(stream(**images)["Records"][0]) is None


@pytest.mark.slow
@pytest.mark.parametrize("session_id", ["user@example.com", "+14155550123", "a%2Fb", "a b", "Zoë"])
def test_a_session_is_swept_whatever_its_id(aws, session_id):
    """The second incarnation of the bucket belongs to a session whose id is the first one's name in storage."""
    key, other = session_key("a", session_id), session_key("a", session_name(session_id))
    for each in (key, other):
        put_objects(aws, OLD, key=each)
    aws.dynamodb.put_item(TableName="locks", Item={**item(OLD), "session_key": {"S": other}})

    assert {incarnation.session_key for incarnation in aws.sweeper.all_incarnations()} == {key, other}
    old = {**item(OLD), "session_key": {"S": key}}
    assert ended.handler(stream(OldImage=old), None) == {"batchItemFailures": []}

    assert {incarnation.session_key for incarnation in aws.sweeper.all_incarnations()} == {other}
    assert list(aws.sweeper.all_incarnations(f"{other}/{OLD}")) == []


def test_a_live_incarnation_is_never_swept_whatever_the_event_says(aws):
    aws.dynamodb.put_item(TableName="locks", Item=item(OLD))
    put_objects(aws, OLD)
    ended.handler(stream(OldImage=item(OLD)), None)
    assert len(objects(aws)) == 2


@pytest.mark.slow
def test_a_failure_is_reported_with_its_place_in_the_stream(aws, monkeypatch):
    def fail(_life):
        raise OSError("no")

    monkeypatch.setattr(aws.sweeper, "sweep", fail)
    answer = ended.handler(stream(OldImage=item(OLD)), None)
    assert answer == {"batchItemFailures": [{"itemIdentifier": "7"}]}


CORRUPT = {"expires_at": 0}, {"pages": 10**18}, {"schema": 99}, {"head": "many"}, {"born": ""}, {"tail": "0.1.x"}


@pytest.mark.slow
@pytest.mark.parametrize("change", CORRUPT, ids=str)
def test_an_item_that_cannot_be_right_is_named_and_nothing_of_it_is_deleted_and_the_others_are_swept(
    aws, change, caplog
):
    corrupt = item(OLD, session_key="a/corrupt", **{name: value for name, value in change.items() if name != "born"})
    corrupt |= {"born": typed(change.get("born", OLD))}
    aws.dynamodb.put_item(TableName="locks", Item=corrupt)
    put_objects(aws, OLD, key="a/corrupt")
    put_objects(aws, OLD)
    event = {"Records": stream(OldImage=corrupt, NewImage=corrupt)["Records"] + stream(OldImage=item(OLD))["Records"]}

    assert ended.handler(event, None) == {"batchItemFailures": []}

    assert {key.split("/")[2] for key in objects(aws)} == {"corrupt"}
    assert [one.session for one in caplog.records if one.levelname == "ERROR"] == ["a/corrupt"]
    waiting = messages_of(aws)["Records"]
    last = [{**each, "body": each["body"].replace(str(ROUNDS), "1")} for each in waiting]
    failures = second_sweep.handler({"Records": last}, None)["batchItemFailures"]
    assert len(failures) == len(waiting) - 1 == 1, "that of the corrupt item ends in the dead-letter queue"
    weekly.handler(run(), context())
    assert len(objects(aws)) == 2


@pytest.mark.slow
def test_a_janitor_of_another_prefix_raises_and_deletes_nothing(aws):
    elsewhere = item(OLD, prefix="team-b/")
    aws.dynamodb.put_item(TableName="locks", Item=elsewhere)
    put_objects(aws, OLD)
    put_objects(aws, NEW)
    put_objects(aws, OLD, key="b/gone")
    for incarnation in (Incarnation("a/s", OLD), Incarnation("a/s", NEW)):
        for act in (aws.sweeper.sweep, aws.sweeper.collect):
            with pytest.raises(StorageRefused, match="under the prefix 'team-b/', not under ''"):
                act(incarnation)

    event = {"Records": [each for images in ENDINGS.values() for each in stream(**images)["Records"]]}
    for record in event["Records"]:
        record["dynamodb"]["OldImage"] = elsewhere
    assert ended.handler(event, None) == {"batchItemFailures": []}
    assert not messages_of(aws)["Records"]
    weekly.handler(run(), context())

    assert {key.split("/")[2] for key in objects(aws)} == {"s"}
    assert len(objects(aws)) == 4
    assert len(second_sweep.handler(messages_of(aws), None)["batchItemFailures"]) == 2


def messages_of(aws, url=None):
    received = aws.sqs.receive_message(QueueUrl=url or aws.url, MaxNumberOfMessages=10).get("Messages", [])
    return {"Records": [{"messageId": message["MessageId"], "body": message["Body"]} for message in received]}


def test_the_second_sweep_comes_after_an_hour_of_rounds(aws):
    put_objects(aws, OLD)
    SweepsQueue(aws.sqs, aws.url, delay_seconds=0).put(WaitingSweep(Incarnation("a/s", OLD)))
    for _ in range(ROUNDS - 1):
        second_sweep.handler(messages_of(aws), None)
        assert objects(aws)
    second_sweep.handler(messages_of(aws), None)
    assert not objects(aws)
    assert not messages_of(aws)["Records"]


def test_a_message_that_is_not_readable_is_left_for_the_dead_letter_queue(aws):
    event = {"Records": [{"messageId": "m", "body": "not json"}]}
    assert second_sweep.handler(event, None) == {"batchItemFailures": [{"itemIdentifier": "m"}]}


def context(milliseconds=900_000):
    return SimpleNamespace(get_remaining_time_in_millis=lambda: milliseconds)


def run(body="{}"):
    return {"Records": [{"messageId": "m", "body": body}]}


def test_the_weekly_sweep_takes_incarnations_without_an_item(aws):
    aws.dynamodb.put_item(TableName="locks", Item=item(NEW))
    put_objects(aws, OLD)
    put_objects(aws, NEW)
    put_objects(aws, OLD, key="b/other")
    put_objects(aws, "29990101T000000Z-young", key="c/forking")
    aws.s3.put_object(Bucket="bucket", Key="elsewhere/x", Body=b"")
    weekly.handler(run(), context())
    assert {key.split("/")[3] for key in objects(aws) if key.startswith("sessions/")} == {NEW, "29990101T000000Z-young"}
    assert "elsewhere/x" in objects(aws)
    assert not messages_of(aws, aws.weekly_url)["Records"]


@pytest.mark.slow
def test_the_weekly_sweep_takes_orphans_of_a_live_incarnation(aws):
    """An example is a segment that a redaction has replaced while the segment's own request was in flight."""
    live, late, under_way = (f"sessions/a/s/{OLD}/segments/{name}.json" for name in ("4-6-live", "2-5-late", "6-7-now"))
    page, blank = (f"sessions/a/s/{OLD}/pages/{number}.json" for number in (0, 1))
    aws.dynamodb.put_item(
        TableName="locks", Item=item(OLD, epoch=7, head=6, pages=1, tail=["4.6.live"], commit_id="live")
    )
    for key in (live, late, under_way, page, blank):
        aws.s3.put_object(Bucket="bucket", Key=key, Body=b"{}")
    weekly.handler(run(), context())
    assert set(objects(aws)) == {live, under_way, page, blank}


def test_a_segment_committed_while_the_weekly_sweep_lists_is_no_orphan(aws, monkeypatch):
    key = f"sessions/a/s/{OLD}/segments/0-1-x.json"
    aws.dynamodb.put_item(TableName="locks", Item=item(OLD, epoch=1))
    aws.s3.put_object(Bucket="bucket", Key=key, Body=b"{}")
    listed = aws.sweeper._listed

    def listing_then_commit(prefix):
        for keys in listed(prefix):
            aws.dynamodb.put_item(TableName="locks", Item=item(OLD, epoch=2, head=1, tail=["0.1.x"], commit_id="x"))
            yield keys

    monkeypatch.setattr(aws.sweeper, "_listed", listing_then_commit)
    assert aws.sweeper.collect(Incarnation("a/s", OLD)) == 0
    assert objects(aws) == [key]


@pytest.mark.slow
def test_a_weekly_sweep_that_runs_out_of_time_goes_on_in_another_run(aws):
    put_objects(aws, OLD, key="a/one")
    put_objects(aws, OLD, key="b/two")
    weekly.handler(run(), context(1))
    assert {key.split("/")[1] for key in objects(aws)} == {"b"}
    continuation = messages_of(aws, aws.weekly_url)
    assert [each["body"] for each in continuation["Records"]] == [f'{{"after":"a/one/{OLD}"}}']
    weekly.handler(continuation, context())
    assert not objects(aws)
    assert not messages_of(aws, aws.weekly_url)["Records"]


def test_runs_out_of_time_end_when_everything_was_seen(aws):
    for number in range(3):
        aws.dynamodb.put_item(TableName="locks", Item=item(OLD, session_key=f"a/{number}"))
        put_objects(aws, OLD, key=f"a/{number}")
    event, rounds = run(), 0
    while event["Records"]:
        weekly.handler(event, context(1))
        event, rounds = messages_of(aws, aws.weekly_url), rounds + 1
        assert rounds < 10
    assert rounds == 4  # one for each incarnation that goes on, and one that finds nothing more
    assert len(objects(aws)) == 6


@pytest.mark.slow
def test_an_incarnation_that_cannot_be_swept_holds_up_no_other_and_is_tried_again(aws):
    # Whether this one lives is not known to a version that cannot read its item.
    aws.dynamodb.put_item(TableName="locks", Item=item(OLD, session_key="a/newer", schema=99))
    put_objects(aws, OLD, key="a/newer")
    put_objects(aws, OLD, key="b/unknown")
    weekly.handler(run(), context())
    assert {key.split("/")[2] for key in objects(aws)} == {"newer"}
    waiting = messages_of(aws)
    assert len(waiting["Records"]) == 1
    assert len(second_sweep.handler(waiting, None)["batchItemFailures"]) == 1  # and ends in the dead-letter queue


def test_a_weekly_sweep_that_cannot_list_comes_again(aws):
    aws.s3.delete_bucket(Bucket="bucket")
    with pytest.raises(aws.s3.exceptions.NoSuchBucket):
        weekly.handler(run(), context())


def test_a_scheduled_event_starts_the_weekly_sweep_at_the_beginning(aws):
    put_objects(aws, OLD)
    weekly.handler(run('{"version": "0", "detail-type": "Scheduled Event", "detail": {}}'), context())
    assert not objects(aws)


def test_the_functions_name_the_variable_that_is_missing():
    complete = {
        "SEGUE_BUCKET": "b",
        "SEGUE_LOCK_TABLE": "l",
        "SEGUE_SWEEPS_QUEUE_URL": "https://sweeps",
        "SEGUE_WEEKLY_QUEUE_URL": "https://weekly",
    }
    assert read_environment(WeeklyEnvironment, complete).weekly_queue_url == "https://weekly"
    for name in complete:
        with pytest.raises(EnvironmentInvalid, match=name):
            read_environment(WeeklyEnvironment, {**complete, name: ""})


def test_typed_and_plain_are_inverse():
    assert plain(item(OLD, tail=["0.1.x"], deleted=True))["tail"] == ["0.1.x"]
