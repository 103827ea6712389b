"""Watched resources and their metrics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_sqs as sqs

from infra.config import Config
from infra.constants import METRIC_DIMENSIONS, METRIC_NAMESPACE, WORKER_METRIC_SERVICE
from infra.constructs.claims import Claims
from infra.constructs.direct.balancer import Balancer
from infra.constructs.gateway import Gateway
from infra.constructs.janitor import Janitor
from infra.constructs.stopped import Stopped
from infra.constructs.storage import Storage
from infra.constructs.turns import Turns
from infra.constructs.workers import Workers

MINUTE: Final = Duration.minutes(1)
PAGE_METRICS_REGION: Final = "us-east-1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """The parts of a service stack; None for those that it does without."""

    gateway: Gateway | None
    storage: Storage
    claims: Claims
    janitor: Janitor
    workers: Workers | None
    stopped: Stopped | None
    turns: Turns | None
    distribution_id: str | None


def segue_metric(
    config: Config, name: str, statistic: str = "Sum", *, service: str = WORKER_METRIC_SERVICE
) -> cloudwatch.Metric:
    """A metric that Segue's own code reports.

    Args:
        config: The deployment.
        name: As in the tables of ``functions/worker/telemetry/metrics.py`` and ``functions/shared/metrics.py``.
        statistic: Of each minute.
        service: The part that reports it.
    """
    return cloudwatch.Metric(
        namespace=METRIC_NAMESPACE,
        metric_name=name,
        dimensions_map=dict(zip(METRIC_DIMENSIONS, (service, config.stage), strict=True)),
        period=MINUTE,
        statistic=statistic,
        label=name if statistic == "Sum" else f"{name} {statistic}",
    )


def api_metric(gateway: Gateway, name: str, statistic: str = "Sum") -> cloudwatch.Metric:
    """A metric of the WebSocket API."""
    return gateway.api.metric(name, period=MINUTE, statistic=statistic, label=name)


def target_metric(balancer: Balancer, name: str, statistic: str) -> cloudwatch.Metric:
    """A metric of the workers as the load balancer's targets."""
    return _load_balancer_metric(name, statistic, balancer, {"TargetGroup": balancer.group.target_group_full_name})


def balancer_metric(balancer: Balancer, name: str, statistic: str = "Sum") -> cloudwatch.Metric:
    """A metric of the load balancer."""
    return _load_balancer_metric(name, statistic, balancer, {})


def _load_balancer_metric(
    name: str, statistic: str, balancer: Balancer, dimensions: dict[str, str]
) -> cloudwatch.Metric:
    return cloudwatch.Metric(
        namespace="AWS/NetworkELB",
        metric_name=name,
        dimensions_map={"LoadBalancer": balancer.balancer.load_balancer_full_name, **dimensions},
        period=MINUTE,
        statistic=statistic,
        label=name,
    )


def messages_waiting(queue: sqs.Queue, label: str) -> cloudwatch.Metric:
    """Messages in a queue."""
    return queue.metric_approximate_number_of_messages_visible(period=MINUTE, statistic="Maximum", label=label)


def oldest_message_age(queue: sqs.IQueue, label: str) -> cloudwatch.Metric:
    """Age of a queue's oldest message, in seconds."""
    return queue.metric_approximate_age_of_oldest_message(period=MINUTE, statistic="Maximum", label=label)


def table_metric(watched_table: dynamodb.Table, name: str, label: str) -> cloudwatch.Metric:
    """A metric of a table."""
    return watched_table.metric(name, period=MINUTE, statistic="Sum", label=label)


def page_metric(distribution_id: str, name: str, statistic: str) -> cloudwatch.Metric:
    """A metric of the page's distribution: CloudFront tells it in one region, wherever the deployment is."""
    return cloudwatch.Metric(
        namespace="AWS/CloudFront",
        metric_name=name,
        dimensions_map={"DistributionId": distribution_id, "Region": "Global"},
        region=PAGE_METRICS_REGION,
        period=MINUTE,
        statistic=statistic,
        label=name,
    )
