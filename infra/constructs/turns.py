"""The text worker: a function that takes one turn of one session an invocation, from a FIFO queue.

message function ──▶ queue, a group a session ──▶ handler ──▶ sessions, locks, clients
                       └─ tried five times ──▶ dead letters

A new version takes turns only after a test invocation of it: ``turn.trial`` builds the agent and tries its model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, cast

from aws_cdk import CfnElement, CustomResource, Duration, triggers
from aws_cdk import aws_apigatewayv2 as apigateway
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_event_sources as sources
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.config import DEFAULT_TEXT_MODEL_ID, Config
from infra.constants import SESSION_PREFIX, TURN_SECONDS
from infra.constructs.bedrock import model_arns
from infra.constructs.functions import Entry, live, python_function
from infra.constructs.layers import Layers
from infra.constructs.log_groups import end_logs_of_cdks_own
from infra.constructs.management import allow_connections, management_endpoint
from infra.constructs.queues import RECEIVES_BEFORE_DEAD_LETTER
from infra.constructs.storage import Storage

TURN_TIMEOUT: Final = Duration.seconds(TURN_SECONDS)

VISIBILITY_TIMEOUTS: Final = 6
"""A message stays hidden for this many timeouts, as Lambda asks for: it also waits for a throttled function. A turn
that has begun hides its own message for a few seconds at a time, so that one that dies is taken again soon."""

MEMORY_MB: Final = 1769
"""One whole CPU: importing Strands is most of a cold start."""

TRIAL_TIMEOUT: Final = Duration.seconds(150)
"""Longer than the function's own, which then says what takes so long."""

_TRIGGERS: Final = "AWSCDK.TriggerCustomResourceProviderCustomResourceProvider"
"""CDK's function that invokes a version."""

MODEL_ACTIONS: Final = ["bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream"]
OBJECT_ACTIONS: Final = ["s3:DeleteObject", "s3:GetObject", "s3:PutObject"]


