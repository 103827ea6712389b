"""Calls at once that the quotas of an account allow on the direct transport."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from benchmarks.scale.load import ASSUMED, Load
from infra.config import ROLLING
from infra.constants import AVAILABILITY_ZONES

CALLS_WANTED: Final = 10_000


class More(StrEnum):
    """Ways from the default to more."""

    REQUEST = "on request"
    GROWS = "grows by itself"
    SUBNETS = "larger subnets"


@dataclass(frozen=True)
class Bound:
    """A quota of the direct transport.

    Attributes:
        what: For people.
        limit: An account's without asking; None: no page was found that says it.
        need: Of one call, at the busiest.
        more: The way to more.
        source: Where the limit is from; empty if it is unknown.
    """

    what: str
    limit: float | None
    need: float
    more: More = More.REQUEST
    source: str = ""

    @property
    def adjustable(self) -> bool:
        """True if AWS raises it on request."""
        return self.more is More.REQUEST

    @property
    def calls(self) -> int | None:
        """Calls at once that it allows."""
        return None if self.limit is None else math.floor(self.limit / self.need)


_AWS: Final = "https://docs.aws.amazon.com"
_ELB: Final = f"{_AWS}/elasticloadbalancing/latest/network/load-balancer-limits.html"
_ECS: Final = f"{_AWS}/general/latest/gr/ecs-service.html"
_TABLES: Final = f"{_AWS}/amazondynamodb/latest/developerguide/ServiceQuotas.html"
_S3: Final = "https://repost.aws/knowledge-center/s3-object-key-naming-pattern"
_VPC: Final = f"{_AWS}/vpc/latest/userguide/amazon-vpc-limits.html"
_KMS: Final = f"{_AWS}/kms/latest/developerguide/requests-per-second.html"
_LOGS: Final = f"{_AWS}/general/latest/gr/cwl_region.html"

KMS_REQUESTS: Final = 0.01
"""Requests to KMS for each one to S3, with a bucket key: "up to 99 percent" fewer, says S3's page of bucket keys."""

LOG_REQUESTS: Final = 1.0
"""Requests to CloudWatch Logs of a task in a second; an assumption. Metrics are in the lines, so none is sent alone."""


def bounds(load: Load, sessions: int) -> list[Bound]:
    """The quotas, the tightest first; those that are not known last."""
    task = 1 / ASSUMED["sessions a task"]
    each = {name: load.peak(name) / sessions for name in ("table_writes", "puts", "gets")}
    tasks_at_deployment = ROLLING * task
    known = [
        Bound("Fargate: vCPUs on demand, twice at a deployment", 6, tasks_at_deployment, source=_ECS),
        Bound("load balancer: targets of a group, likewise", 1_000, tasks_at_deployment, source=_ELB),
        Bound(
            f"load balancer: targets in {AVAILABILITY_ZONES} zones, likewise",
            500 * AVAILABILITY_ZONES,
            tasks_at_deployment,
            source=_ELB,
        ),
        Bound("load balancer: targets in all, likewise", 3_000, tasks_at_deployment, source=_ELB),
        Bound("ECS: tasks of a service, likewise", 5_000, tasks_at_deployment, source=_ECS),
        Bound("VPC: network interfaces of a region, likewise", 5_000, tasks_at_deployment, source=_VPC),
        Bound(
            "VPC: addresses of two /20 subnets, likewise",
            8_182,
            tasks_at_deployment,
            More.SUBNETS,
            "`infra/constructs/network.py`",
        ),
        Bound("DynamoDB: write units a second and table", 40_000, each["table_writes"], source=_TABLES),
        Bound("S3: PUTs a second and partitioned prefix", 3_500, each["puts"], More.GROWS, _S3),
        Bound("KMS: requests a second", 10_000, (each["puts"] + each["gets"]) * KMS_REQUESTS, source=_KMS),
        Bound("CloudWatch Logs: PutLogEvents a second", 5_000, LOG_REQUESTS * tasks_at_deployment, source=_LOGS),
    ]
    unknown = [
        Bound("load balancer: connections, and new ones a second", None, 1.0),
        Bound("load balancer: how fast its capacity grows", None, 1.0, More.GROWS),
        Bound("Fargate: tracked connections of a task's network interface", None, 1.0),
    ]
    return sorted(known, key=lambda each: each.calls or 0) + unknown


def bounds_section(quotas: list[Bound]) -> str:
    """The page's section on quotas, with what binds first, as Markdown."""
    rows = [
        f"| {each.what} | {_number(each.limit)} | {_number(each.calls)} | {_remedy_text(each)} | {_source(each)} |"
        for each in quotas
    ]
    head = ["| quota | without asking | binds at calls | more | source |", "|---|--:|--:|---|---|"]
    title = "### Calls of an account on the direct transport"
    return "\n".join([title, "", *head, *rows, "", verdict(quotas), ""])


def verdict(quotas: list[Bound]) -> str:
    """Say which quota binds first: without asking, beside Fargate's, and with everything raised that AWS raises."""
    known = [each for each in quotas if each.calls is not None]
    first, second = known[:2]
    growing = next(each for each in known if each.more is More.GROWS)
    fixed = next(each for each in known if each.more is More.SUBNETS)
    return "\n".join(
        [
            "What binds first, the model aside:",
            "",
            f"- without asking: {_bound_text(first)}. The target of {CALLS_WANTED:,} is {_met_text(first)}.",
            f"- with that one raised: {_bound_text(second)}. The target is {_met_text(second)}.",
            f"- with all raised that AWS raises on request: {_bound_text(growing)}, until S3 has split the prefix.",
            f"- beyond that: {_bound_text(fixed)}.",
            f"- unknown: of {len(quotas) - len(known)} quotas no page gives a number, and nothing is said of them.",
        ]
    )


def _bound_text(bound: Bound) -> str:
    return f"*{bound.what.split(',')[0]}*, at {bound.calls:,} calls"


def _met_text(bound: Bound) -> str:
    return "met, as far as quotas are known" if (bound.calls or 0) >= CALLS_WANTED else "missed"


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:,.0f}"


def _remedy_text(each: Bound) -> str:
    return each.more if each.source else "unknown"


def _source(each: Bound) -> str:
    if not each.source:
        return "no page was found"
    return f"<{each.source}>" if each.source.startswith("https:") else each.source
