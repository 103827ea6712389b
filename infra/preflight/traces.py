"""Traces: X-Ray takes them over OTLP only where CloudWatch's Transaction Search is turned on."""

from __future__ import annotations

from collections.abc import Iterator

from infra.config import Config
from infra.preflight.account import Account
from infra.preflight.findings import Finding, State, judged


def transaction_search(account: Account, config: Config) -> Iterator[Finding]:
    """The destination of trace segments."""
    if not config.trace_sampling_percent or config.trace_endpoint or not config.voice:
        return
    answer = account.ask("xray", "GetTraceSegmentDestination")
    destination, status = answer.get("Destination", "XRay"), answer.get("Status", "ACTIVE")
    yield judged(
        "traces",
        "Transaction Search",
        holds=(destination, status) == ("CloudWatchLogs", "ACTIVE"),
        needed="trace segments go to CloudWatchLogs, and it is ACTIVE",
        found=f"{destination}, {status}",
        mend="wait some minutes"
        if (destination, status) == ("CloudWatchLogs", "PENDING")
        else "aws xray update-trace-segment-destination --destination CloudWatchLogs",
        otherwise=State.SHORT,
        page="docs/operations.md#traces",
    )
