"""Log groups: one a function and one for the workers, each with an end to how long lines are kept."""

from __future__ import annotations

from typing import Final, cast

from aws_cdk import CfnResource, RemovalPolicy, Stack
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.config import Config

_RETENTION: Final = {
    1: logs.RetentionDays.ONE_DAY,
    3: logs.RetentionDays.THREE_DAYS,
    5: logs.RetentionDays.FIVE_DAYS,
    7: logs.RetentionDays.ONE_WEEK,
    14: logs.RetentionDays.TWO_WEEKS,
    30: logs.RetentionDays.ONE_MONTH,
    60: logs.RetentionDays.TWO_MONTHS,
    90: logs.RetentionDays.THREE_MONTHS,
    120: logs.RetentionDays.FOUR_MONTHS,
    150: logs.RetentionDays.FIVE_MONTHS,
    180: logs.RetentionDays.SIX_MONTHS,
    365: logs.RetentionDays.ONE_YEAR,
    400: logs.RetentionDays.THIRTEEN_MONTHS,
    545: logs.RetentionDays.EIGHTEEN_MONTHS,
    731: logs.RetentionDays.TWO_YEARS,
}


def log_group(scope: Construct, construct_id: str, config: Config, name: str) -> logs.LogGroup:
    """A log group ``/segue/<stage>/<name>``, deleted with its stack: log lines are no one's data."""
    return logs.LogGroup(
        scope,
        construct_id,
        log_group_name=f"/segue/{config.stage}/{name}",
        retention=_RETENTION[config.log_retention_days],
        removal_policy=RemovalPolicy.DESTROY,
    )


def end_logs_of_cdks_own(scope: Construct, construct_id: str, config: Config, provider: str, name: str) -> None:
    """Give one of CDK's own helper functions a log group of ours: its own would keep lines without an end.

    Args:
        scope: Where the log group is added.
        construct_id: Under which name.
        config: The deployment.
        provider: The name of the helper in its stack.
        name: Of the log group, after ``/segue/<stage>/cdk/``.
    """
    handler = cast("CfnResource", Stack.of(scope).node.find_child(provider).node.find_child("Handler"))
    group = log_group(scope, construct_id, config, f"cdk/{name}")
    handler.add_property_override("LoggingConfig.LogGroup", group.log_group_name)
