"""Quotas: the account's beside what the settings use at their most.

Codes of quotas are AWS's and do not change; quotas of Amazon Bedrock are found by their names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from infra.config import Config
from infra.constants import AVAILABILITY_ZONES
from infra.preflight import bootstrap
from infra.preflight.account import Account, NotAnsweredError, RefusedError
from infra.preflight.findings import Finding, State
from infra.preflight.needs import Needs, needs

FARGATE: Final = "L-3032A538"
FARGATE_SPOT: Final = "L-36FBB829"
API_REQUESTS: Final = "L-8A5B8E43"
LAMBDA_CONCURRENCY: Final = "L-B99A9384"
VPCS: Final = "L-F678F1CE"

UNRESERVED: Final = 100
"""Environments that Lambda keeps for functions that reserve none."""

OF_A_GROUP: Final = 1_000
"""Targets of a target group, by AWS's default; ``DescribeAccountLimits`` does not tell it."""
BALANCERS: Final = "network-load-balancers"
IN_A_ZONE: Final = "targets-per-availability-zone-per-network-load-balancer"
IN_ALL: Final = "targets-per-network-load-balancer"
_MORE_OF_BALANCERS: Final = (
    "aws service-quotas list-service-quotas --service-code elasticloadbalancing "
    "--query \"Quotas[?contains(QuotaName, 'Network Load Balancer')].[QuotaCode,QuotaName,Value]\", "
    "then aws service-quotas request-service-quota-increase"
)


def lambda_concurrency(account: Account, config: Config) -> Iterator[Finding]:
    """Environments of functions at once; a new account may have ten."""
    if not config.api:
        return  # the few others wait for one, and no caller with them
    limit = account.ask("lambda", "GetAccountSettings")["AccountLimit"]
    quota_now, free = limit["ConcurrentExecutions"], limit["UnreservedConcurrentExecutions"]
    needed = needs(config).environments
    # What is kept warm is taken as what is reserved, or out of it.
    reserved = max(config.message_concurrency or 0, config.provisioned_concurrency)
    state = State.WELL if free >= needed else State.SHORT
    if (reserved and free - reserved < UNRESERVED) or not free:
        # A service stack that is there may have reserved them before.
        state = State.SHORT if bootstrap.status(account, f"Segue-{config.stage}-Service") != "absent" else State.FAILS
    quota = max(needed, reserved) + UNRESERVED + quota_now - free
    yield Finding(
        check="quotas",
        subject="Lambda, environments at once",
        state=state,
        needed=f"{needed} at the most"
        + (f", {reserved} of them reserved or kept warm and {UNRESERVED} left" if reserved else ""),
        found=f"{quota_now}, {free} of them unreserved",
        mend=None if state is State.WELL else _increase("lambda", LAMBDA_CONCURRENCY, quota),
        page="docs/scale.md",
    )


def fargate(account: Account, config: Config) -> Iterator[Finding]:
    """Virtual CPUs on demand and on Spot: a deployment needs twice what runs."""
    if not config.voice:
        return
    need = needs(config)
    if need.vcpus:
        yield _vcpus(account, FARGATE, "Fargate, vCPUs on demand", need.vcpus, need.first_vcpus)
    if need.spot_vcpus:
        yield _vcpus(account, FARGATE_SPOT, "Fargate, vCPUs on Spot", need.spot_vcpus, 0)


def api_requests(account: Account, config: Config) -> Iterator[Finding]:
    """Requests a second of API Gateway, of all APIs together."""
    if not config.api:
        return
    need = needs(config)
    quota = _quota(account, "apigateway", API_REQUESTS)
    enough = quota >= need.requests
    yield Finding(
        check="quotas",
        subject="API Gateway, requests a second",
        state=State.WELL if enough else State.SHORT,
        needed=f"{need.requests:g} at the most ({need.frames:g} frames, as many answers)",
        found=f"{quota:g}",
        mend=None if enough else _increase("apigateway", API_REQUESTS, need.requests),
        page="docs/scale.md",
    )


def throttle(account: Account, config: Config) -> Iterator[Finding]:
    """The stage's throttle, capped by the setting ``account_message_rate``, beside what the account really has."""
    if not config.api:
        return
    quota, frames = _quota(account, "apigateway", API_REQUESTS), needs(config).frames
    limit = config.throttle_rate
    is_well = limit is None or frames <= limit <= quota
    yield Finding(
        check="quotas",
        subject="API Gateway, throttle of the stage",
        state=State.WELL if is_well else State.SHORT,
        needed=f"from {frames:g} frames, which come at the most, to {quota:g}, which the account has",
        found="none" if limit is None else f"{limit:g}, by account_message_rate={config.account_message_rate}",
        mend=None if is_well else f"-c account_message_rate={quota:g}, and ask for more if that is too few",
        page="docs/configuration.md",
    )


def model_streams(account: Account, config: Config) -> Iterator[Finding]:
    """Streams of the voice model at once, which bind first of all (docs/scale.md)."""
    if not config.voice or config.provider != "nova-sonic":
        return
    yield _streams(account, needs(config), str(config.model_id))


def vpcs(account: Account, config: Config) -> Iterator[Finding]:
    """Room for one more VPC, unless the service stack has made its own before."""
    if not config.voice or config.vpc_id:
        return
    present = account.ask_all("ec2", "DescribeVpcs", "Vpcs")
    quota = int(_quota(account, "vpc", VPCS))
    stack = f"Segue-{config.stage}-Service"
    has_own = any(_tag(vpc, "aws:cloudformation:stack-name") == stack for vpc in present)
    enough = has_own or len(present) < quota
    yield Finding(
        check="quotas",
        subject="VPCs of the region",
        state=State.WELL if enough else State.FAILS,
        needed="the stack's own" if has_own else "room for one more",
        found=f"{len(present)} of {quota}",
        mend=None
        if enough
        else f"{_increase('vpc', VPCS, quota + 1)} (or use a VPC that is there: the setting vpc_id)",
    )


