"""The network: IPv6 addresses for tasks of a private one; of a VPC that is there, its ways out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from infra.config import Config
from infra.preflight.account import Account, RefusedError
from infra.preflight.findings import Finding, State, judged
from infra.preflight.routes import VpcRoutes, read_vpc_routes

LEAST_ADDRESSES: Final = 8
"""Free addresses of a subnet below which a deployment may not find one for each new task or interface."""
PRIVATE_API_SENTENCE: Final = (
    "an execute-api interface endpoint with private DNS leads to private APIs only: every @connections POST through it "
    "is a 403"
)


def task_addresses(account: Account, config: Config) -> Iterator[Finding]:
    """ECS's account setting that gives tasks IPv6 addresses, the way out of a private network that the stack makes."""
    if not config.voice or config.network != "private" or config.vpc_id:
        return
    settings = account.ask_all("ecs", "ListAccountSettings", "settings", effectiveSettings=True)
    value = next((each["value"] for each in settings if each["name"] == "dualStackIPv6"), None)
    state = State.WELL if value == "enabled" else State.UNKNOWN if value is None else State.FAILS
    yield Finding(
        check="network",
        subject="ECS, dualStackIPv6",
        state=state,
        needed="enabled",
        found=value or "not listed",
        mend=None
        if state is State.WELL
        else "aws ecs put-account-setting-default --name dualStackIPv6 --value enabled",
    )


def names(account: Account, config: Config) -> Iterator[Finding]:
    """DNS of a VPC that is there: without it no endpoint is found under its usual name."""
    if not config.voice or config.vpc_id is None:
        return
    missing = []
    for attribute in ("enableDnsSupport", "enableDnsHostnames"):
        try:
            answer = account.ask("ec2", "DescribeVpcAttribute", VpcId=config.vpc_id, Attribute=attribute)
        except RefusedError as error:
            if error.code != "InvalidVpcID.NotFound":
                raise
            yield judged(
                "network",
                f"VPC {config.vpc_id}",
                holds=False,
                needed=f"is in {account.region}",
                found="is not there",
                mend="aws ec2 describe-vpcs --query 'Vpcs[].VpcId', then -c vpc_id=…",
            )
            return
        if not answer[attribute[0].upper() + attribute[1:]]["Value"]:
            missing.append(attribute)
    yield judged(
        "network",
        f"DNS of {config.vpc_id}",
        holds=not missing,
        needed="enableDnsSupport and enableDnsHostnames",
        found=f"without {', '.join(missing)}" if missing else "both",
        mend="; ".join(
            f"aws ec2 modify-vpc-attribute --vpc-id {config.vpc_id} --{_option(each)} Value=true" for each in missing
        ),
    )


def subnets(account: Account, config: Config) -> Iterator[Finding]:
    """The subnets that are named: in the VPC, each in its zone, with free addresses."""
    if not config.voice or config.vpc_id is None:
        return
    zones = str(config.vpc_zones).split(",")
    zone_of_subnet = {
        subnet: zone
        for part in (config.vpc_worker_subnets, config.vpc_function_subnets, config.vpc_balancer_subnets)
        if part is not None
        for subnet, zone in zip(part.split(","), zones, strict=True)
    }
    try:
        described = account.ask("ec2", "DescribeSubnets", SubnetIds=list(zone_of_subnet))["Subnets"]
    except RefusedError as error:
        if error.code != "InvalidSubnetID.NotFound":
            raise
        described = []
        wrong = [str(error)]
    else:
        wrong = [
            text
            for each in described
            if (text := _misplaced(each, str(config.vpc_id), zone_of_subnet[each["SubnetId"]]))
        ]
    yield judged(
        "network",
        "subnets",
        holds=not wrong,
        needed=f"in {config.vpc_id}, each in its zone of vpc_zones",
        found="; ".join(wrong) or f"{len(described)} subnets, as named",
        mend=f"aws ec2 describe-subnets --filters Name=vpc-id,Values={config.vpc_id} "
        "--query 'Subnets[].[SubnetId,AvailabilityZone]', then -c vpc_zones=… in the same order",
    )
    crowded = [each for each in described if each["AvailableIpAddressCount"] < LEAST_ADDRESSES]
    if crowded:
        yield Finding(
            check="network",
            subject="addresses of the subnets",
            state=State.SHORT,
            needed=f"{LEAST_ADDRESSES} free in each",
            found="; ".join(f"{each['SubnetId']}: {each['AvailableIpAddressCount']}" for each in crowded),
            mend="name larger subnets",
        )


