"""The local stage as the CDK's own command line deploys it to the emulator, asked for what is there afterwards.

A deployment that ends well proves nothing: the emulator takes much that it does not do.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import boto3
import pytest
from strands.bidi import BidiAgent

from infra.constants import ROOT
from local.deployment.cdk import read_outputs
from segue import GuardedS3SessionManager
from tests.support.scripted_model import ScriptedModel
from tests.support.stage import AWS_ENVIRONMENT, REGION

pytestmark = [pytest.mark.emulator, pytest.mark.slow, pytest.mark.timeout(420)]

ACCOUNT = "000000000000"
DATA, SERVICE = "Segue-local-Data", "Segue-local-Service"
CDK_SECONDS = 180


class Cloud:
    """The emulator with the stage on it."""

    def __init__(self, endpoint: str, assembly: Path, home: Path) -> None:
        self._endpoint, self._assembly, self._home = endpoint, assembly, home

    def cdk(self, action: str, *options: str) -> None:
        command = [str(ROOT / "node_modules" / ".bin" / "cdk"), action, "--app", str(self._assembly), *options]
        environment = {
            **AWS_ENVIRONMENT,
            "PATH": os.environ["PATH"],
            "HOME": str(self._home),
            "CDK_HOME": str(self._home),
            "AWS_REGION": REGION,
            "AWS_ENDPOINT_URL": self._endpoint,
            "CDK_DISABLE_CLI_TELEMETRY": "true",
            "CI": "true",
        }
        done = subprocess.run(
            [*command, "--no-version-reporting", "--no-notices"],
            cwd=self._home,
            env=environment,
            capture_output=True,
            text=True,
            timeout=CDK_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]

    def deploy(self) -> dict[str, str]:
        outputs = self._home / "outputs.json"
        self.cdk("deploy", "--all", "--require-approval", "never", "--outputs-file", str(outputs))
        return read_outputs(outputs)

    def client(self, service: str) -> Any:
        return boto3.client(service, endpoint_url=self._endpoint, region_name=REGION)

    def kinds(self, stack: str) -> list[str]:
        """The types of a stack's resources; none if it is not there."""
        answer = self.client("cloudformation").describe_stack_resources(StackName=stack)
        return [each["ResourceType"] for each in answer["StackResources"]]

    def template(self, stack: str) -> dict[str, Any]:
        """A stack's resources as synthesized."""
        text = (self._assembly / f"{stack}.template.json").read_text(encoding="utf-8")
        resources: dict[str, Any] = json.loads(text)["Resources"]
        return resources

    def wanted(self, stack: str, kind: str) -> list[dict[str, Any]]:
        """The properties of a stack's resources of one kind, as synthesized."""
        return [each["Properties"] for each in self.template(stack).values() if each["Type"] == kind]

    def stacks(self) -> set[str]:
        found = self.client("cloudformation").list_stacks()["StackSummaries"]
        return {each["StackName"] for each in found if not each["StackStatus"].startswith("DELETE")}


