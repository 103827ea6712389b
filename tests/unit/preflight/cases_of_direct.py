"""Cases of the checks of the direct transport."""

from __future__ import annotations

from typing import Any

from infra.preflight import domain, network, quotas, roles
from infra.preflight.findings import State
from infra.preflight.quotas import BALANCERS, IN_A_ZONE, IN_ALL
from tests.support.answers import Refusal
from tests.unit.preflight.conftest import CERTIFICATE, EXISTING_VPC, WORKERS, route, table

WELL, SHORT, UNKNOWN, FAILS = State.WELL, State.SHORT, State.UNKNOWN, State.FAILS
DOOR = {"direct_domain_name": "live.example.com", "direct_certificate_arn": CERTIFICATE}
DIRECT = {"transport": "direct", **DOOR}
ZONED = {**DIRECT, "direct_zone_id": "Z0123456789"}
BOTH = {
    "transport": "both",
    **DOOR,
    "direct_zone_id": "Z0123456789",
    "domain_name": "voice.example.com",
    "domain_certificate_arn": CERTIFICATE,
    "domain_zone_id": "Z0123456789",
}
BALANCER = "subnet-0123456789abcdef2"
VPC_OF_ONES_OWN = {
    **{name: value for name, value in EXISTING_VPC.items() if name != "vpc_function_subnets"},
    **DIRECT,
    "network": "private",
    "vpc_balancer_subnets": BALANCER,
}
NAT, INTERNET = route("0.0.0.0/0", NatGatewayId="nat-1"), route("0.0.0.0/0", GatewayId="igw-1")


def limits(**changes: int) -> dict[str, Any]:
    found = {BALANCERS: 50, IN_A_ZONE: 500, IN_ALL: 3000} | {
        name.replace("_", "-"): each for name, each in changes.items()
    }
    return {"Limits": [{"Name": name, "Max": str(most)} for name, most in found.items()]}


def balancers(count: int) -> dict[str, Any]:
    return {"LoadBalancers": [{"Type": "network"}] * count + [{"Type": "application"}] * 60}


def issued_for(*names: str) -> dict[str, Any]:
    return {"Certificate": {"DomainName": names[0], "SubjectAlternativeNames": list(names), "Status": "ISSUED"}}


def routes_of_the_balancer(*routes: dict[str, Any]) -> dict[str, Any]:
    return {"RouteTables": [table(WORKERS, NAT), table(BALANCER, *routes)]}


CASES = [
    # check, settings, answers, states, words of what was found, words of the command
    (quotas.balancers, {}, {}, [], None, None),
    (quotas.balancers, DIRECT, {}, [WELL], "1 of 50", None),
    (
        quotas.balancers,
        DIRECT,
        {"elbv2__DescribeLoadBalancers": balancers(50)},
        [FAILS],
        "50 of 50",
        "list-service-quotas --service-code elasticloadbalancing",
    ),
    (
        quotas.balancers,
        DIRECT,
        {
            "elbv2__DescribeLoadBalancers": balancers(50),
            "cloudformation__DescribeStacks": {
                "Stacks": [{"StackName": "s", "CreationTime": "2026-01-02", "StackStatus": "UPDATE_COMPLETE"}]
            },
        },
        [SHORT],
        "50 of 50",
        None,
    ),
    (quotas.targets, {}, {}, [], None, None),
    (quotas.targets, DIRECT, {}, [WELL], "500", None),
    # 200 tasks beside as many: one quota for all zones; 400 beside as many: one in each.
    (quotas.targets, {**DIRECT, "worker_count_max": 200}, {}, [WELL], "500", None),
    (quotas.targets, {**DIRECT, "worker_count_max": 400}, {}, [WELL], "1000, 500 in each of 2 zones", None),
    (quotas.targets, {**DIRECT, "worker_count_max": 501}, {}, [SHORT], "1000, 500 in each", "request-service-quota"),
    (
        quotas.targets,
        {**DIRECT, "worker_count_max": 200},
        {"elbv2__DescribeAccountLimits": limits(**{IN_A_ZONE: 300})},
        [SHORT],
        "300",
        "elasticloadbalancing",
    ),
    (roles.balancers, {}, {}, [], None, None),
    (roles.balancers, DIRECT, {}, [WELL], "is there", None),
    (
        roles.balancers,
        DIRECT,
        {"iam__GetRole": Refusal("NoSuchEntity")},
        [SHORT],
        "at the first use",
        "create-service-linked-role --aws-service-name elasticloadbalancing.amazonaws.com",
    ),
    (domain.certificate, DIRECT, {}, [WELL], "ISSUED", None),
    (domain.certificate, BOTH, {}, [WELL, WELL], "ISSUED", None),
    (
        domain.certificate,
        BOTH,
        {"acm__DescribeCertificate": issued_for("voice.example.com")},
        [WELL, FAILS],
        "for voice.example.com",
        "--domain-name live.example.com",
    ),
    (domain.zone, DIRECT, {}, [], None, None),
    (domain.zone, BOTH, {}, [WELL, WELL], "example.com.", None),
    (
        domain.zone,
        ZONED,
        {"route53__GetHostedZone": Refusal("NoSuchHostedZone", status=404)},
        [FAILS],
        "does not exist",
        "-c direct_zone_id=",
    ),
    (
        domain.record,
        ZONED,
        {
            "route53__ListResourceRecordSets": {
                "ResourceRecordSets": [{"Name": "live.example.com.", "Type": "CNAME"}],
                "IsTruncated": False,
                "MaxItems": "10",
            }
        },
        [UNKNOWN],
        "CNAME",
        "change-resource-record-sets",
    ),
    # Without an API nothing is asked of API Gateway, nor of the message function's Lambda.
    (quotas.api_requests, DIRECT, {}, [], None, None),
    (quotas.throttle, DIRECT, {}, [], None, None),
    (quotas.lambda_concurrency, DIRECT, {}, [], None, None),
    (network.subnets, VPC_OF_ONES_OWN, {}, [WELL], "2 subnets", None),
    (
        network.routes,
        VPC_OF_ONES_OWN,
        {"ec2__DescribeRouteTables": routes_of_the_balancer(INTERNET)},
        [WELL, WELL],
        "igw-1",
        None,
    ),
    (
        network.routes,
        VPC_OF_ONES_OWN,
        {"ec2__DescribeRouteTables": routes_of_the_balancer(NAT)},
        [WELL, FAILS],
        "nat-1",
        "--gateway-id igw-",
    ),
]
