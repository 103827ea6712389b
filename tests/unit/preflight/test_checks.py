"""Each check in its states: an account in which all is well, and one change that is not."""

from __future__ import annotations

import subprocess
from functools import partial
from typing import Any

import pytest

from infra.preflight import bootstrap, domain, identity, images, models, network, quotas, roles, secret, traces
from infra.preflight.account import Account, NotAllowedError
from infra.preflight.findings import State
from tests.support.answers import REGION, Refusal
from tests.unit.preflight.conftest import (
    CERTIFICATE,
    DENIED,
    EXISTING_VPC,
    FUNCTIONS,
    NUMBER,
    SECRET,
    STREAMS,
    VPC,
    WHEN,
    WORKERS,
    availability,
    of,
    quota,
    route,
    stack,
    table,
)

WELL, SHORT, UNKNOWN, FAILS = State.WELL, State.SHORT, State.UNKNOWN, State.FAILS
DOMAIN = {
    "domain_name": "voice.example.com",
    "domain_certificate_arn": CERTIFICATE,
    "domain_zone_id": "Z0123456789",
}
GEMINI = {"provider": "gemini-live", "provider_secret_arn": SECRET}
SONIC = {"model_id": "amazon.nova-2-sonic-v1:0"}
TEXT = {"text_model_id": "amazon.nova-lite-v1:0"}
PROFILE = {"text_model_id": "us.amazon.nova-lite-v1:0"}
PRIVATE = {**EXISTING_VPC, "network": "private"}
ECR = {"worker_image": f"{NUMBER}.dkr.ecr.{REGION}.amazonaws.com/segue/worker:7"}
NAT, INTERNET = route("0.0.0.0/0", NatGatewayId="nat-1"), route("0.0.0.0/0", GatewayId="igw-1")
EGRESS = route("::/0", EgressOnlyInternetGatewayId="eigw-1")


def limits(all_of_them: int, free: int) -> dict[str, Any]:
    return {"AccountLimit": {"ConcurrentExecutions": all_of_them, "UnreservedConcurrentExecutions": free}}


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


def certificate(**changes: Any) -> dict[str, Any]:
    return {"Certificate": {"DomainName": "voice.example.com", "Status": "ISSUED"} | changes}


def zone(name: str, *, private: bool = False) -> dict[str, Any]:
    return {"HostedZone": {"Id": "Z", "Name": name, "CallerReference": "x", "Config": {"PrivateZone": private}}}


def streams(value: float) -> dict[str, Any]:
    older = quota(9000, STREAMS.replace("Nova 2", "Nova"), "L-1")["Quota"]
    return {"Quotas": [older, quota(value, STREAMS, "L-2")["Quota"]]}


ALL_OF_THEM = (
    "s3 dynamodb sqs logs ecr.api ecr.dkr bedrock-runtime".split()  # noqa: SIM905 - as the finding lists them
)