@pytest.fixture(scope="module")
def cloud(emulator: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """The emulator, with the account bootstrapped and the stage synthesized."""
    home = tmp_path_factory.mktemp("cloud")
    app, _, _ = _synthesis().composed(home, validated=False, stage="local")
    app.synth()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in AWS_ENVIRONMENT.items():
            patch.setenv(name, value)
        cloud = Cloud(emulator, home / "out", home)
        cloud.cdk("bootstrap", f"aws://{ACCOUNT}/{REGION}")
        yield cloud


def _synthesis() -> ModuleType:
    """Load the synthesis of the template tests: quick, without building the third-party layer."""
    path = ROOT / "tests" / "infra" / "conftest.py"
    spec = importlib.util.spec_from_file_location("segue_synthesis", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def conversation() -> Callable[..., Any]:
    """Opens a conversation over what was deployed, says something if asked, and returns all its messages."""

    async def talk(endpoint: str, outputs: dict[str, str], *texts: str) -> list[str]:
        manager = GuardedS3SessionManager(
            "survivor",
            bucket=outputs["BucketName"],
            lock_table=outputs["LockTableName"],
            endpoint_url=endpoint,
            region_name=REGION,
        )
        await manager.open()
        agent = BidiAgent(model=ScriptedModel(), session_manager=manager)
        await agent.start()
        for text in texts:
            await agent.send(text)
        messages = [message["content"][0]["text"] for message in agent.messages]
        await agent.stop()
        return messages

    return talk


async def test_a_conversation_survives_the_service_that_held_it(
    cloud: Cloud, emulator: str, conversation: Callable[..., Any]
) -> None:
    first = cloud.deploy()
    assert "AWS::ECS::Service" in cloud.kinds(SERVICE)
    assert await conversation(emulator, first, "My name is Alice.") == ["My name is Alice."]

    cloud.cdk("destroy", SERVICE, "--force")

    assert cloud.stacks() & {DATA, SERVICE} == {DATA}
    assert cloud.client("apigatewayv2").get_apis()["Items"] == []
    second = cloud.deploy()
    assert "AWS::ECS::Service" in cloud.kinds(SERVICE)
    kept = ("BucketName", "LockTableName", "ConnectionsTableName")
    assert {name: second[name] for name in kept} == {name: first[name] for name in kept}
    assert second["ApiId"] != first["ApiId"]
    said = await conversation(emulator, second, "Do you know me?")
    assert said == ["My name is Alice.", "Do you know me?"]


def test_resources_that_the_emulator_supports_are_deployed(cloud: Cloud) -> None:
    outputs = cloud.deploy()
    assert sorted(cloud.kinds(DATA)).count("AWS::KMS::Key") == 1
    blocked = cloud.client("s3").get_public_access_block(Bucket=outputs["BucketName"])
    assert set(blocked["PublicAccessBlockConfiguration"].values()) == {True}
    for name in ("LockTableName", "ConnectionsTableName"):
        table = cloud.client("dynamodb").describe_table(TableName=outputs[name])["Table"]
        assert table["TableStatus"] == "ACTIVE"
    routes = cloud.client("apigatewayv2").get_routes(ApiId=outputs["ApiId"])["Items"]
    assert {each["RouteKey"] for each in routes} == {"$connect", "$default", "$disconnect"}
    functions = cloud.client("lambda").list_functions(MaxItems=50)["Functions"]
    assert {each["Handler"] for each in functions} == {
        each["Handler"] for each in cloud.wanted(SERVICE, "AWS::Lambda::Function")
    }
    mappings = cloud.client("lambda").list_event_source_mappings()["EventSourceMappings"]
    assert {each["EventSourceArn"].split(":")[2] for each in mappings} == {"dynamodb", "sqs"}
    redrive = cloud.client("sqs").get_queue_attributes(
        QueueUrl=outputs["ClaimsQueueUrl"], AttributeNames=["RedrivePolicy"]
    )
    assert "maxReceiveCount" in redrive["Attributes"]["RedrivePolicy"]
    ecs = cloud.client("ecs")
    (service,) = ecs.describe_services(cluster=outputs["ClusterName"], services=[outputs["WorkerServiceName"]])[
        "services"
    ]
    assert service["desiredCount"] == 2
    task = ecs.describe_task_definition(taskDefinition=service["taskDefinition"])["taskDefinition"]
    variables = {each["name"]: each["value"] for each in task["containerDefinitions"][0]["environment"]}
    assert variables["SEGUE_BUCKET"] == outputs["BucketName"]
    cloudwatch, wanted = cloud.client("cloudwatch"), cloud.wanted(SERVICE, "AWS::CloudWatch::Alarm")
    alarms = cloudwatch.describe_alarms(MaxRecords=100)["MetricAlarms"]
    assert {each["AlarmDescription"] for each in alarms} == {each["AlarmDescription"] for each in wanted}
    assert sorted(each["MetricName"] for each in alarms) == sorted(each["MetricName"] for each in wanted)
    assert len(cloudwatch.list_dashboards()["DashboardEntries"]) == 1
    rules = cloud.client("events").list_rules()["Rules"]
    assert len(rules) == len(cloud.wanted(SERVICE, "AWS::Events::Rule"))
    for stack in (DATA, SERVICE):
        assert sorted(cloud.kinds(stack)) == sorted(each["Type"] for each in cloud.template(stack).values())
