"""Findings of cdk-nag's AwsSolutions rules that are meant to be so, each with its reason.

A test runs the rules over the default stage and fails on any other finding, and on one that is not found any more.
"""

from __future__ import annotations

import json
from typing import Final

from aws_cdk import Acknowledgment, Aws, CfnElement, Stack, Validations
from constructs import Construct

from infra.config import Config
from infra.constructs.bedrock import model_of_profile

_PACK: Final = "AwsSolutions"
_RUNTIME: Final = (
    "Python 3.13 is what the layers are built for, what `.python-version` says, and what the tests run on; "
    "all move together."
)
_NO_RESOURCE: Final = "Calls that take no resource; a test lists them one by one with their reasons."
_ROUTE: Final = "A WebSocket API authorizes once, at $connect; the other routes belong to a connection that was let in."

DATA: Final[dict[str, dict[str, str]]] = {
    "Storage/Sessions": {
        "S1": "Access logs would keep session ids after the sessions are deleted. Who needs an audit trail turns on "
        "CloudTrail's data events, with a retention of their own.",
    },
    "Auth/Users": {
        "COG2": "A second factor is each user's choice (TOTP): a client in a terminal signs in with a password alone.",
        "COG8": "Threat protection needs the Plus plan, which bills every active user; it is the account's decision.",
    },
}
"""By construct, by rule: why."""

SERVICE: Final[dict[str, dict[str, str]]] = {
    "Network/Vpc": {
        "VPC7": "Flow logs cost by the gigabyte, and audio is most of it; they are the account's decision."
    },
    **{
        f"{package}/{name}": {"L1": _RUNTIME}
        for package, names in {
            "Gateway": ("Authorizer", "Connect", "Message", "Disconnect"),
            "Janitor": ("Ended", "Again", "Weekly"),
            "Stopped": ("Stopped",),
            "Turns": ("Handler",),
        }.items()
        for name in names
    },
    "Gateway/MessageRole": {"IAM5[Resource::*]": _NO_RESOURCE},
    "Gateway/Api/$default-Route": {"APIG4": _ROUTE},
    "Gateway/Api/$disconnect-Route": {"APIG4": _ROUTE},
    "Gateway/Stage": {
        "APIG1": "Access logs of a WebSocket API need a role that is set for the whole account, and write a line for "
        "each of ten messages a second; the functions log what fails.",
    },
    "Workers/Cluster": {
        "ECS4": "Container Insights bills each task's metrics; the service's own metrics feed dashboard and alarm.",
    },
    "Workers/Task": {
        "ECS2": "The variables are names and addresses of the stack's own resources. None is a secret.",
    },
    "Workers/Task/ExecutionRole": {"IAM5[Resource::*]": _NO_RESOURCE},
    "Janitor/EndedRole": {"IAM5[Resource::*]": _NO_RESOURCE},
    "Janitor/EndedFailures": {
        "SQS3": "It is where the stream's mapping sends what failed: a dead-letter queue in all but the property.",
    },
    "Stopped/Failures": {
        "SQS3": "It is where the rule and the function send what failed: a dead-letter queue in all but the property.",
    },
}
"""The same for the service stack."""

DIRECT: Final[dict[str, dict[str, str]]] = {
    "Network/BalancerGroup": {
        "EC23": "Clients come from anywhere, and each shows a token; the group lets them reach the TLS listener alone.",
    },
    "Workers/Direct/Balancer": {
        "ELB2": "Access logs of a TLS listener are a line a connection with the caller's address, kept where sessions "
        "that were deleted have left nothing; metrics are watched.",
    },
    "Keys/Keys": {"L1": _RUNTIME},
}
"""The same for a service stack with the direct transport."""

WEB: Final[dict[str, dict[str, str]]] = {
    "Page/Files": {
        "S1": "CloudFront alone reads the bucket, and what it reads is public.",
    },
    "Page/Distribution": {
        "CFR1": "Callers may be anywhere; where they may not is the account's decision.",
        "CFR2": "The page is a few public files. Callers are known, and throttled, at the WebSocket API.",
        "CFR3": "Access logs would keep the addresses of all who open the page. CloudFront's metrics are watched.",
        "CFR4": "CloudFront's own domain name has its own certificate, whose TLS versions cannot be chosen.",
    },
}
"""The same for the web stack."""

UPLOADER: Final = "Custom::CDKBucketDeployment8693BB64968944B69AAFB0CC9EB8756C"
"""CDK's own function that unpacks files into a bucket."""
_UPLOADS: Final = "CDK's own function: it reads what the deployment uploaded, and writes the page's bucket."

TRACED: Final[dict[str, dict[str, str]]] = {
    path: {"IAM5[Resource::*]": "Writing traces takes no resource."}
    for path in (
        *(f"Gateway/{name}Role" for name in ("Authorizer", "Connect", "Disconnect")),
        *(f"Janitor/{name}Role" for name in ("Again", "Weekly")),
        "Stopped/StoppedRole",
        "Turns/HandlerRole",
        "Workers/Task/TaskRole",
    )
}
"""The same for a service stack whose conversations are traced."""

