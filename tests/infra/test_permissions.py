"""Every action that a role of the stack may take, and on what.

Each role is compared as a whole: a permission that is added has to be added to ``tests.infra.grants``, and a wildcard
to the reasons here.
"""

from __future__ import annotations

import json
import re

import pytest

from infra.constants import ROOT
from tests.infra.grants import ON_AWS, everywhere
from tests.infra.references import simplified

WITHOUT_A_RESOURCE = {
    "ec2:AssignPrivateIpAddresses": "Lambda makes the function's network interfaces, whose ids are not known before",
    "ec2:CreateNetworkInterface": "as above",
    "ec2:DeleteNetworkInterface": "as above",
    "ec2:DescribeNetworkInterfaces": "describing takes no resource",
    "ec2:DescribeSubnets": "describing takes no resource",
    "ec2:UnassignPrivateIpAddresses": "as above",
    "dynamodb:ListStreams": "listing takes no resource",
    "ecr:GetAuthorizationToken": "a registry's token is the account's; it takes no resource",
}
"""Actions on every resource, each with its reason."""


def statements(stage, role_part):
    (role,) = [name for name in stage.service.of_type("AWS::IAM::Role") if role_part in name]
    policies = stage.service.of_type("AWS::IAM::Policy").values()
    return [
        each
        for policy in policies
        if {"Ref": role} in policy["Roles"]
        for each in policy["PolicyDocument"]["Statement"]
    ]


def granted(stage, role_part):
    """Return a role's grants: pairs of action and resource. Its grants on the key have a test of their own."""
    pairs = set()
    for statement in statements(stage, role_part):
        assert statement["Effect"] == "Allow"
        if not _listed(statement["Action"])[0].startswith("kms:"):
            assert "Condition" not in statement
            actions, resources = (_listed(statement[key]) for key in ("Action", "Resource"))
            pairs |= {(action, simplified(resource)) for action in actions for resource in resources}
    return pairs


def _listed(value):
    return value if isinstance(value, list) else [value]


def on(pairs, part):
    """The actions on resources with ``part`` in their name."""
    return {action for action, resource in pairs if part in resource}


def names(service, actions):
    return {f"{service}:{action}" for action in actions}


def readable(resource):
    """A resource without the digits that CDK adds to its name."""
    return re.sub(
        r"<(?:(?:Data|Web)\.PublishOutputFnGetAtt)?(\w+?)[0-9A-F]{8}(?:(Stream)?Arn[0-9A-F]{8})?>", r"<\1\2>", resource
    )


def test_each_role_has_exactly_the_listed_permissions(stage):
    expected = everywhere(stage.config.stage)
    if stage.config.stage == "dev":
        expected = {
            role: {**expected.get(role, {}), **ON_AWS.get(role, {})} for role in expected.keys() | ON_AWS.keys()
        }
    found = {}
    for role in stage.service.of_type("AWS::IAM::Role"):
        of_role = found.setdefault(role[:-8], {})
        for action, resource in granted(stage, role):
            of_role.setdefault(readable(resource), set()).add(action)

    assert found == expected
    assert not stage.data.of_type("AWS::IAM::Role")


KEY_USERS = {
    "GatewayConnectRole",
    "GatewayMessageRole",
    "GatewayDisconnectRole",
    "JanitorEndedRole",
    "JanitorAgainRole",
    "JanitorWeeklyRole",
    "StoppedStoppedRole",
    "TurnsHandlerRole",
    "WorkersTaskTaskRole",
}


def test_the_key_is_used_through_the_bucket_and_the_tables_only(stage):
    users = set()
    for role in stage.service.of_type("AWS::IAM::Role"):
        for statement in statements(stage, role):
            actions = set(_listed(statement["Action"]))
            if not any(action.startswith("kms:") for action in actions):
                continue
            assert "StorageKey" in simplified(statement["Resource"])
            if "Condition" not in statement:
                # CDK's own, with the right to read the encrypted table's stream.
                assert ("JanitorEndedRole" in role, actions) == (True, {"kms:Decrypt", "kms:DescribeKey"})
                continue
            assert actions == names("kms", {"Decrypt", "DescribeKey", "Encrypt", "GenerateDataKey"})
            (services,) = statement["Condition"]["StringEquals"].values()
            assert {simplified(each).partition(".")[0] for each in services} == {"dynamodb", "s3"}
            users |= {each for each in KEY_USERS if role.startswith(each)} or {role}
    assert users == KEY_USERS


CDKS_OWN = ("CustomVpcRestrictDefaultSG", "AWSCDKTriggerCustomResourceProvider", "CustomCDKBucketDeployment")
"""Roles of CDK's own functions: one empties the VPC's default security group once, one makes test invocations, and one
writes the page's settings."""