def balancers(account: Account, config: Config) -> Iterator[Finding]:
    """Room for one more Network Load Balancer, unless the service stack has made its own before."""
    if not config.direct:
        return
    quota = _limits_of_balancers(account)[BALANCERS]
    listed = account.ask("elbv2", "DescribeLoadBalancers", PageSize=400)["LoadBalancers"]
    present = sum(each["Type"] == "network" for each in listed)
    has_own = present >= quota and bootstrap.status(account, f"Segue-{config.stage}-Service") != "absent"
    state = State.WELL if present < quota else State.SHORT if has_own else State.FAILS
    yield Finding(
        check="quotas",
        subject="Network Load Balancers of the region",
        state=state,
        needed="room for one more, or the stack's own among them",
        found=f"{present} of {quota}",
        mend=None if state is State.WELL else _MORE_OF_BALANCERS,
    )


def targets(account: Account, config: Config) -> Iterator[Finding]:
    """Targets: each task, and at a deployment its successor beside it."""
    if not config.direct:
        return
    limits = _limits_of_balancers(account)
    zones = len(config.vpc_zones.split(",")) if config.vpc_zones else AVAILABILITY_ZONES
    quota = limits[IN_A_ZONE] if config.crosses_zones else min(zones * limits[IN_A_ZONE], limits[IN_ALL], OF_A_GROUP)
    needed = needs(config).targets
    enough = quota >= needed
    yield Finding(
        check="quotas",
        subject="targets of the load balancer",
        state=State.WELL if enough else State.SHORT,
        needed=f"{needed}, while a deployment replaces all tasks",
        found=f"{quota}" + ("" if config.crosses_zones else f", {limits[IN_A_ZONE]} in each of {zones} zones"),
        mend=None if enough else _MORE_OF_BALANCERS,
        page="docs/scale.md",
    )


def _vcpus(account: Account, code: str, subject: str, needed: float, needed_at_once: float) -> Finding:
    quota = _quota(account, "fargate", code)
    state = State.WELL if quota >= needed else State.SHORT if quota >= needed_at_once else State.FAILS
    return Finding(
        check="quotas",
        subject=subject,
        state=state,
        needed=f"{needed:g} at the most, while a deployment replaces all tasks"
        + (f"; {needed_at_once:g} at once" if needed_at_once else ""),
        found=f"{quota:g}",
        mend=None if state is State.WELL else _increase("fargate", code, needed),
        page="docs/scale.md",
    )


def _streams(account: Account, need: Needs, model: str) -> Finding:
    quotas = account.ask_all("service-quotas", "ListServiceQuotas", "Quotas", ServiceCode="bedrock", MaxResults=100)
    matching = [each for each in quotas if _is_about(each["QuotaName"], model)]
    subject, needed = "Bedrock, streams at once", f"{need.sessions} at the most, one a session"
    if not matching:
        raise NotAnsweredError(f"no quota's name says that it is for concurrent requests of {model}")
    quota = max(matching, key=lambda each: each["Value"])
    state = State.WELL if quota["Value"] >= need.sessions else State.SHORT if quota["Value"] else State.FAILS
    return Finding(
        check="quotas",
        subject=subject,
        state=state,
        needed=needed,
        found=f"{quota['Value']:g} ({quota['QuotaName']})",
        mend=None if state is State.WELL else _increase("bedrock", quota["QuotaCode"], need.sessions),
        page="docs/scale.md",
    )


def _is_about(quota: str, model: str) -> bool:
    """True if a quota's name is of a model's concurrent requests (``amazon.nova-2-sonic-v1:0``, "Nova 2 Sonic")."""
    name = re.sub(r"[^a-z0-9]+", " ", quota.lower())
    words = re.sub(r"-v\d+(:\d+)?$", "", model.rsplit(".", 1)[-1].lower()).replace("-", " ")
    return "concurrent requests" in name and name.endswith(f" {words}")


def _quota(account: Account, service: str, code: str) -> float:
    """The account's quota, or AWS's default where none was ever applied."""
    try:
        answer = account.ask("service-quotas", "GetServiceQuota", ServiceCode=service, QuotaCode=code)
    except RefusedError as error:
        if error.code != "NoSuchResourceException":
            raise
        answer = account.ask("service-quotas", "GetAWSDefaultServiceQuota", ServiceCode=service, QuotaCode=code)
    return float(answer["Quota"]["Value"])


def _limits_of_balancers(account: Account) -> dict[str, int]:
    limits = account.ask("elbv2", "DescribeAccountLimits", PageSize=400)["Limits"]
    by_name = {each["Name"]: int(each["Max"]) for each in limits}
    for name in (BALANCERS, IN_A_ZONE, IN_ALL):
        if name not in by_name:
            raise NotAnsweredError(f"DescribeAccountLimits does not name {name}")
    return by_name


def _increase(service: str, code: str, value: float) -> str:
    return (
        "aws service-quotas request-service-quota-increase "
        f"--service-code {service} --quota-code {code} --desired-value {value:g}"
    )


def _tag(resource: dict[str, list[dict[str, str]]], name: str) -> str | None:
    return next((each["Value"] for each in resource.get("Tags", []) if each["Key"] == name), None)
