"""The load balancer of the direct transport: room for one more, and for all workers as its targets."""

from collections.abc import Iterator
from typing import Final

from infra.config import Config
from infra.constructs.direct.balancer import crosses_zones
from infra.constructs.network import ZONES
from infra.preflight import bootstrap
from infra.preflight.account import Account, NotAnsweredError
from infra.preflight.findings import Finding, State
from infra.preflight.needs import needs

OF_A_GROUP: Final = 1_000
"""Targets of a target group, by AWS's default; `DescribeAccountLimits` does not tell it."""
BALANCERS: Final = "network-load-balancers"
IN_A_ZONE: Final = "targets-per-availability-zone-per-network-load-balancer"
IN_ALL: Final = "targets-per-network-load-balancer"
_INCREASE: Final = (
    "aws service-quotas list-service-quotas --service-code elasticloadbalancing "
    "--query \"Quotas[?contains(QuotaName, 'Network Load Balancer')].[QuotaCode,QuotaName,Value]\", "
    "then aws service-quotas request-service-quota-increase"
)


def room(account: Account, config: Config) -> Iterator[Finding]:
    """Room for one more Network Load Balancer, unless the service stack has made its own before."""
    if not config.direct:
        return
    has = _limits(account)[BALANCERS]
    listed = account.ask("elbv2", "DescribeLoadBalancers", PageSize=400)["LoadBalancers"]
    found = sum(each["Type"] == "network" for each in listed)
    made = found >= has and bootstrap.status(account, f"Segue-{config.stage}-Service") != "absent"
    state = State.WELL if found < has else State.SHORT if made else State.FAILS
    yield Finding(
        check="balancer",
        subject="Network Load Balancers of the region",
        state=state,
        needed="room for one more, or the stack's own among them",
        found=f"{found} of {has}",
        mend=None if state is State.WELL else _INCREASE,
    )


def targets(account: Account, config: Config) -> Iterator[Finding]:
    """Targets: each task, and at a deployment its successor beside it."""
    if not config.direct:
        return
    limits = _limits(account)
    zones = len(config.vpc_zones.split(",")) if config.vpc_zones else ZONES
    has = limits[IN_A_ZONE] if crosses_zones(config) else min(zones * limits[IN_A_ZONE], limits[IN_ALL], OF_A_GROUP)
    most = needs(config).targets
    enough = has >= most
    yield Finding(
        check="balancer",
        subject="targets of the load balancer",
        state=State.WELL if enough else State.SHORT,
        needed=f"{most}, while a deployment replaces all tasks",
        found=f"{has}" + ("" if crosses_zones(config) else f", {limits[IN_A_ZONE]} in each of {zones} zones"),
        mend=None if enough else _INCREASE,
        page="docs/scale.md",
    )


def _limits(account: Account) -> dict[str, int]:
    limits = account.ask("elbv2", "DescribeAccountLimits", PageSize=400)["Limits"]
    found = {each["Name"]: int(each["Max"]) for each in limits}
    for name in (BALANCERS, IN_A_ZONE, IN_ALL):
        if name not in found:
            raise NotAnsweredError(f"DescribeAccountLimits does not tell {name}")
    return found