CASES = [
    # check, settings, answers, states, words of what was found, words of the command
    (identity.caller, {}, {}, [WELL], "assumed-role/deployer", None),
    (
        identity.caller,
        {},
        {"sts__GetCallerIdentity": Refusal("ExpiredToken", "it has expired", 403)},
        [FAILS],
        "it has expired",
        "aws sso login",
    ),
    (
        identity.caller,
        {},
        {"sts__GetCallerIdentity": {"UserId": "x", "Account": NUMBER, "Arn": f"arn:aws:iam::{NUMBER}:root"}},
        [SHORT],
        ":root",
        "sign in as a role",
    ),
    (identity.region, {}, {}, [WELL], REGION, None),
    # bootstrap
    (bootstrap.version, {}, {}, [WELL], "27", None),
    (
        bootstrap.version,
        {},
        {"ssm__GetParameter": Refusal("ParameterNotFound")},
        [FAILS],
        "not bootstrapped",
        f"npx cdk bootstrap aws://{NUMBER}/{REGION}",
    ),
    (
        bootstrap.version,
        {},
        {"ssm__GetParameter": {"Parameter": {"Name": "x", "Type": "String", "Value": "5"}}},
        [FAILS],
        "5",
        "npx cdk bootstrap",
    ),
    (
        bootstrap.version,
        {},
        {
            "ssm__GetParameter": DENIED,
            "cloudformation__DescribeStacks": stack("CDKToolkit", "CREATE_COMPLETE", BootstrapVersion="21"),
        },
        [WELL],
        "21",
        None,
    ),
    (bootstrap.version, {}, {"ssm__GetParameter": DENIED}, [FAILS], "not bootstrapped", "npx cdk bootstrap"),
    (bootstrap.bucket, {}, {}, [WELL], f"cdk-hnb659fds-assets-{NUMBER}-{REGION}", None),
    (bootstrap.bucket, {}, {"s3__HeadBucket": Refusal("404", "Not Found", 404)}, [FAILS], "none", "CDKToolkit"),
    (bootstrap.deploy_role, {}, {}, [WELL], "may be assumed", None),
    (
        bootstrap.deploy_role,
        {},
        {"sts__AssumeRole": Refusal("AccessDenied", "", 403)},
        [SHORT],
        "may not assume",
        "sts:AssumeRole",
    ),
    (bootstrap.stacks, {}, {}, [WELL, WELL], "absent", None),
    (
        bootstrap.stacks,
        {},
        {"cloudformation__DescribeStacks": stack("x", "UPDATE_COMPLETE")},
        [WELL, WELL],
        "UPDATE_COMPLETE",
        None,
    ),
    (
        bootstrap.stacks,
        {"stage": "prod"},
        {"cloudformation__DescribeStacks": stack("x", "ROLLBACK_COMPLETE")},
        [SHORT, SHORT],
        "ROLLBACK_COMPLETE",
        "aws cloudformation delete-stack --stack-name Segue-prod-Data",
    ),
    (
        bootstrap.stacks,
        {},
        {"cloudformation__DescribeStacks": stack("x", "UPDATE_IN_PROGRESS")},
        [FAILS, FAILS],
        "UPDATE_IN_PROGRESS",
        "wait",
    ),
    (
        bootstrap.stacks,
        {},
        {
            "cloudformation__DescribeStacks": {
                "Stacks": [
                    {
                        "StackName": "x",
                        "CreationTime": WHEN,
                        "StackStatus": "ROLLBACK_COMPLETE",
                        "EnableTerminationProtection": True,
                    }
                ]
            }
        },
        [FAILS, FAILS],
        "ROLLBACK_COMPLETE",
        "--no-enable-termination-protection --stack-name Segue-dev-Data; aws cloudformation delete-stack",
    ),
    (
        bootstrap.stacks,
        {},
        {"cloudformation__DescribeStacks": stack("x", "UPDATE_ROLLBACK_FAILED")},
        [FAILS, FAILS],
        "UPDATE_ROLLBACK_FAILED",
        "aws cloudformation continue-update-rollback --stack-name Segue-dev-Service",
    ),
    (
        bootstrap.stacks,
        {},
        {"cloudformation__DescribeStacks": stack("x", "REVIEW_IN_PROGRESS")},
        [WELL, WELL],
        "REVIEW_IN_PROGRESS",
        None,
    ),
    # service-linked roles
    (roles.containers, {}, {}, [WELL], "is there", None),
    (
        roles.containers,
        {},
        {"iam__GetRole": Refusal("NoSuchEntity", "", 404)},
        [FAILS],
        "is not there",
        "aws iam create-service-linked-role --aws-service-name ecs.amazonaws.com",
    ),
    (roles.containers, {"workers": "text"}, {}, [], None, None),
    (roles.scaling, {}, {}, [WELL], "is there", None),
    (
        roles.scaling,
        {},
        {"iam__GetRole": Refusal("NoSuchEntity", "", 404)},
        [SHORT],
        "AWS makes it",
        "--aws-service-name ecs.application-autoscaling.amazonaws.com",
    ),
    (roles.domains, {}, {}, [], None, None),
    (roles.domains, DOMAIN, {}, [WELL], "is there", None),
    (
        roles.domains,
        DOMAIN,
        {"iam__GetRole": Refusal("NoSuchEntity", "", 404)},
        [SHORT],
        "AWS makes it",
        "ops.apigateway.amazonaws.com",
    ),
    # models
    (models.voice, SONIC, {}, [WELL, WELL], "listed", None),
    (models.voice, {"workers": "text"}, {}, [], None, None),
    (
        models.voice,
        SONIC,
        {"bedrock__GetFoundationModel": Refusal("ResourceNotFoundException", "", 404)},
        [FAILS],
        "not known there",
        "aws bedrock list-foundation-models",
    ),
    (models.voice, GEMINI, {}, [], None, None),
    (
        models.voice,
        SONIC,
        {"bedrock__GetFoundationModelAvailability": Refusal("ValidationException", "invalid model identifier")},
        [WELL, FAILS],
        f"not known in {REGION}",
        "Bedrock console",
    ),
    (
        models.voice,
        SONIC,
        {"bedrock__GetFoundationModelAvailability": partial(availability, authorizationStatus="NOT_AUTHORIZED")},
        [WELL, FAILS],
        "the authorization is NOT_AUTHORIZED",
        "amazon.nova-2-sonic-v1:0",
    ),
    (
        models.voice,
        SONIC,
        {
            "bedrock__GetFoundationModelAvailability": partial(
                availability, agreementAvailability={"status": "NOT_AVAILABLE"}
            )
        },
        [WELL, FAILS],
        "its agreement is NOT_AVAILABLE",
        "list-foundation-model-agreement-offers",
    ),
    (models.text, TEXT, {}, [WELL, WELL], "listed", None),
    (models.text, PROFILE, {}, [WELL, WELL], "listed", None),
    (models.text, {"workers": "voice", **TEXT}, {}, [], None, None),
    (
        models.text,
        PROFILE,
        {"bedrock__GetInferenceProfile": Refusal("ResourceNotFoundException", "", 404)},
        [FAILS],
        "not known there",
        "text_model_id",
    ),
    # secret
    (secret.key, {}, {}, [], None, None),
    (secret.key, GEMINI, {}, [WELL, WELL], "has a text", None),
    (
        secret.key,
        GEMINI,
        {"secretsmanager__DescribeSecret": Refusal("ResourceNotFoundException")},
        [WELL, FAILS],
        "does not exist",
        "aws secretsmanager",
    ),
    (
        secret.key,
        GEMINI,
        {"secretsmanager__GetSecretValue": Refusal("ResourceNotFoundException")},
        [WELL, FAILS],
        "has no text",
        "put-secret-value",
    ),
    (
        secret.key,
        GEMINI,
        {"secretsmanager__GetSecretValue": {"SecretString": "sk-example\n"}},
        [WELL, FAILS],
        "a line's end",
        "put-secret-value",
    ),
    (
        secret.key,
        GEMINI,
        {"secretsmanager__GetSecretValue": {"SecretString": '{"key": "sk-example"}'}},
        [WELL, FAILS],
        "is a JSON object",
        "put-secret-value",
    ),
    (
        secret.key,
        GEMINI,
        {"secretsmanager__DescribeSecret": {"KmsKeyId": f"arn:aws:kms:{REGION}:{NUMBER}:key/1"}},
        [WELL, WELL, UNKNOWN],
        "a key of yours",
        "kms:Decrypt",
    ),
    # quotas
    (quotas.lambda_concurrency, {}, {}, [WELL], "20000, 20000", None),
    (
        quotas.lambda_concurrency,
        {"expected_frame_rate": 200, "provisioned_concurrency": 0},
        {"lambda__GetAccountSettings": limits(10, 0)},
        [FAILS],
        "10, 0",
        "--service-code lambda --quota-code L-B99A9384",
    ),
    (quotas.fargate, {}, {}, [WELL], "20000", None),
    (quotas.fargate, {"worker_spot_percent": 50}, {}, [WELL, WELL], "20000", None),
    (quotas.fargate, {"worker_spot_percent": 100}, {}, [WELL], "20000", None),
    # 2 tasks of 1 vCPU: 4 at a first deployment, 20 at the most
    (
        quotas.fargate,
        {},
        {"service_quotas__GetServiceQuota": quota(6)},
        [SHORT],
        "6",
        "--service-code fargate --quota-code L-3032A538 --desired-value 20",
    ),
    (quotas.fargate, {}, {"service_quotas__GetServiceQuota": quota(3)}, [FAILS], "3", "--desired-value 20"),
    (
        quotas.fargate,
        {},
        {
            "service_quotas__GetServiceQuota": Refusal("NoSuchResourceException"),
            "service_quotas__GetAWSDefaultServiceQuota": quota(4000),
        },
        [WELL],
        "4000",
        None,
    ),
    (quotas.api_requests, {}, {}, [WELL], "20000", None),
    (
        quotas.api_requests,
        {},
        {"service_quotas__GetServiceQuota": quota(2500)},
        [SHORT],
        "2500",
        "--service-code apigateway --quota-code L-8A5B8E43 --desired-value 8000",
    ),
    (quotas.throttle, {}, {}, [WELL], "8000, by account_message_rate=10000", None),
    (quotas.throttle, {"expected_frame_rate": 0}, {}, [WELL], "none", None),
    (
        quotas.throttle,
        {},
        {"service_quotas__GetServiceQuota": quota(2500)},
        [SHORT],
        "8000, by account_message_rate=10000",
        "-c account_message_rate=2500",
    ),
    # 40 tasks of 40 sessions: more frames than the setting lets through, and than the account takes
    (
        quotas.throttle,
        {"worker_count": 4, "worker_count_max": 40},
        {},
        [SHORT],
        "10000, by account_message_rate=10000",
        "-c account_message_rate=20000",
    ),
    (quotas.model_streams, SONIC, {}, [WELL], STREAMS, None),
    (
        quotas.model_streams,
        SONIC,
        {"service_quotas__ListServiceQuotas": streams(20)},
        [SHORT],
        f"20 ({STREAMS})",
        "--service-code bedrock --quota-code L-2 --desired-value 400",
    ),
    (quotas.model_streams, SONIC, {"service_quotas__ListServiceQuotas": streams(0)}, [FAILS], "0 (", "L-2"),
    (quotas.vpcs, {}, {}, [WELL], "1 of 20000", None),
    (quotas.vpcs, EXISTING_VPC, {}, [], None, None),
    (
        quotas.vpcs,
        {},
        {"service_quotas__GetServiceQuota": quota(1)},
        [FAILS],
        "1 of 1",
        "--service-code vpc --quota-code L-F678F1CE --desired-value 2",
    ),
    (
        quotas.vpcs,
        {},
        {
            "service_quotas__GetServiceQuota": quota(1),
            "ec2__DescribeVpcs": {
                "Vpcs": [
                    {"VpcId": VPC, "Tags": [{"Key": "aws:cloudformation:stack-name", "Value": "Segue-dev-Service"}]}
                ]
            },
        },
        [WELL],
        "1 of 1",
        None,
    ),
    # image
    (images.builder, {}, {}, [WELL], "docker 28.1", None),
    (images.builder, ECR, {}, [], None, None),
    (images.given, {}, {}, [], None, None),
    (images.given, ECR, {}, [WELL], "is there", None),
    (
        images.given,
        ECR,
        {"ecr__DescribeImages": Refusal("ImageNotFoundException")},
        [FAILS],
        "is not there",
        "docker push",
    ),
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
    # domain
    (domain.certificate, {}, {}, [], None, None),
    (domain.certificate, DOMAIN, {}, [WELL], "ISSUED", None),
    (
        domain.certificate,
        DOMAIN,
        {"acm__DescribeCertificate": certificate(Status="PENDING_VALIDATION")},
        [FAILS],
        "PENDING_VALIDATION",
        "aws acm describe-certificate",
    ),
    (
        domain.certificate,
        DOMAIN,
        {"acm__DescribeCertificate": certificate(DomainName="*.voice.example.com")},
        [FAILS],
        "for *.voice.example.com",
        "aws acm request-certificate --domain-name voice.example.com",
    ),
    (
        domain.certificate,
        DOMAIN,
        {"acm__DescribeCertificate": Refusal("ResourceNotFoundException")},
        [FAILS],
        "does not exist",
        "aws acm request-certificate",
    ),
    (domain.zone, {}, {}, [], None, None),
    (domain.zone, DOMAIN, {}, [WELL], "example.com.", None),
    (domain.zone, DOMAIN, {"route53__GetHostedZone": zone("ample.com.")}, [FAILS], "ample.com.", "list-hosted-zones"),
    (
        domain.zone,
        DOMAIN,
        {"route53__GetHostedZone": zone("example.com.", private=True)},
        [FAILS],
        "private",
        "domain_zone_id",
    ),
    (
        domain.zone,
        DOMAIN,
        {"route53__GetHostedZone": Refusal("NoSuchHostedZone", "", 404)},
        [FAILS],
        "does not exist",
        "domain_zone_id",
    ),
    (domain.record, {}, {}, [], None, None),
    (domain.record, DOMAIN, {}, [WELL], "none", None),
    (
        domain.record,
        DOMAIN,
        {
            "route53__ListResourceRecordSets": {
                "ResourceRecordSets": [{"Name": "voice.example.com.", "Type": "A"}],
                "IsTruncated": False,
                "MaxItems": "10",
            }
        },
        [UNKNOWN],
        "A",
        "change-resource-record-sets",
    ),
    # traces
    (traces.transaction_search, {}, {}, [], None, None),
    (traces.transaction_search, {"trace_sampling_percent": 5}, {}, [WELL], "CloudWatchLogs, ACTIVE", None),
    (
        traces.transaction_search,
        {"trace_sampling_percent": 5},
        {"xray__GetTraceSegmentDestination": {"Destination": "XRay", "Status": "ACTIVE"}},
        [SHORT],
        "XRay",
        "aws xray update-trace-segment-destination --destination CloudWatchLogs",
    ),
    (
        traces.transaction_search,
        {"trace_sampling_percent": 5},
        {"xray__GetTraceSegmentDestination": {"Destination": "CloudWatchLogs", "Status": "PENDING"}},
        [SHORT],
        "PENDING",
        "wait",
    ),
]


