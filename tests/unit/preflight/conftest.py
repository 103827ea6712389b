"""Accounts that answer from a table: one in which everything is well, and what a test changes in it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

import pytest

from infra.config import Config, from_context
from infra.preflight.account import Account
from infra.preflight.findings import Finding
from tests.support.answers import REGION, Answer, Answers, Refusal

NUMBER = "123456789012"
WHEN = datetime(2026, 1, 2, tzinfo=UTC)
VPC = "vpc-0123456789abcdef0"
SECRET = f"arn:aws:secretsmanager:{REGION}:{NUMBER}:secret:provider-AbCdEf"
CERTIFICATE = f"arn:aws:acm:{REGION}:{NUMBER}:certificate/01234567-89ab-cdef-0123-456789abcdef"
WORKERS, FUNCTIONS = "subnet-0123456789abcdef0", "subnet-0123456789abcdef1"
EXISTING_VPC = {
    "vpc_id": VPC,
    "vpc_zones": f"{REGION}a",
    "vpc_worker_subnets": WORKERS,
    "vpc_function_subnets": FUNCTIONS,
}
DENIED = Refusal("AccessDeniedException", "not authorized to perform", 403)


def quota(value: float, name: str = "a quota", code: str = "L-00000000") -> dict[str, Any]:
    return {"Quota": {"QuotaCode": code, "QuotaName": name, "Value": value}}


def role(given: dict[str, Any]) -> Answer:
    name = given["RoleName"]
    arn = f"arn:aws:iam::{NUMBER}:role/aws-service-role/{name}"
    return {"Role": {"Path": "/", "RoleName": name, "RoleId": "AROAEXAMPLEEXAMPLE", "Arn": arn, "CreateDate": WHEN}}


def stack(name: str, status: str, **outputs: str) -> dict[str, Any]:
    listed = [{"OutputKey": key, "OutputValue": value} for key, value in outputs.items()]
    return {"Stacks": [{"StackName": name, "CreationTime": WHEN, "StackStatus": status, "Outputs": listed}]}


def availability(given: dict[str, Any], **changes: Any) -> Answer:
    open_to_all = {
        "modelId": given["modelId"],
        "agreementAvailability": {"status": "AVAILABLE"},
        "authorizationStatus": "AUTHORIZED",
        "entitlementAvailability": "AVAILABLE",
        "regionAvailability": "AVAILABLE",
    }
    return open_to_all | changes


def profile(given: dict[str, Any]) -> Answer:
    name = given["inferenceProfileIdentifier"]
    model = f"arn:aws:bedrock:{REGION}::foundation-model/{name.partition('.')[2]}"
    return {
        "inferenceProfileName": name,
        "inferenceProfileArn": f"arn:aws:bedrock:{REGION}:{NUMBER}:inference-profile/{name}",
        "models": [{"modelArn": model}],
        "inferenceProfileId": name,
        "status": "ACTIVE",
        "type": "SYSTEM_DEFINED",
    }


def route(destination: str, **target: str) -> dict[str, Any]:
    key = "DestinationIpv6CidrBlock" if ":" in destination else "DestinationCidrBlock"
    return {key: destination, "State": "active", **target}


def table(subnet: str | None, *routes: dict[str, Any]) -> dict[str, Any]:
    association = {"Main": True} if subnet is None else {"Main": False, "SubnetId": subnet}
    return {"RouteTableId": f"rtb-{subnet}", "Associations": [association], "Routes": list(routes)}


def subnets(given: dict[str, Any]) -> Answer:
    return {
        "Subnets": [
            {"SubnetId": each, "VpcId": VPC, "AvailabilityZone": f"{REGION}a", "AvailableIpAddressCount": 200}
            for each in given["SubnetIds"]
        ]
    }


def missing_stack(given: dict[str, Any]) -> Answer:
    return Refusal("ValidationError", f"Stack with id {given['StackName']} does not exist")


STREAMS = "On-demand InvokeModel concurrent requests for Amazon Nova 2 Sonic"


def well() -> dict[str, Answer]:
    """An account in which every check is well for every deployment of the tests."""
    nat, internet = route("0.0.0.0/0", NatGatewayId="nat-1"), route("0.0.0.0/0", GatewayId="igw-1")
    streams = [
        quota(9000, "On-demand InvokeModel concurrent requests for Amazon Nova Sonic", "L-1")["Quota"],
        quota(9000, STREAMS, "L-2")["Quota"],
        quota(9000, "On-demand InvokeModel concurrent requests for Amazon Nova 2 5 Sonic", "L-25")["Quota"],
        quota(9000, "On-demand InvokeModel requests per minute for Amazon Nova Lite", "L-3")["Quota"],
    ]
    return {
        "sts.GetCallerIdentity": {
            "UserId": "AROAEXAMPLE:me",
            "Account": NUMBER,
            "Arn": f"arn:aws:sts::{NUMBER}:assumed-role/deployer/me",
        },
        "sts.AssumeRole": {},
        "ssm.GetParameter": {"Parameter": {"Name": "version", "Type": "String", "Value": "27"}},
        "s3.HeadBucket": {},
        "cloudformation.DescribeStacks": missing_stack,
        "iam.GetRole": role,
        "lambda.GetAccountSettings": {
            "AccountLimit": {"ConcurrentExecutions": 20_000, "UnreservedConcurrentExecutions": 20_000}
        },
        "service-quotas.GetServiceQuota": quota(20_000),
        "service-quotas.ListServiceQuotas": {"Quotas": streams},
        "bedrock.GetFoundationModel": lambda given: {
            "modelDetails": {
                "modelArn": f"arn:aws:bedrock:{REGION}::foundation-model/{given['modelIdentifier']}",
                "modelId": given["modelIdentifier"],
            }
        },
        "bedrock.GetFoundationModelAvailability": availability,
        "bedrock.GetInferenceProfile": profile,
        "secretsmanager.DescribeSecret": {"ARN": SECRET, "Name": "provider"},
        "secretsmanager.GetSecretValue": {"ARN": SECRET, "Name": "provider", "SecretString": "sk-example"},
        "ecs.ListAccountSettings": {"settings": [{"name": "dualStackIPv6", "value": "enabled"}]},
        "ec2.DescribeVpcs": {"Vpcs": [{"VpcId": VPC}]},
        "ec2.DescribeVpcAttribute": lambda given: {
            given["Attribute"][0].upper() + given["Attribute"][1:]: {"Value": True}
        },
        "ec2.DescribeSubnets": subnets,
        "ec2.DescribeRouteTables": {"RouteTables": [table(WORKERS, internet), table(FUNCTIONS, nat)]},
        "ec2.DescribeVpcEndpoints": {"VpcEndpoints": []},
        "acm.DescribeCertificate": {
            "Certificate": {
                "DomainName": "example.com",
                "SubjectAlternativeNames": ["example.com", "*.example.com"],
                "Status": "ISSUED",
            }
        },
        "route53.GetHostedZone": {
            "HostedZone": {
                "Id": "/hostedzone/Z0123456789",
                "Name": "example.com.",
                "CallerReference": "x",
                "Config": {"PrivateZone": False},
            }
        },
        "route53.ListResourceRecordSets": {"ResourceRecordSets": [], "IsTruncated": False, "MaxItems": "10"},
        "elbv2.DescribeAccountLimits": {
            "Limits": [
                {"Name": "network-load-balancers", "Max": "50"},
                {"Name": "targets-per-availability-zone-per-network-load-balancer", "Max": "500"},
                {"Name": "targets-per-network-load-balancer", "Max": "3000"},
            ]
        },
        "elbv2.DescribeLoadBalancers": {"LoadBalancers": [{"Type": "network"}, {"Type": "application"}]},
        "xray.GetTraceSegmentDestination": {"Destination": "CloudWatchLogs", "Status": "ACTIVE"},
        "ecr.DescribeImages": {"imageDetails": []},
    }


@pytest.fixture(autouse=True)
def on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with docker, of the kind that images are for, and without settings of its own."""
    for name in ("AWS_REGION", "AMAZON_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "CDK_DOCKER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    monkeypatch.setattr("platform.system", lambda: "Linux")
    monkeypatch.setattr("infra.preflight.images.built_page", lambda _config: None)
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(
        "infra.preflight.images.subprocess.run",
        lambda command, **_: subprocess.CompletedProcess(command, 0, "28.1\n", ""),
    )


ANSWERS = Answers({})
"""The only one: making a client takes longer than all that a test asks of it."""
SESSION = ANSWERS.session()
CLIENTS: dict[str, Any] = {}


def account(**changes: Answer) -> Account:
    """The account with other answers; ``service__Operation=`` names one."""
    ANSWERS.table = well() | {name.replace("__", ".").replace("_", "-"): each for name, each in changes.items()}
    ANSWERS.asked = []
    found = Account(REGION, SESSION)
    found.id, found._clients = NUMBER, CLIENTS
    return found


def of(
    work: Callable[[Account, Config], Iterable[Finding]], settings: dict[str, Any], **changes: Answer
) -> list[Finding]:
    """The findings of one check, for these settings in the account with other answers."""
    return list(work(account(**changes), from_context(settings)))