def routes(account: Account, config: Config) -> Iterator[Finding]:
    """Ways out of the subnets: of tasks to AWS and the provider, of function and load balancer to where they lead."""
    if not config.voice or config.vpc_id is None:
        return
    routing = read_vpc_routes(account, config.vpc_id)
    if config.api:
        yield _private_dns(routing)
    for subnet in str(config.vpc_worker_subnets).split(","):
        yield _tasks(routing, subnet, config)
    for subnet in filter(None, (config.vpc_function_subnets or "").split(",")):
        yield _function(routing, subnet)
    for subnet in filter(None, (config.vpc_balancer_subnets or "").split(",")):
        yield _balancer(routing, subnet)
    services = _services(config)
    for subnet in str(config.vpc_worker_subnets).split(","):
        missing = routing.unreachable(subnet, services, public=config.network == "public")
        if missing:
            yield judged(
                "network",
                f"tasks in {subnet}, to AWS",
                holds=False,
                needed=", ".join(services),
                found=f"no route and no endpoint for {', '.join(missing)}",
                mend=f"aws ec2 create-vpc-endpoint --vpc-id {config.vpc_id} --vpc-endpoint-type Interface "
                f"--service-name com.amazonaws.{account.region}.{missing[0]} --subnet-ids {subnet} …, or a NAT gateway",
            )


def _private_dns(routing: VpcRoutes) -> Finding:
    endpoint = routing.private_names("execute-api")
    return judged(
        "network",
        "endpoint of execute-api",
        holds=not endpoint,
        needed="none with private DNS",
        found=f"there is one: {PRIVATE_API_SENTENCE}" if endpoint else "none with private DNS",
        mend="aws ec2 modify-vpc-endpoint --no-private-dns-enabled --vpc-endpoint-id "
        f"{endpoint or '…'} (or name subnets of another VPC)",
        page="docs/deploy.md#a-vpc-of-your-own",
    )


def _tasks(routing: VpcRoutes, subnet: str, config: Config) -> Finding:
    public = config.network == "public"
    route = routing.default_route(subnet)
    leads_out = route.startswith("igw-") if public else bool(route) and not route.startswith("igw-")
    return judged(
        "network",
        f"tasks in {subnet}",
        holds=leads_out,
        needed=f"an IPv4 route to {'an internet gateway' if public else 'a NAT or transit gateway'}",
        found=_described(routing, subnet),
        mend=f"aws ec2 create-route --route-table-id {routing.table(subnet)} --destination-cidr-block 0.0.0.0/0 "
        + ("--gateway-id igw-…" if public else "--nat-gateway-id nat-…"),
    )


def _function(routing: VpcRoutes, subnet: str) -> Finding:
    route = routing.default_route(subnet)
    # The stack gives addresses of IPv6 to functions and APIs only with a VPC of its own.
    leads_out = bool(route) and not route.startswith("igw-")
    return judged(
        "network",
        f"message function in {subnet}",
        holds=leads_out,
        needed="an IPv4 route to a NAT or transit gateway, for the public endpoint of execute-api",
        found=_described(routing, subnet) + ("; a function has no public address" if route.startswith("igw-") else ""),
        mend=f"aws ec2 create-route --route-table-id {routing.table(subnet)} --destination-cidr-block 0.0.0.0/0 "
        "--nat-gateway-id nat-…",
    )


def _balancer(routing: VpcRoutes, subnet: str) -> Finding:
    return judged(
        "network",
        f"load balancer in {subnet}",
        holds=routing.default_route(subnet).startswith("igw-"),
        needed="an IPv4 route to an internet gateway: a public subnet",
        found=_described(routing, subnet),
        mend=f"aws ec2 create-route --route-table-id {routing.table(subnet)} --destination-cidr-block 0.0.0.0/0 "
        "--gateway-id igw-…",
    )


def _services(config: Config) -> list[str]:
    services = ["s3", "dynamodb", "sqs", "logs", "ecr.api", "ecr.dkr"]
    if config.provider == "nova-sonic":
        services.append("bedrock-runtime")
    if config.provider_secret_arn is not None:
        services.append("secretsmanager")
    return services


def _described(routing: VpcRoutes, subnet: str) -> str:
    routes_by_family = {"IPv4": routing.default_route(subnet), "IPv6": routing.default_route(subnet, ipv6=True)}
    return ", ".join(f"{name} to {target}" for name, target in routes_by_family.items() if target) or "no default route"


def _misplaced(subnet: dict[str, Any], vpc: str, zone: str) -> str | None:
    if subnet["VpcId"] != vpc:
        return f"{subnet['SubnetId']} is in {subnet['VpcId']}"
    if subnet["AvailabilityZone"] != zone:
        return f"{subnet['SubnetId']} is in {subnet['AvailabilityZone']}, not in {zone}"
    return None


def _option(attribute: str) -> str:
    return {"enableDnsSupport": "enable-dns-support", "enableDnsHostnames": "enable-dns-hostnames"}[attribute]