def test_no_wildcard_without_a_reason(stage):
    policies = stage.service.of_type("AWS::IAM::Policy").items()
    for name, policy in policies:
        for statement in [] if name.startswith(CDKS_OWN) else policy["PolicyDocument"]["Statement"]:
            for action in _listed(statement["Action"]):
                assert "*" not in action, f"{name} grants {action}"
                if "*" in _listed(statement["Resource"]):
                    assert action in WITHOUT_A_RESOURCE, f"{name} grants {action} on everything"


def test_cdk_may_invoke_the_text_function_and_nothing_else(dev):
    (role,) = [each for name, each in dev.service.of_type("AWS::IAM::Role").items() if name.startswith(CDKS_OWN[1])]
    ((statement,),) = [each["PolicyDocument"]["Statement"] for each in role["Policies"]]
    assert (statement["Effect"], statement["Action"]) == ("Allow", ["lambda:InvokeFunction"])
    assert [readable(simplified(each)) for each in statement["Resource"]] == ["<TurnsHandler>:*"]


def test_no_policy_is_hidden_in_a_role(stage):
    for name, role in stage.service.of_type("AWS::IAM::Role").items():
        if name.startswith(CDKS_OWN):
            # Its function writes a log.
            managed = json.dumps(role["ManagedPolicyArns"])
            assert "AWSLambdaBasicExecutionRole" in managed
            assert len(role["ManagedPolicyArns"]) == 1
            continue
        assert "ManagedPolicyArns" not in role, name
        assert "Policies" not in role, name


@pytest.mark.parametrize("route", ["connect", "default", "disconnect"])
def test_only_the_route_of_this_api_calls_its_function(stage, route):
    permissions = stage.service.of_type("AWS::Lambda::Permission").values()
    rules = {simplified(each["SourceArn"]) for each in permissions if each["Principal"] == "events.amazonaws.com"}
    assert [rule.startswith("<StoppedTaskStopped") for rule in rules] == [True]

    sources = [simplified(each["SourceArn"]) for each in permissions]
    assert len([each for each in sources if each.endswith(f"<{_api(stage)}>/*${route}")]) == 1
    assert {each["Principal"] for each in permissions} == {"apigateway.amazonaws.com", "events.amazonaws.com"}


def _api(stage):
    (name,) = stage.service.of_type("AWS::ApiGatewayV2::Api")
    return name


CALLS = {
    "get_item": "dynamodb:GetItem",
    "put_item": "dynamodb:PutItem",
    "update_item": "dynamodb:UpdateItem",
    "delete_item": "dynamodb:DeleteItem",
    "query": "dynamodb:Query",
    "batch_get_item": "dynamodb:BatchGetItem",
    "transact_write_items": "dynamodb:TransactWriteItems",
    "send_message": "sqs:SendMessage",
    "receive_message": "sqs:ReceiveMessage",
    "delete_message": "sqs:DeleteMessage",
    "change_message_visibility": "sqs:ChangeMessageVisibility",
    "get_queue_attributes": "sqs:GetQueueAttributes",
    "get_object": "s3:GetObject",
    "head_object": "s3:GetObject",
    "put_object": "s3:PutObject",
    "delete_object": "s3:DeleteObject",
    "delete_objects": "s3:DeleteObject",
    "list_objects_v2": "s3:ListBucket",
}
"""The SDK's calls, and the permission that each needs. Listing sessions (a scan) is not a worker's business."""


def called(*folders):
    """The permissions that the calls in these folders need, found by name."""
    code = "\n".join(path.read_text(encoding="utf-8") for folder in folders for path in (ROOT / folder).rglob("*.py"))
    return {needed for call, needed in CALLS.items() if re.search(rf'\.{call}\b|paginator\("{call}"\)', code)}


def test_the_gateway_may_make_the_calls_that_it_makes(stage):
    roles = ("GatewayConnectRole", "GatewayMessageRole", "GatewayDisconnectRole", "StoppedStoppedRole")
    allowed = {action for role in roles for action, _ in granted(stage, role)}

    assert called("functions/gateway")
    assert called("functions/gateway", "functions/shared") <= allowed


@pytest.mark.parametrize("name", ["Ended", "Again", "Weekly"])
def test_the_janitor_may_make_the_calls_that_it_makes(stage, name):
    needed = called("functions/janitor")

    assert needed == {"dynamodb:GetItem", "s3:DeleteObject", "s3:ListBucket", "sqs:SendMessage"}
    assert needed <= {action for action, _ in granted(stage, f"Janitor{name}Role")}


def test_a_worker_may_make_the_calls_that_it_and_the_library_make(stage):
    needed = called("functions/worker", "layers/session/python/segue/storage")

    assert {"dynamodb:UpdateItem", "s3:PutObject", "sqs:ReceiveMessage"} <= needed
    assert needed <= {action for action, _ in granted(stage, "WorkersTaskTaskRole")}