_OBJECTS: Final = (
    "Which sessions there will be is not known beforehand; a test lists what may be done with their objects."
)
_CONNECTIONS: Final = "Which connections there will be is not known beforehand; there is one action on them."
_ANY_REGION: Final = "An inference profile chooses among its regions, and the model is named in full."
_OBJECT_ROLES: Final = (
    "Workers/Task/TaskRole",
    "Turns/HandlerRole",
    *(f"Janitor/{n}Role" for n in ("Ended", "Again", "Weekly")),
)
_POSTING_ROLES: Final = {"Workers/Task/TaskRole": "*", "Turns/HandlerRole": "POST", "Gateway/MessageRole": "POST"}
_BUCKET_OUTPUT: Final = "PublishOutputFnGetAttStorageSessionsFCE686BDArnC7CD3A97"
"""As CDK names it after the bucket's logical id, which never changes: that would be another bucket."""
_PAGE_FILES: Final = "PageFiles79CCA538"
"""The logical id of the page's bucket, likewise."""
_QUALIFIER: Final = "hnb659fds"
"""Of the CDK's bootstrap."""


def prefix_grants(data: Stack, service: Stack, api: CfnElement | None, stage: str) -> dict[str, dict[str, str]]:
    """Grants under a prefix: cdk-nag wants each named as its template names it.

    Args:
        data: The stack with the bucket.
        service: The stack with the roles.
        api: The WebSocket API; None without one.
        stage: The deployment's, which is the API's.
    """
    bucket = {"StackName": data.stack_name, "Region": service.resolve(data.region), "OutputName": _BUCKET_OUTPUT}
    objects = f"{json.dumps({'Fn::GetStackOutput': bucket}, separators=(',', ':'))}/sessions/*"
    partition, region = (_as_nag_shows(service.resolve(each)) for each in (service.partition, service.region))
    reasons = {path: {f"IAM5[Resource::{objects}]": _OBJECTS} for path in _OBJECT_ROLES}
    if api is None:
        return reasons
    of_api = f"arn:{partition}:execute-api:{region}:<AWS::AccountId>:<{service.get_logical_id(api)}>/{stage}"
    for path, method in _POSTING_ROLES.items():
        reasons.setdefault(path, {})[f"IAM5[Resource::{of_api}/{method}/@connections/*]"] = _CONNECTIONS
    return reasons


def upload_grants(stack: Stack, web: Stack) -> dict[str, dict[str, str]]:
    """Grants of CDK's function that puts files into the page's bucket.

    Args:
        stack: The stack with the function.
        web: The stack with the bucket.
    """
    partition, region = (_as_nag_shows(stack.resolve(each)) for each in (stack.partition, stack.region))
    bucket = f"<{_PAGE_FILES}.Arn>"
    if stack is not web:
        output = f"PublishOutputFnGetAtt{_PAGE_FILES}Arn12A6ACFB"
        stack_output = {"StackName": web.stack_name, "Region": stack.resolve(web.region), "OutputName": output}
        bucket = json.dumps({"Fn::GetStackOutput": stack_output}, separators=(",", ":"))
    assets = f"arn:{partition}:s3:::cdk-{_QUALIFIER}-assets-<AWS::AccountId>-{region}"
    # As CDK writes it, also where the region is named.
    log = f"arn:{_as_nag_shows(stack.resolve(Aws.PARTITION))}:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
    wildcards = [f"Action::s3:{action}*" for action in ("GetBucket", "GetObject", "List", "Abort", "DeleteObject")]
    wildcards += [f"Resource::{each}/*" for each in (assets, bucket)]
    return {
        UPLOADER: {"L1": "The runtime is CDK's choice for its own function."},
        f"{UPLOADER}/ServiceRole": {
            f"IAM4[Policy::{log}]": "CDK's own function writes a log by the policy that AWS keeps for it.",
            **{f"IAM5[{each}]": _UPLOADS for each in wildcards},
        },
    }


def profile_grants(service: Stack, config: Config) -> dict[str, dict[str, str]]:
    """Grants on the models behind inference profiles, which choose the region themselves.

    Args:
        service: The stack with the roles.
        config: Its configuration.
    """
    users = {
        "Turns/HandlerRole": config.text_model_id if config.text and not config.offline else None,
        "Workers/Task/TaskRole": config.model_id if config.voice and config.provider == "nova-sonic" else None,
    }
    partition = _as_nag_shows(service.resolve(Aws.PARTITION))  # as in the grant, also where the region is named
    return {
        path: {f"IAM5[Resource::arn:{partition}:bedrock:*::foundation-model/{model}]": _ANY_REGION}
        for path, model_id in users.items()
        if (model := model_of_profile(model_id))
    }


def _as_nag_shows(value: str | dict[str, str]) -> str:
    """A value as cdk-nag shows it: known because the region was given, or a reference."""
    return value if isinstance(value, str) else f"<{value['Ref']}>"


def acknowledge(stack: Stack, reasons: dict[str, dict[str, str]]) -> None:
    """Write the reasons into a stack, where cdk-nag finds them.

    Args:
        stack: The stack.
        reasons: By construct's path, by rule.
    """
    for path, rules in reasons.items():
        construct: Construct | None = stack
        for name in path.split("/"):
            construct = construct and construct.node.try_find_child(name)  # type: ignore[assignment]  # always one
        if construct is None:  # not with these settings; a test looks that each is there with the default ones
            continue
        for rule, reason in rules.items():
            Validations.of(construct).acknowledge(Acknowledgment(id=f"{_PACK}::{_PACK}-{rule}", reason=reason))