@pytest.mark.parametrize(("check", "settings", "answers", "states", "found", "mend"), CASES)
def test_a_check_says_how_it_stands_and_the_command_that_mends_it(check, settings, answers, states, found, mend):
    findings = of(check, settings, **answers)

    assert [each.state for each in findings] == states, findings
    if found is not None:
        assert any(found in each.found for each in findings), findings
    wrong = [each for each in findings if each.state is not WELL]
    assert all(each.mend for each in wrong), "each finding that is not well says what mends it"
    assert not any(each.mend for each in findings if each.state is WELL)
    if mend is not None:
        assert any(mend in str(each.mend) for each in wrong), wrong


def test_every_check_is_tried_in_both_states():
    from infra.preflight.run import CHECKS, FIRST

    tried = {}
    for check, _settings, _answers, states, _found, _mend in CASES:
        tried.setdefault(check, set()).update(states)
    elsewhere = {identity.region, images.builder}  # they depend on this machine: the tests below
    for check in (FIRST, *CHECKS):
        assert WELL in tried[check.work], check
        assert check.work in elsewhere or tried[check.work] - {WELL}, check


def test_a_region_that_is_not_named_is_the_cdks_own_and_said_so():
    found = list(identity.region(Account(session=_without_region()), None))

    assert [(each.state, each.mend) for each in found] == [(SHORT, "export AWS_REGION=us-east-1")]


