"""Handling of stopped worker tasks: the sessions that a task held are offered to the other workers.

ECS "task state change", STOPPED ──rule──▶ stopped ──▶ claims queue
                                    └─ tried three times ──▶ failures
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from aws_cdk import Duration
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_lambda_destinations as destinations
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.config import Config
from infra.constructs.functions import Entry, python_function
from infra.constructs.layers import Layers
from infra.constructs.queues import dead_letters
from infra.constructs.storage import Storage
from infra.constructs.workers import Workers

TIMEOUT: Final = Duration.seconds(60)
"""A worker's sessions are some dozens: two reads and a tenth of a request to the queue for each."""
RETRIES: Final = 2
MAX_AGE: Final = Duration.hours(1)
"""As long as a claim is worth something: those who still wait have said hello again by then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoppedParts:
    """Resources that the function is connected to."""

    storage: Storage
    layers: Layers
    claims: sqs.IQueue
    workers: Workers


class Stopped(Construct):
    """The rule and the function that it calls.

    Attributes:
        function: Offers what a stopped task held.
        failures: Stopped tasks whose sessions could not be offered; their clients find another worker as they speak.
    """

    def __init__(self, scope: Construct, construct_id: str, config: Config, parts: StoppedParts) -> None:
        super().__init__(scope, construct_id)
        connections = parts.storage.connections_table
        self.failures = dead_letters(self, "Failures")
        entry = Entry(
            package="gateway",
            name="stopped",
            timeout=TIMEOUT,
            environment={
                "SEGUE_CONNECTIONS_TABLE": connections.table_name,
                "SEGUE_CLAIMS_QUEUE_URL": parts.claims.queue_url,
            },
        )
        self.function = python_function(
            self,
            config,
            parts.layers,
            entry,
            retry_attempts=RETRIES,
            max_event_age=MAX_AGE,
            on_failure=destinations.SqsDestination(self.failures),
        )
        connections.grant(self.function, "dynamodb:Query", "dynamodb:DeleteItem")
        parts.storage.allow_key(self.function)
        parts.claims.grant(self.function, "sqs:SendMessage")
        workers = parts.workers
        events.Rule(
            self,
            "TaskStopped",
            description="Segue: a worker's task has stopped",
            event_pattern=events.EventPattern(
                source=["aws.ecs"],
                detail_type=["ECS Task State Change"],
                detail={
                    "lastStatus": ["STOPPED"],
                    "clusterArn": [workers.cluster.cluster_arn],
                    "group": [f"service:{workers.service.service_name}"],
                },
            ),
            targets=[
                targets.LambdaFunction(
                    self.function, dead_letter_queue=self.failures, retry_attempts=RETRIES, max_event_age=MAX_AGE
                )
            ],
        )
