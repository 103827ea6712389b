from __future__ import annotations

import json
import re

import pytest

from infra.constants import ACTIVE_SESSIONS, METRIC_NAMESPACE

ENVIRONMENT = {
    "SEGUE_STAGE",
    "SEGUE_BUCKET",
    "SEGUE_LOCK_TABLE",
    "SEGUE_CONNECTIONS_TABLE",
    "SEGUE_CLAIMS_QUEUE_URL",
    "SEGUE_MANAGEMENT_ENDPOINT",
    "SEGUE_WORKER_VERSION",
    "SEGUE_BIND_HOST",
    "SEGUE_WORKER_PORT",
    "SEGUE_CAPACITY",
    "SEGUE_LEASE_SECONDS",
    "SEGUE_HEARTBEAT_SECONDS",
    "SEGUE_LINGER_SECONDS",
    "SEGUE_RETENTION_DAYS",
    "SEGUE_PROVIDER",
    "POWERTOOLS_SERVICE_NAME",
    "LOG_LEVEL",
    "AWS_REGION",
}


@pytest.fixture
def task(stage):
    (found,) = stage.service.of_type("AWS::ECS::TaskDefinition").values()
    return found


@pytest.fixture
def container(task):
    (found,) = task["ContainerDefinitions"]
    return found


def test_a_deployment_is_never_below_capacity(stage):
    (service,) = stage.service.of_type("AWS::ECS::Service").values()

    assert service["DeploymentConfiguration"] == {
        "MinimumHealthyPercent": 100,
        "MaximumPercent": 200,
        "DeploymentCircuitBreaker": {"Enable": True, "Rollback": True},
    }


def test_in_aws_a_deployment_leaves_the_number_of_tasks_alone(dev, local):
    (service,) = dev.service.of_type("AWS::ECS::Service").values()
    assert "DesiredCount" not in service
    assert "LaunchType" not in service
    assert service["CapacityProviderStrategy"] == [{"CapacityProvider": "FARGATE", "Weight": 100}]
    (shown,) = local.service.of_type("AWS::ECS::Service").values()
    assert (shown["DesiredCount"], shown["LaunchType"]) == (local.config.worker_count, "FARGATE")


def test_the_service_grows_with_its_sessions_and_faster_when_claims_wait(dev):
    (target,) = dev.service.of_type("AWS::ApplicationAutoScaling::ScalableTarget").values()
    assert (target["MinCapacity"], target["MaxCapacity"]) == (2, 10)
    tracking, step = sorted(
        dev.service.of_type("AWS::ApplicationAutoScaling::ScalingPolicy").values(), key=lambda each: each["PolicyType"]
    )[::-1]
    tracked = tracking["TargetTrackingScalingPolicyConfiguration"]
    assert tracked["TargetValue"] == pytest.approx(28)  # 70 % of 40
    assert tracked["CustomizedMetricSpecification"] == {
        "Namespace": METRIC_NAMESPACE,
        "MetricName": ACTIVE_SESSIONS,
        "Dimensions": [{"Name": "service", "Value": "segue-worker"}, {"Name": "stage", "Value": "dev"}],
        "Statistic": "Average",
    }
    assert tracked["ScaleInCooldown"] > tracked["ScaleOutCooldown"]
    assert [each["ScalingAdjustment"] for each in step["StepScalingPolicyConfiguration"]["StepAdjustments"]] == [20, 50]
    alarm = dev.service.named("AWS::CloudWatch::Alarm", "WaitingClaims")
    assert (alarm["MetricName"], alarm["Threshold"]) == ("ApproximateAgeOfOldestMessage", 10)


def test_a_stopped_worker_has_two_minutes(container):
    assert container["StopTimeout"] == 120


def test_container_health_check_asks_the_workers_health_path(container):
    check = container["HealthCheck"]

    assert check["Command"][:3] == ["CMD", "python", "-c"]
    assert "http://127.0.0.1:8080/health" in check["Command"][3]
    compile(check["Command"][3], "health", "exec")
    assert check["Timeout"] < check["Interval"]


def test_a_worker_knows_what_it_needs(stage, container):
    variables = {each["Name"]: each["Value"] for each in container["Environment"]}

    optional = {"SEGUE_MODEL_ID", "SEGUE_CHECK_MODEL"} if stage.config.provider == "nova-sonic" else set()
    assert set(variables) == ENVIRONMENT | optional
    assert variables["SEGUE_PROVIDER"] == ("offline" if stage.config.stage == "local" else "nova-sonic")
    assert (variables["SEGUE_BIND_HOST"], variables["SEGUE_WORKER_PORT"]) == ("0.0.0.0", "8080")
    endpoint = variables["SEGUE_MANAGEMENT_ENDPOINT"]["Fn::Join"][1]
    assert (endpoint[0], endpoint[-1]) == ("https://", f"/{stage.config.stage}")
    for name, value in variables.items():
        assert not re.search(r"(?i)secret|token|password", f"{name}{value}")