def test_the_region_is_found_as_the_cdk_finds_it(monkeypatch):
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    assert Account(session=_without_region()).region == "eu-west-1"
    monkeypatch.setenv("AWS_REGION", "eu-north-1")
    assert Account(session=_without_region()).region == "eu-north-1"
    assert Account("ap-south-1", _without_region()).region == "ap-south-1"


def _without_region() -> Any:
    from types import SimpleNamespace

    return SimpleNamespace(region_name=None)


def test_a_machine_of_another_kind_needs_emulation(monkeypatch, tmp_path):
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr(images, "EMULATORS", tmp_path)
    without = of(images.builder, {})
    (tmp_path / "qemu-aarch64").touch()
    emulated = of(images.builder, {})

    assert [each.state for each in without + emulated] == [FAILS, WELL]
    assert "binfmt --install arm64 (or deploy with -c architecture=x86_64)" in str(without[0].mend)
    assert [each.state for each in of(images.builder, {"architecture": "x86_64"})] == [WELL]


def test_a_builder_that_does_not_answer_is_named(monkeypatch):
    monkeypatch.setenv("CDK_DOCKER", "finch")
    monkeypatch.setattr(
        images.subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, 1, "", "no server")
    )
    (silent,) = of(images.builder, {})
    monkeypatch.setattr("shutil.which", lambda name: None)
    (absent,) = of(images.builder, {})

    assert (silent.state, silent.found) == (FAILS, "finch does not answer")
    assert (absent.state, absent.found) == (FAILS, "no finch on this machine")
    assert "CDK_DOCKER" in str(absent.mend)


