"""Saved queries of the logs (CloudWatch Logs Insights)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.config import Config

WORKER: Final = "worker"
MESSAGE: Final = "gateway/message"
AUTHORIZER: Final = "gateway/authorizer"
TURN: Final = "turn/handler"
FIELDS: Final = "fields @timestamp, service, level, message"


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A query of some log groups."""

    name: str
    groups: tuple[str, ...]
    lines: tuple[str, ...]


QUERIES: Final = (
    Query(
        name="a session's story",
        groups=(WORKER, MESSAGE, TURN),
        lines=(
            f"{FIELDS}, session, epoch, reason, trace_id",
            "filter session = 'PRINCIPAL/SESSION'",
            "sort @timestamp asc",
            "limit 500",
        ),
    ),
    Query(
        name="a trace",
        groups=(WORKER, MESSAGE, TURN),
        lines=(f"{FIELDS}, session, reason", "filter trace_id = 'TRACE ID'", "sort @timestamp asc", "limit 500"),
    ),
    Query(
        name="handoffs and takeovers",
        groups=(WORKER,),
        lines=(
            "filter message = 'session opened'",
            "stats count(*) as sessions, avg(ms) as opened_ms, max(gap_ms) as gap_ms by reason, prepared, bin(5m)",
        ),
    ),
    Query(
        name="sessions lost",
        groups=(WORKER,),
        lines=(f"{FIELDS}, session, epoch", "filter message = 'session lost'", "sort @timestamp desc", "limit 200"),
    ),
    Query(
        name="what went wrong",
        groups=(WORKER, MESSAGE, TURN),
        lines=(
            "filter level in ['WARNING', 'ERROR', 'CRITICAL']",
            "stats count(*) as times by service, level, message",
        ),
    ),
    Query(
        name="who was refused",
        groups=(AUTHORIZER, MESSAGE, WORKER),
        lines=(
            "filter message in ['connection refused', 'socket refused', 'hello refused', 'message refused']",
            "stats count(*) as times by message, reason, code, bin(5m)",
        ),
    ),
    Query(
        name="claims",
        groups=(MESSAGE,),
        lines=("filter message = 'claim sent'", "stats count(*) as claims by reason, worker = 'any', bin(1m)"),
    ),
)


def save_queries(scope: Construct, config: Config) -> None:
    """Save each query as ``segue/<stage>/<name>``, without the groups that the deployment does not have."""
    deployed_groups = ((config.voice, (WORKER,)), (config.text, (TURN,)), (config.api, (MESSAGE, AUTHORIZER)))
    missing = {group for is_deployed, groups in deployed_groups if not is_deployed for group in groups}
    for number, query in enumerate(QUERIES):
        groups = [f"/segue/{config.stage}/{group}" for group in query.groups if group not in missing]
        if not groups:
            continue
        logs.CfnQueryDefinition(
            scope,
            f"Query{number}",
            name=f"segue/{config.stage}/{query.name}",
            query_string="\n| ".join(query.lines),
            log_group_names=groups,
        )
