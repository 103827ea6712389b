"""Scaling of the workers' service: by sessions a task, and faster when claims have to wait."""

from __future__ import annotations

from typing import Final

from aws_cdk import Duration
from aws_cdk import aws_applicationautoscaling as scaling
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_sqs as sqs

from infra.config import Config
from infra.constants import ACTIVE_SESSIONS, METRIC_DIMENSIONS, METRIC_NAMESPACE, WORKER_METRIC_SERVICE

FILLED: Final = 0.7
"""Which part of a task's capacity is used before there are more: the rest is for who comes while these start, and for
the sessions of a task that goes."""

WAITING_SECONDS: Final = 10
WAITING_LONG_SECONDS: Final = 30
"""Ages of the oldest claim at which the service grows by a fifth and by a half. A claim waits only if no worker has
room; a caller waits with it."""


def sessions_per_task(config: Config) -> cloudwatch.Metric:
    """Sessions a worker holds on average, as the workers report it."""
    return cloudwatch.Metric(
        namespace=METRIC_NAMESPACE,
        metric_name=ACTIVE_SESSIONS,
        dimensions_map=dict(zip(METRIC_DIMENSIONS, (WORKER_METRIC_SERVICE, config.stage), strict=True)),
        period=Duration.minutes(1),
        statistic="Average",
    )


def scale(service: ecs.FargateService, config: Config, claims: sqs.IQueue) -> None:
    """Let a service keep up with its sessions.

    A task that is taken away gets SIGTERM and hands its sessions off, as at a deployment.
    """
    count = service.auto_scale_task_count(min_capacity=config.worker_count, max_capacity=config.worker_maximum)
    count.scale_to_track_custom_metric(
        "Sessions",
        metric=sessions_per_task(config),
        target_value=max(1, config.worker_capacity * FILLED),
        scale_out_cooldown=Duration.seconds(60),
        # Each task that goes hands its sessions to others, so they go slowly.
        scale_in_cooldown=Duration.minutes(10),
    )
    count.scale_on_metric(
        "WaitingClaims",
        metric=claims.metric_approximate_age_of_oldest_message(period=Duration.minutes(1), statistic="Maximum"),
        adjustment_type=scaling.AdjustmentType.PERCENT_CHANGE_IN_CAPACITY,
        min_adjustment_magnitude=1,
        evaluation_periods=1,
        cooldown=Duration.seconds(60),
        scaling_steps=[
            scaling.ScalingInterval(lower=WAITING_SECONDS, upper=WAITING_LONG_SECONDS, change=20),
            scaling.ScalingInterval(lower=WAITING_LONG_SECONDS, change=50),
        ],
    )
