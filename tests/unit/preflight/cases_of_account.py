"""Cases of the checks of who deploys, the bootstrap, roles, quotas and traces."""

from __future__ import annotations

from typing import Any

from infra.preflight import bootstrap, identity, quotas, replaced, roles, traces
from infra.preflight.findings import State
from tests.support.answers import REGION, Refusal
from tests.unit.preflight.conftest import (
    CERTIFICATE,
    DENIED,
    EXISTING_VPC,
    NUMBER,
    STREAMS,
    VPC,
    WHEN,
    quota,
    stack,
)

WELL, SHORT, UNKNOWN, FAILS = State.WELL, State.SHORT, State.UNKNOWN, State.FAILS
DOMAIN = {
    "domain_name": "voice.example.com",
    "domain_certificate_arn": CERTIFICATE,
    "domain_zone_id": "Z0123456789",
}
SONIC = {"model_id": "amazon.nova-2-sonic-v1:0"}


def limits(all_of_them: int, free: int) -> dict[str, Any]:
    return {"AccountLimit": {"ConcurrentExecutions": all_of_them, "UnreservedConcurrentExecutions": free}}


def streams(value: float) -> dict[str, Any]:
    older = quota(9000, STREAMS.replace("Nova 2", "Nova"), "L-1")["Quota"]
    return {"Quotas": [older, quota(value, STREAMS, "L-2")["Quota"]]}


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
    (bootstrap.stacks, {}, {}, 3 * [WELL], "absent", None),
    (
        bootstrap.stacks,
        {},
        {"cloudformation__DescribeStacks": stack("x", "UPDATE_COMPLETE")},
        3 * [WELL],
        "UPDATE_COMPLETE",
        None,
    ),
    (
        bootstrap.stacks,
        {"stage": "prod"},
        {"cloudformation__DescribeStacks": stack("x", "ROLLBACK_COMPLETE")},
        3 * [SHORT],
        "ROLLBACK_COMPLETE",
        "aws cloudformation delete-stack --stack-name Segue-prod-Data",
    ),
    (
        bootstrap.stacks,
        {},
        {"cloudformation__DescribeStacks": stack("x", "UPDATE_IN_PROGRESS")},
        3 * [FAILS],
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
        3 * [FAILS],
        "ROLLBACK_COMPLETE",
        "--no-enable-termination-protection --stack-name Segue-dev-Data; aws cloudformation delete-stack",
    ),
    (
        bootstrap.stacks,
        {},
        {"cloudformation__DescribeStacks": stack("x", "UPDATE_ROLLBACK_FAILED")},
        3 * [FAILS],
        "UPDATE_ROLLBACK_FAILED",
        "aws cloudformation continue-update-rollback --stack-name Segue-dev-Service",
    ),
    (
        bootstrap.stacks,
        {},
        {"cloudformation__DescribeStacks": stack("x", "REVIEW_IN_PROGRESS")},
        3 * [WELL],
        "REVIEW_IN_PROGRESS",
        None,
    ),
    (bootstrap.stacks, {"web": "false"}, {}, [WELL, WELL], "absent", None),
    (replaced.workers, {}, {}, [WELL], "no: none run yet", None),
    (replaced.workers, {"workers": "text"}, {}, [], None, None),
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
    (
        quotas.lambda_concurrency,
        {"expected_frame_rate": 200, "provisioned_concurrency": 20},
        {"lambda__GetAccountSettings": limits(110, 110)},
        [FAILS],
        "110, 110",
        "--desired-value 120",
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
