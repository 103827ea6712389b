"""Cases of the checks of a network that is there already."""

from __future__ import annotations

from typing import Any

from infra.preflight import network
from infra.preflight.findings import State
from tests.support.answers import REGION, Refusal
from tests.unit.preflight.conftest import (
    EXISTING_VPC,
    FUNCTIONS,
    VPC,
    WORKERS,
    route,
    table,
)

WELL, SHORT, UNKNOWN, FAILS = State.WELL, State.SHORT, State.UNKNOWN, State.FAILS
PRIVATE = {**EXISTING_VPC, "network": "private"}
NAT, INTERNET = route("0.0.0.0/0", NatGatewayId="nat-1"), route("0.0.0.0/0", GatewayId="igw-1")
EGRESS = route("::/0", EgressOnlyInternetGatewayId="eigw-1")


def endpoint(service: str, *, private_dns: bool = True, tables: tuple[str, ...] = ()) -> dict[str, Any]:
    return {
        "VpcEndpointId": f"vpce-{service}",
        "VpcEndpointType": "Gateway" if tables else "Interface",
        "ServiceName": f"com.amazonaws.{REGION}.{service}",
        "State": "available",
        "PrivateDnsEnabled": private_dns,
        "RouteTableIds": list(tables),
    }


def tables(workers: list[dict[str, Any]], functions: list[dict[str, Any]]) -> dict[str, Any]:
    return {"RouteTables": [table(WORKERS, *workers), table(FUNCTIONS, *functions)]}


ALL_OF_THEM = (
    "s3 dynamodb sqs logs ecr.api ecr.dkr bedrock-runtime".split()  # noqa: SIM905 - as the finding lists them
)
CASES = [
    # check, settings, answers, states, words of what was found, words of the command
    # network
    (network.task_addresses, {}, {}, [], None, None),
    (network.task_addresses, {"network": "private"}, {}, [WELL], "enabled", None),
    (
        network.task_addresses,
        {"network": "private"},
        {"ecs__ListAccountSettings": {"settings": [{"name": "dualStackIPv6", "value": "disabled"}]}},
        [FAILS],
        "disabled",
        "aws ecs put-account-setting-default --name dualStackIPv6 --value enabled",
    ),
    (
        network.task_addresses,
        {"network": "private"},
        {"ecs__ListAccountSettings": {"settings": []}},
        [UNKNOWN],
        "not listed",
        "dualStackIPv6",
    ),
    (network.names, EXISTING_VPC, {}, [WELL], "both", None),
    (
        network.names,
        EXISTING_VPC,
        {
            "ec2__DescribeVpcAttribute": lambda given: {
                given["Attribute"][0].upper() + given["Attribute"][1:]: {
                    "Value": given["Attribute"] == "enableDnsSupport"
                }
            }
        },
        [FAILS],
        "without enableDnsHostnames",
        f"aws ec2 modify-vpc-attribute --vpc-id {VPC} --enable-dns-hostnames Value=true",
    ),
    (
        network.names,
        EXISTING_VPC,
        {"ec2__DescribeVpcAttribute": Refusal("InvalidVpcID.NotFound")},
        [FAILS],
        "is not there",
        "aws ec2 describe-vpcs",
    ),
    (network.subnets, EXISTING_VPC, {}, [WELL], "2 subnets", None),
    (
        network.subnets,
        EXISTING_VPC,
        {
            "ec2__DescribeSubnets": lambda given: {
                "Subnets": [
                    {"SubnetId": each, "VpcId": VPC, "AvailabilityZone": f"{REGION}b", "AvailableIpAddressCount": 3}
                    for each in given["SubnetIds"]
                ]
            }
        },
        [FAILS, SHORT],
        f"is in {REGION}b, not in {REGION}a",
        "vpc_zones",
    ),
    (
        network.subnets,
        EXISTING_VPC,
        {"ec2__DescribeSubnets": Refusal("InvalidSubnetID.NotFound", "subnet-1 does not exist")},
        [FAILS],
        "does not exist",
        "aws ec2 describe-subnets",
    ),
    (network.routes, EXISTING_VPC, {}, [WELL, WELL, WELL], "none with private DNS", None),
    (
        network.routes,
        EXISTING_VPC,
        {"ec2__DescribeVpcEndpoints": {"VpcEndpoints": [endpoint("execute-api")]}},
        [FAILS, WELL, WELL],
        "is a 403",
        "--vpc-endpoint-id vpce-execute-api",
    ),
    (
        network.routes,
        EXISTING_VPC,
        {"ec2__DescribeVpcEndpoints": {"VpcEndpoints": [endpoint("execute-api", private_dns=False)]}},
        [WELL, WELL, WELL],
        "none with private DNS",
        None,
    ),
    (
        network.routes,
        EXISTING_VPC,
        {"ec2__DescribeRouteTables": tables([INTERNET], [INTERNET])},
        [WELL, WELL, FAILS],
        None,
        "--nat-gateway-id",
    ),
    (
        network.routes,
        EXISTING_VPC,
        {"ec2__DescribeRouteTables": tables([INTERNET], [EGRESS])},
        [WELL, WELL, FAILS],
        "IPv6 to eigw-1",
        "--nat-gateway-id",
    ),
    (
        network.routes,
        EXISTING_VPC,
        {"ec2__DescribeRouteTables": {"RouteTables": [table(None, NAT)]}},
        [WELL, FAILS, WELL],
        None,
        "--gateway-id igw-",
    ),
    (network.routes, PRIVATE, {"ec2__DescribeRouteTables": tables([NAT], [NAT])}, [WELL, WELL, WELL], None, None),
    (
        network.routes,
        PRIVATE,
        {
            "ec2__DescribeRouteTables": tables([EGRESS], [NAT]),
            "ec2__DescribeVpcEndpoints": {
                "VpcEndpoints": [
                    *(endpoint(each) for each in ALL_OF_THEM[2:-1]),
                    *(endpoint(each, tables=(f"rtb-{WORKERS}",)) for each in ALL_OF_THEM[:2]),
                ]
            },
        },
        [WELL, FAILS, WELL, FAILS],
        None,
        f"com.amazonaws.{REGION}.bedrock-runtime",
    ),
    (
        network.routes,
        PRIVATE,
        {
            "ec2__DescribeRouteTables": tables([{**NAT, "State": "blackhole"}], [NAT]),
        },
        [WELL, FAILS, WELL, FAILS],
        None,
        "aws ec2 create-route",
    ),
]
