"""The ``local`` stage has no resource that the emulator refuses or waits for without end."""

from __future__ import annotations

import json

from local.deployment.cdk import KEYS_PLACE, VERSION_PLACE

REFUSED = (
    "AWS::ApplicationAutoScaling::",
    "AWS::ApiGatewayV2::Deployment",
    "AWS::CloudWatch::CompositeAlarm",
    "AWS::EC2::EIP",
    "AWS::EC2::EgressOnlyInternetGateway",
    "AWS::EC2::FlowLog",
    "AWS::EC2::NatGateway",
    "AWS::EC2::SecurityGroupEgress",
    "AWS::EC2::SecurityGroupIngress",
    "AWS::EC2::VPCCidrBlock",
    "AWS::CloudFormation::CustomResource",
    "Custom::",
)


def test_local_stacks_have_no_resource_that_the_emulator_refuses(local):
    kinds = {each["Type"] for stack in (local.data, local.service) for each in stack.resources.values()}

    assert not [kind for kind in kinds if kind.startswith(REFUSED)]


def test_no_alarm_uses_metric_math(local):
    assert not [each for each in local.service.of_type("AWS::CloudWatch::Alarm").values() if "Metrics" in each]


def test_nothing_has_to_be_built_by_docker(local):
    for manifest in local.service.folder.glob("*.assets.json"):
        assert json.loads(manifest.read_text(encoding="utf-8")).get("dockerImages", {}) == {}


def test_the_message_function_is_outside_the_network(local):
    assert "VpcConfig" not in local.service.named("AWS::Lambda::Function", "GatewayMessage")


def test_a_deployments_version_and_address_of_keys_change_nothing_but_themselves(local, synthesized):
    """Deployments of the local stack share an assembly, in which these two are filled in (``local.deployment.cdk``)."""
    shared = synthesized(stage="local", version=VERSION_PLACE, auth_jwks_url=KEYS_PLACE)

    own, given = (leaves([stage.data.content, stage.service.content]) for stage in (local, shared))
    assert not own.keys() ^ given.keys()
    assert {given[place] for place in own if given[place] != own[place]} == {VERSION_PLACE, KEYS_PLACE}


def leaves(content, place=()):
    """The values in a template, by their places."""
    if not isinstance(content, dict | list):
        return {place: content}
    parts = content.items() if isinstance(content, dict) else enumerate(content)
    return {where: leaf for name, part in parts for where, leaf in leaves(part, (*place, name)).items()}