class TurnsQueue(Construct):
    """Texts that wait for their turn.

    Attributes:
        queue: Ordered within a session, and with the throughput of as many partitions as there are sessions.
        dead_letters: Texts that were tried five times.
    """

    def __init__(self, scope: Construct, construct_id: str) -> None:
        super().__init__(scope, construct_id)
        self.dead_letters = sqs.Queue(
            self,
            "DeadLetters",
            fifo=True,
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            retention_period=Duration.days(14),
        )
        self.queue = sqs.Queue(
            self,
            "Queue",
            fifo=True,
            deduplication_scope=sqs.DeduplicationScope.MESSAGE_GROUP,
            fifo_throughput_limit=sqs.FifoThroughputLimit.PER_MESSAGE_GROUP_ID,
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            visibility_timeout=Duration.seconds(VISIBILITY_TIMEOUTS * int(TURN_TIMEOUT.to_seconds())),
            # Five tries fit in, should none of them get to say for how long its message is hidden.
            retention_period=Duration.hours(4),
            dead_letter_queue=sqs.DeadLetterQueue(
                queue=self.dead_letters, max_receive_count=RECEIVES_BEFORE_DEAD_LETTER
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnParts:
    """Resources that the text worker is connected to."""

    storage: Storage
    layers: Layers
    stage: apigateway.WebSocketStage
    queue: TurnsQueue


class Turns(Construct):
    """The function and what invokes it.

    Attributes:
        function: Takes turns.
        live: Where texts go: the version of it that passed its test invocation.
        trial: The test invocation; None where there are no versions.
        queue: Where they wait.
        dead_letters: Where they end that could not be taken.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        config: Config,
        parts: TurnParts,
        *,
        reserved_concurrency: int | None = None,
    ) -> None:
        """Add the text worker.

        Args:
            scope: Where.
            construct_id: Under which name.
            config: The deployment.
            parts: What it is connected to.
            reserved_concurrency: Turns at the same time at most, taken from the account's; None: as many as there are.
        """
        super().__init__(scope, construct_id)
        self._config, self._parts = config, parts
        self._model_id = config.text_model_id or next(iter(DEFAULT_TEXT_MODEL_ID.values()))
        self.queue, self.dead_letters = parts.queue.queue, parts.queue.dead_letters
        entry = Entry(
            package="turn",
            name="handler",
            timeout=TURN_TIMEOUT,
            environment=self._environment(),
            imports=("worker",),
            versions=parts.layers.turn,
            memory_mb=MEMORY_MB,
        )
        self.function = python_function(
            self, config, parts.layers, entry, reserved_concurrent_executions=reserved_concurrency
        )
        self._grant(self.function)
        self.live = live(self.function, config)
        self.live.add_event_source(sources.SqsEventSource(self.queue, batch_size=1, report_batch_item_failures=True))
        self.trial = self._trial(self.function, self.live) if config.target.versions else None

    def _trial(self, function: lambda_.Function, live: lambda_.Function | lambda_.Alias) -> triggers.Trigger:
        """Invoke a new version once; if that fails, the alias stays and the stack goes back."""
        trial = triggers.Trigger(self, "Trial", handler=function, timeout=TRIAL_TIMEOUT, execute_before=[live])
        # Named after the version: it is another resource each time. An update would be undone by invoking the version
        # before, which fails too where the model is at fault, and the stack could not go back.
        version = cast("CfnElement", function.current_version.node.default_child)
        resource = cast("CfnElement", cast("CustomResource", trial.node.default_child).node.default_child)
        resource.override_logical_id(f"Trial{version.logical_id}")
        end_logs_of_cdks_own(self, "TrialLogs", self._config, _TRIGGERS, "trial")
        return trial

    def _environment(self) -> dict[str, str]:
        config, storage, stage = self._config, self._parts.storage, self._parts.stage
        environment = {
            "SEGUE_BUCKET": storage.bucket.bucket_name,
            "SEGUE_LOCK_TABLE": storage.lock_table.table_name,
            "SEGUE_CONNECTIONS_TABLE": storage.connections_table.table_name,
            "SEGUE_TURNS_QUEUE_URL": self.queue.queue_url,
            "SEGUE_MANAGEMENT_ENDPOINT": management_endpoint(config, stage),
            "SEGUE_LEASE_SECONDS": str(config.lease_seconds),
            "SEGUE_HEARTBEAT_SECONDS": str(config.heartbeat_seconds),
            "SEGUE_RETENTION_DAYS": str(config.retention_days),
            "SEGUE_APPROVAL_SECONDS": str(config.approval_seconds),
            "SEGUE_PROVIDER": config.provider,
        }
        if config.hidden_tool_errors:
            environment["SEGUE_TOOL_ERRORS"] = config.hidden_tool_errors
        return environment if config.offline else environment | {"SEGUE_TEXT_MODEL_ID": self._model_id}

    def _grant(self, function: lambda_.Function) -> None:
        storage, stage = self._parts.storage, self._parts.stage
        storage.lock_table.grant(function, "dynamodb:GetItem", "dynamodb:UpdateItem")
        storage.connections_table.grant(function, "dynamodb:Query")
        bucket = storage.bucket
        _allow(function, OBJECT_ACTIONS, bucket.arn_for_objects(f"{SESSION_PREFIX}*"))
        # As for the workers: with a condition on the prefix, a missing object could not be told from a forbidden one.
        _allow(function, ["s3:ListBucket"], bucket.bucket_arn)
        allow_connections(function, stage, "POST")
        if not self._config.offline:
            _allow(function, MODEL_ACTIONS, *model_arns(self._model_id))


def _allow(function: lambda_.Function, actions: list[str], *resources: str) -> None:
    function.add_to_role_policy(iam.PolicyStatement(actions=actions, resources=list(resources)))
