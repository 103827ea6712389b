"""A stage with everything set that can be set."""

import json

import pytest

BASE = "python:3.13-slim@sha256:" + 64 * "a"


@pytest.fixture(scope="module")
def prod(synthesized):
    return synthesized(
        stage="prod",
        region="eu-north-1",
        version="7",
        architecture="x86_64",
        provider="rehearsal",
        worker_count="4",
        worker_capacity="10",
        worker_cpu="2048",
        worker_memory="4096",
        worker_base_image=BASE,
        lease_seconds="20",
        heartbeat_seconds="5",
        log_level="DEBUG",
        log_retention_days="365",
    )


def test_settings_reach_the_workers(prod):
    (task,) = prod.service.of_type("AWS::ECS::TaskDefinition").values()
    variables = {each["Name"]: each["Value"] for each in task["ContainerDefinitions"][0]["Environment"]}

    assert (task["Cpu"], task["Memory"]) == ("2048", "4096")
    assert task["RuntimePlatform"]["CpuArchitecture"] == "X86_64"
    expected = {
        "SEGUE_STAGE": "prod",
        "SEGUE_WORKER_VERSION": "7",
        "SEGUE_PROVIDER": "rehearsal",
        "SEGUE_CAPACITY": "10",
        "SEGUE_LEASE_SECONDS": "20",
        "SEGUE_HEARTBEAT_SECONDS": "5",
        "LOG_LEVEL": "DEBUG",
    }
    assert expected.items() <= variables.items()
    assert "SEGUE_MODEL_ID" not in variables
    (service,) = prod.service.of_type("AWS::ECS::Service").values()
    assert service["DesiredCount"] == 4


def test_settings_reach_the_image(prod):
    assets = json.loads((prod.service.folder / "Segue-prod-Service.assets.json").read_text(encoding="utf-8"))
    (image,) = assets["dockerImages"].values()

    assert image["source"]["dockerBuildArgs"] == {"PYTHON_IMAGE": BASE}
    assert image["source"]["platform"] == "linux/amd64"


def test_settings_reach_functions_logs_and_alarms(prod):
    functions = [each for each in prod.service.of_type("AWS::Lambda::Function").values() if "Layers" in each]
    assert {tuple(each["Architectures"]) for each in functions} == {("x86_64",)}
    assert {each["RetentionInDays"] for each in prod.service.of_type("AWS::Logs::LogGroup").values()} == {365}
    assert prod.service.named("AWS::CloudWatch::Alarm", "Workers")["Threshold"] == 4


def test_stacks_go_to_the_region(prod):
    manifest = json.loads((prod.data.folder / "manifest.json").read_text(encoding="utf-8"))

    stacks = [each for each in manifest["artifacts"].values() if each["type"] == "aws:cloudformation:stack"]
    assert {each["environment"] for each in stacks} == {"aws://unknown-account/eu-north-1"}


def test_no_right_to_a_model_that_is_not_used(prod):
    policies = json.dumps(prod.service.of_type("AWS::IAM::Policy"))

    assert "bedrock" not in policies
