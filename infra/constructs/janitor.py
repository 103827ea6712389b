"""The janitor: three functions that delete the objects of sessions that have ended.

    lock table's stream ──filters──▶ ended ──┬─▶ deletes
                                             └─▶ sweeps queue ──15 min, four times──▶ again ──▶ deletes once more
    Sunday night ──▶ weekly queue ──▶ weekly ──┬─▶ deletes what no guard item knows
                          ▲                    ├─▶ sweeps queue: an incarnation that could not be deleted
                          └─ where it ended ───┘

It belongs to the service stack. While that stack is not there, the stream keeps what happened for a day (the next
deployment reads it from its beginning), and the weekly sweep finds what is older.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from aws_cdk import Duration
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_event_sources as sources
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.config import Config
from infra.constants import SESSION_PREFIX
from infra.constructs.functions import Entry, python_function
from infra.constructs.layers import Layers
from infra.constructs.queues import dead_letters, queue
from infra.constructs.storage import Storage

SWEEP_TIMEOUT: Final = Duration.minutes(2)
"""One batch of incarnations. A request deletes a thousand objects, and a session of 100,000 messages has fewer."""
WEEKLY_TIMEOUT: Final = Duration.minutes(15)
"""The most that Lambda gives; the function goes on in another invocation a minute before."""
RECEIVES_PER_TIMEOUT: Final = 6
"""A message stays hidden for this many timeouts, as Lambda asks for: it also waits for a throttled function."""
BATCH: Final = 10
STREAM_RETRIES: Final = 10
STREAM_MAX_AGE: Final = Duration.hours(6)
"""A record of the stream holds up those behind it, so it is given up; the weekly sweep finds that incarnation."""

ENDED_FILTERS: Final[tuple[dict[str, Any], ...]] = (
    # Gone: by TTL, or by hand.
    {"eventName": ["REMOVE"]},
    # A tombstone.
    {"dynamodb": {"NewImage": {"deleted": {"BOOL": [True]}}}},
    # A new incarnation over an expired item. No filter can say "born changed": it compares constants only. But only
    # the write that begins an incarnation sets the beat to 0, and all later ones raise it, except the release of a
    # session in which nothing happened; the function finds that this is no end.
    {"dynamodb": {"NewImage": {"beat": {"N": ["0"]}}, "OldImage": {"born": {"S": [{"exists": True}]}}}},
)
"""Which records of the stream invoke ``ended``; one of them has to match. Every commit and every heartbeat is a record
too, and must cost nothing. A test holds this against each write of ``segue.lease.transitions``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JanitorParts:
    """Resources that the janitor is connected to."""

    storage: Storage
    layers: Layers


class Janitor(Construct):
    """Functions, their queues and what calls them.

    Attributes:
        functions: By name: ended, again, weekly.
        failures: By what failed, the queues that only a person empties: ``ended`` (records of the stream),
            ``sweeps`` (incarnations) and ``weekly`` (runs).
    """

    def __init__(self, scope: Construct, construct_id: str, config: Config, parts: JanitorParts) -> None:
        super().__init__(scope, construct_id)
        self._config, self._parts = config, parts
        self.failures = {name: dead_letters(self, f"{name.capitalize()}Failures") for name in _FAILURES}
        self._sweeps = self._queue("Sweeps", self.failures["sweeps"], SWEEP_TIMEOUT)
        self._weekly = self._queue("WeeklyRuns", self.failures["weekly"], WEEKLY_TIMEOUT)
        self.functions = {"ended": self._first_sweep(), "again": self._second_sweep(), "weekly": self._weekly_search()}

    def _first_sweep(self) -> lambda_.Function:
        function = self._function("ended", SWEEP_TIMEOUT, {})
        function.add_event_source(
            sources.DynamoEventSource(
                self._parts.storage.lock_table,
                starting_position=lambda_.StartingPosition.TRIM_HORIZON,
                filters=[lambda_.FilterCriteria.filter(each) for each in ENDED_FILTERS],
                batch_size=BATCH,
                bisect_batch_on_error=True,
                report_batch_item_failures=True,
                retry_attempts=STREAM_RETRIES,
                max_record_age=STREAM_MAX_AGE,
                on_failure=sources.SqsDlq(self.failures["ended"]),
            )
        )
        return function

    def _second_sweep(self) -> lambda_.Function:
        # Its resources keep the name that they have: with another, it would be another function with another log.
        function = self._function("again", SWEEP_TIMEOUT, {}, module="second_sweep")
        function.add_event_source(
            sources.SqsEventSource(self._sweeps, batch_size=BATCH, report_batch_item_failures=True)
        )
        return function

    def _weekly_search(self) -> lambda_.Function:
        function = self._function(
            "weekly",
            WEEKLY_TIMEOUT,
            {"SEGUE_WEEKLY_QUEUE_URL": self._weekly.queue_url},
            # A sweep of a large bucket goes round by its queue more than the 16 times after which Lambda takes it for
            # a mistake. It ends: each round begins behind the last.
            recursive_loop=lambda_.RecursiveLoop.ALLOW,
        )
        self._weekly.grant(function, "sqs:SendMessage")
        function.add_event_source(sources.SqsEventSource(self._weekly, batch_size=1))
        events.Rule(
            self,
            "EveryWeek",
            description="Segue: look for objects that no session knows",
            schedule=events.Schedule.cron(week_day="SUN", hour="3", minute="0"),
            targets=[
                targets.SqsQueue(
                    self._weekly,
                    message=events.RuleTargetInput.from_object({}),
                    dead_letter_queue=self.failures["weekly"],
                    retry_attempts=20,
                    max_event_age=Duration.hours(6),
                )
            ],
        )
        return function

    def _queue(self, construct_id: str, failed: sqs.Queue, timeout: Duration) -> sqs.Queue:
        visibility = Duration.seconds(RECEIVES_PER_TIMEOUT * int(timeout.to_seconds()))
        # Longer than five receipts take, so that what fails ends among the failures and not nowhere.
        return queue(self, construct_id, failed, visibility=visibility, retention=Duration.days(4))

    def _function(
        self, name: str, timeout: Duration, environment: dict[str, str], *, module: str | None = None, **more: Any
    ) -> lambda_.Function:
        storage = self._parts.storage
        variables = {
            "SEGUE_BUCKET": storage.bucket.bucket_name,
            "SEGUE_LOCK_TABLE": storage.lock_table.table_name,
            "SEGUE_SWEEPS_QUEUE_URL": self._sweeps.queue_url,
            **environment,
        }
        entry = Entry(package="janitor", name=name, timeout=timeout, environment=variables, module=module)
        function = python_function(self, self._config, self._parts.layers, entry, **more)
        storage.lock_table.grant(function, "dynamodb:GetItem")
        storage.allow_key(function)
        self._sweeps.grant(function, "sqs:SendMessage")
        bucket = storage.bucket
        for action, resource in (
            ("s3:ListBucket", bucket.bucket_arn),
            ("s3:DeleteObject", bucket.arn_for_objects(f"{SESSION_PREFIX}*")),
        ):
            function.add_to_role_policy(iam.PolicyStatement(actions=[action], resources=[resource]))
        return function


_FAILURES: Final = ("ended", "sweeps", "weekly")