def test_a_worker_changes_nothing_but_its_temporary_files(task, container):
    assert container["ReadonlyRootFilesystem"] is True
    assert container["MountPoints"] == [{"ContainerPath": "/tmp", "ReadOnly": False, "SourceVolume": "tmp"}]
    assert task["Volumes"] == [{"Name": "tmp"}]
    assert container.get("Privileged") in {None, False}
    assert container["User"] == "10001"


def test_a_stalled_log_does_not_stall_a_worker(container):
    log = container["LogConfiguration"]

    assert log["LogDriver"] == "awslogs"
    assert log["Options"]["mode"] == "non-blocking"


def test_worker_task_has_its_size_and_architecture(stage, task):
    machine = "ARM64" if stage.config.architecture == "arm64" else "X86_64"

    assert task["RuntimePlatform"] == {"CpuArchitecture": machine, "OperatingSystemFamily": "LINUX"}
    assert (task["Cpu"], task["Memory"]) == ("1024", "2048")


def test_the_image_is_built_from_a_folder_that_holds_all_it_takes(dev):
    assets = json.loads((dev.service.folder / "Segue-dev-Service.assets.json").read_text(encoding="utf-8"))
    (image,) = assets["dockerImages"].values()

    assert image["source"]["platform"] == "linux/arm64"
    folder = dev.service.folder / image["source"]["directory"]
    dockerfile = folder / image["source"]["dockerFile"]
    copied = re.findall(r"^COPY (?!--from)(\S+) ", dockerfile.read_text(encoding="utf-8"), re.MULTILINE)
    assert copied
    assert all((folder / each).exists() for each in copied)


def test_the_emulator_runs_no_image_so_none_is_built(local):
    (task,) = local.service.of_type("AWS::ECS::TaskDefinition").values()

    assert task["ContainerDefinitions"][0]["Image"] == "segue-worker:local"


def test_an_alarm_goes_off_when_worker_tasks_are_missing(dev):
    """Each running task reports its CPU once a minute, and if none does, that is the worst."""
    alarm = dev.service.named("AWS::CloudWatch::Alarm", "WorkersMissing")

    assert (alarm["Statistic"], alarm["Threshold"], alarm["TreatMissingData"]) == ("SampleCount", 2, "breaching")
    assert alarm["ComparisonOperator"] == "LessThanThreshold"


@pytest.mark.parametrize("workers", ["voice", "text", "both"])
def test_workers_come_before_the_functions_that_call_them(synthesized, workers):
    resources = synthesized(workers=workers).service.resources

    services = {name for name, each in resources.items() if each["Type"] == "AWS::ECS::Service"}
    first = services | {name for name in resources if re.fullmatch(r"TurnsHandlerLive[0-9A-F]{8}", name)}
    assert len(first) == (2 if workers == "both" else 1)
    entries = {
        name: each
        for name, each in resources.items()
        if re.fullmatch(r"Gateway(Authorizer|Connect|Disconnect|MessageLive)[0-9A-F]{8}", name)
    }
    assert {each["Type"] for each in entries.values()} == {"AWS::Lambda::Function", "AWS::Lambda::Alias"}
    assert len(entries) == 4
    assert all(first <= set(each["DependsOn"]) for each in entries.values())


def test_the_service_is_made_after_its_capacity_providers_and_deleted_before_them(dev):
    ((name, providers),) = dev.service.of_type("AWS::ECS::ClusterCapacityProviderAssociations").items()
    (service,) = [each for each in dev.service.resources.values() if each["Type"] == "AWS::ECS::Service"]

    assert name in service["DependsOn"]
    used = {each["CapacityProvider"] for each in service["Properties"]["CapacityProviderStrategy"]}
    assert used <= set(providers["CapacityProviders"])
    assert providers["Cluster"] == service["Properties"]["Cluster"]


def test_a_replaced_task_definition_stays_so_that_one_can_go_back_to_it(stage):
    (task,) = [each for each in stage.service.resources.values() if each["Type"] == "AWS::ECS::TaskDefinition"]

    assert task["UpdateReplacePolicy"] == "Retain"
    assert task["DeletionPolicy"] == "Retain", "CloudFormation's rules want both"
