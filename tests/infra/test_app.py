"""The app as the CDK command line starts it, and what the templates look like to CloudFormation's own rules."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from infra import node
from infra.constants import ROOT
from infra.preflight.bootstrap import LEAST_VERSION
from tests.infra import accepted
from tests.infra.accepted import contents, problems

FLAGS = json.loads((ROOT / "cdk.json").read_text(encoding="utf-8"))


def test_cdk_json_starts_the_app_in_the_project_environment():
    assert FLAGS["app"] == ".venv/bin/python -m infra.app"


def test_a_wrong_setting_ends_the_synthesis_with_one_line(tmp_path):
    environment = {
        **os.environ,
        "CDK_CONTEXT_JSON": json.dumps({"stage": "dev", "worker_count": "none"}),
        "CDK_OUTDIR": str(tmp_path),
    }
    command = [sys.executable, "-m", "infra.app"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=90, check=False)

    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "segue: setting worker_count='none' is not possible; allowed: a whole number from 1 to 1000"
    )
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) <= 2, "and one about Node.js, in the place of a banner"


def test_an_old_node_is_named_in_one_line():
    assert "install 22 or 24" in str(node.outdated_notice("v20.20.2\n"))
    assert [node.outdated_notice(version) for version in ("v22.1.0", "v24.0.0", "")] == [None, None, None]


def test_stack_names_carry_the_stage(stage):
    name = stage.config.stage
    assert {each.name.removesuffix(".template.json") for each in stage.data.folder.glob("*.template.json")} == {
        f"Segue-{name}-Data",
        f"Segue-{name}-Service",
        *([f"Segue-{name}-Web"] if stage.web else []),
    }


def test_data_is_deployed_before_what_uses_it(stage):
    manifest = json.loads((stage.data.folder / "manifest.json").read_text(encoding="utf-8"))

    data, web, service = (f"Segue-{stage.config.stage}-{part}" for part in ("Data", "Web", "Service"))
    needed = {name: each.get("dependencies", []) for name, each in manifest["artifacts"].items()}
    assert (web if stage.web else data) in needed[service]
    assert data in needed[web if stage.web else service]


@pytest.mark.parametrize(("name", "protected"), [("dev", True), ("local", False)])
def test_the_data_stack_cannot_be_deleted_by_mistake(request, name, protected):
    stage = request.getfixturevalue(name)
    manifest = json.loads((stage.data.folder / "manifest.json").read_text(encoding="utf-8"))

    properties = manifest["artifacts"][f"Segue-{name}-Data"]["properties"]
    assert properties.get("terminationProtection", False) is protected


def test_cloudformation_accepts_the_templates(stage):
    for template in stage.data.folder.glob("*.template.json"):
        assert not problems(template)


def test_a_template_that_cloudformation_would_refuse_has_problems(tmp_path):
    queue = {"Type": "AWS::SQS::Queue", "Properties": {"DelaySeconds": "soon", "Colour": "red"}}
    template = tmp_path / "wrong.template.json"
    template.write_text(json.dumps({"Resources": {"Queue": queue, "Other": queue}}), encoding="utf-8")

    assert sorted(problem.split()[0] for problem in problems(template)) == ["E3002", "E3002", "E3012", "E3012"]


QUEUE = {"Type": "AWS::SQS::Queue", "Properties": {"DelaySeconds": 5}}
TOPIC = {"Type": "AWS::SNS::Topic"}
ALARM = {
    "Type": "AWS::CloudWatch::Alarm",
    "Properties": {
        "ComparisonOperator": "GreaterThanThreshold",
        "Dimensions": [{"Name": "QueueName", "Value": {"Fn::GetAtt": ["Queue", "QueueName"]}}],
        "EvaluationPeriods": 1,
        "MetricName": "ApproximateAgeOfOldestMessage",
        "Namespace": "AWS/SQS",
        "Period": 60,
        "Statistic": "Maximum",
        "Threshold": 60,
    },
}


@pytest.mark.parametrize(
    ("changed", "rules"),
    [
        ({"Queue": QUEUE | {"Properties": {"DelaySeconds": "soon"}}}, {"E3012"}),
        ({"Queue": TOPIC}, {"E1010"}),
        ({"Other": QUEUE | {"Properties": {"Colour": "red"}}}, {"E3002"}),
        ({"Alarm": ALARM | {"DependsOn": "Nothing"}}, {"E3005"}),
    ],
    ids=["itself", "what it refers to", "another", "a reference"],
)
def test_a_resource_is_judged_again_when_a_neighbour_changes(tmp_path, changed, rules):
    template = tmp_path / "stack.template.json"
    resources = {"Queue": QUEUE, "Alarm": ALARM, "Topic": TOPIC}
    template.write_text(json.dumps({"Resources": resources}), encoding="utf-8")
    assert not problems(template)

    template.write_text(json.dumps({"Resources": resources | changed}), encoding="utf-8")
    assert {problem.split()[0] for problem in problems(template)} == rules


def test_a_resource_known_as_right_is_not_judged_again(tmp_path, monkeypatch):
    resources = {"Wrong": QUEUE | {"Properties": {"DelaySeconds": "soon"}}}
    monkeypatch.setattr(accepted, "_right", set(contents({"Resources": resources}).values()))
    template = tmp_path / "stack.template.json"
    template.write_text(json.dumps({"Resources": resources | {"Other": QUEUE}}), encoding="utf-8")

    assert not problems(template), "the resource known as right was judged again"


def test_contents_of_a_resource_change_with_its_references_and_referrers():
    before = contents({"Resources": {"Queue": QUEUE, "Alarm": ALARM, "Topic": TOPIC}})
    after = contents({"Resources": {"Queue": QUEUE | {"DependsOn": "Other"}, "Alarm": ALARM, "Topic": TOPIC}})
    referring = contents({"Resources": {"Queue": QUEUE, "Alarm": ALARM | {"DependsOn": "Queue"}, "Topic": TOPIC}})
    described = contents({"Resources": {"Topic": TOPIC}, "Parameters": {"Name": {"Type": "String"}}})

    def changed(now):
        return {name for name in now if now[name] != before[name]}

    assert changed(after) == {"Queue", "Alarm"}
    assert changed(referring) == {"Alarm"}
    assert changed(described) == {"Topic"}


def test_a_condition_decides_only_about_resources_that_name_it():
    def judged(value, **more):
        resources = {"Queue": QUEUE | {"Condition": "Wanted"}, "Topic": TOPIC}
        return contents({"Resources": resources, "Conditions": {"Wanted": {"Fn::Equals": ["a", value]}, **more}})

    before = judged("a")
    assert {name for name, content in judged("b").items() if content != before[name]} == {"Queue"}
    assert judged("a", Other={"Fn::Equals": ["a", "a"]}) == before


def test_a_resource_is_judged_once_with_notes_of_the_command_line_and_without():
    def judged(**metadata):
        return contents({"Resources": {"Topic": {**TOPIC, **({"Metadata": metadata} if metadata else {})}}})

    assert judged(**{"aws:cdk:path": "Stack/Topic"}) == judged()
    assert judged(**{"cfn-lint": {}}) != judged()


def test_an_asset_with_another_name_is_judged_once(tmp_path, monkeypatch):
    linted = []
    monkeypatch.setattr(accepted, "_found", {})
    monkeypatch.setattr(accepted, "_right", set())
    monkeypatch.setattr(accepted, "_lint", lambda template: linted.append(template) or [])
    template = tmp_path / "stack.template.json"
    for digit in "ab":
        template.write_text(json.dumps({"Resources": {"Asset": TOPIC | {"Metadata": {"Key": digit * 64 + ".zip"}}}}))
        assert not problems(template)

    assert len(linted) == 1


def test_a_network_is_judged_again_with_what_is_in_it():
    vpc = {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.0.0.0/16"}}

    def network(subnet):
        properties = {"CidrBlock": subnet, "VpcId": {"Ref": "Network"}}
        return contents(
            {"Resources": {"Network": vpc, "Subnet": {"Type": "AWS::EC2::Subnet", "Properties": properties}}}
        )

    assert network("10.0.0.0/24")["Network"] != network("10.1.0.0/24")["Network"]


def test_preflight_asks_for_the_bootstrap_that_the_stacks_ask_for(synthesized):
    manifest = json.loads((synthesized().data.folder / "manifest.json").read_text(encoding="utf-8"))
    stacks = [each["properties"] for each in manifest["artifacts"].values() if each["type"].endswith("stack")]

    assert {each["requiresBootstrapStackVersion"] for each in stacks} == {LEAST_VERSION}