def test_a_secret_or_a_certificate_of_another_region_fails():
    there = SECRET.replace(REGION, "eu-west-1")
    (wrong, *_) = of(secret.key, {**GEMINI, "provider_secret_arn": there})
    elsewhere = {**DOMAIN, "domain_certificate_arn": CERTIFICATE.replace(REGION, "eu-west-1")}
    (certificate,) = of(domain.certificate, elsewhere)

    assert (wrong.state, wrong.found) == (FAILS, "eu-west-1")
    assert (certificate.state, certificate.found) == (FAILS, "in eu-west-1")


def test_the_text_of_a_secret_is_in_no_finding():
    text = "sk-example-of-a-key\n"
    found = of(secret.key, GEMINI, secretsmanager__GetSecretValue={"SecretString": text})

    assert "sk-example" not in repr(found)


def test_a_reservation_that_the_account_cannot_give_fails_unless_the_stack_has_it_already():
    settings = {"message_concurrency": 400}
    answers = {"lambda__GetAccountSettings": limits(450, 450)}
    fresh = of(quotas.lambda_concurrency, settings, **answers)
    again = of(
        quotas.lambda_concurrency,
        settings,
        **answers,
        cloudformation__DescribeStacks=stack("Segue-dev-Service", "UPDATE_COMPLETE"),
    )

    assert [each.state for each in fresh + again] == [FAILS, SHORT]


def test_a_permission_that_is_missing_is_named_by_its_action():
    for check, answers, action in (
        (roles.containers, {"iam__GetRole": Refusal("AccessDenied", "", 403)}, "iam:GetRole"),
        (quotas.fargate, {"service_quotas__GetServiceQuota": DENIED}, "servicequotas:GetServiceQuota"),
        (bootstrap.bucket, {"s3__HeadBucket": Refusal("403", "Forbidden", 403)}, "s3:ListBucket"),
        (network.names, {"ec2__DescribeVpcAttribute": Refusal("UnauthorizedOperation")}, "ec2:DescribeVpcAttribute"),
    ):
        with pytest.raises(NotAllowedError) as refused:
            of(check, EXISTING_VPC, **answers)
        assert refused.value.action == action
