"""The `local` stage has no resource that the emulator refuses or waits for without end."""

import json

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


def test_nothing_that_the_emulator_refuses(local):
    kinds = {each["Type"] for stack in (local.data, local.service) for each in stack.resources.values()}

    assert not [kind for kind in kinds if kind.startswith(REFUSED)]


def test_no_alarm_uses_metric_math(local):
    assert not [each for each in local.service.of_type("AWS::CloudWatch::Alarm").values() if "Metrics" in each]


def test_nothing_has_to_be_built_by_docker(local):
    for manifest in local.service.folder.glob("*.assets.json"):
        assert json.loads(manifest.read_text(encoding="utf-8")).get("dockerImages", {}) == {}


def test_the_message_function_is_outside_the_network(local):
    assert "VpcConfig" not in local.service.named("AWS::Lambda::Function", "GatewayMessage")
