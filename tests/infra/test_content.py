"""The content decides whether workers are replaced: a deployment that changes nothing replaces none."""

from __future__ import annotations

from infra.preflight.replaced import synthesized_workers
from infra.worker_version import changed, version


def task(stage):
    ((name, definition),) = stage.service.of_type("AWS::ECS::TaskDefinition").items()
    return name, definition


def variables(stage):
    (container,) = task(stage)[1]["ContainerDefinitions"]
    return {each["Name"]: each["Value"] for each in container["Environment"]}


def test_the_same_content_is_the_same_task_definition(dev, synthesized_anew):
    """Whatever the time: ECS replaces nothing if the definition stays."""
    assert synthesized_anew is not dev
    assert task(synthesized_anew) == task(dev)
    assert len(variables(dev)["SEGUE_WORKER_VERSION"]) == 12
    assert dev.service.content["Outputs"]["WorkerVersion"]["Value"] == variables(dev)["SEGUE_WORKER_VERSION"]


def test_another_setting_of_the_workers_is_another_version(dev, synthesized):
    changed = variables(synthesized(lease_seconds=20, alarm_email="voice@example.com"))
    before = variables(dev)
    assert {name for name in before if before[name] != changed[name]} == {
        "SEGUE_LEASE_SECONDS",
        "SEGUE_WORKER_VERSION",
    }


def test_a_setting_of_something_else_replaces_no_worker(dev, synthesized):
    assert task(synthesized(alarm_email="voice@example.com", worker_count_max=9)) == task(dev)


def test_a_version_that_is_named_replaces_them(synthesized):
    assert variables(synthesized(version="v7"))["SEGUE_WORKER_VERSION"] == "v7"


def test_another_image_is_another_version():
    settings = {"SEGUE_STAGE": "dev", "SEGUE_BUCKET": "${Token[BUCKET.1]}"}
    assert version("a", settings) == version("a", {**settings, "SEGUE_BUCKET": "${Token[BUCKET.2]}"})
    assert version("a", settings) != version("b", settings)
    assert version("a", settings) != version("a", {**settings, "SEGUE_STAGE": "prod"})


def test_preflight_names_the_version_that_a_synthesis_has(dev):
    """Without synthesizing all stacks: it is done before a deployment, beside other questions."""
    outputs = dev.service.content["Outputs"]
    workers = synthesized_workers(dev.config)

    assert (workers.version, workers.parts) == (outputs["WorkerVersion"]["Value"], outputs["WorkerParts"]["Value"])


def test_a_difference_is_named_by_its_part():
    before = "agent=1,image=2,settings=3"
    assert changed(before, before) == []
    assert changed(before, "agent=9,image=9,settings=3") == ["agent.py"]
    assert changed(before, "agent=1,image=9,settings=3") == ["code, locks or the base image"]
    assert changed(before, "agent=1,image=2,settings=9") == ["settings"]


def test_ecs_does_not_replace_tasks_to_even_out_zones(stage):
    (service,) = stage.service.of_type("AWS::ECS::Service").values()
    assert service["AvailabilityZoneRebalancing"] == "DISABLED"


def test_functions_log_no_line_for_each_invocation(stage):
    for name, function in stage.service.of_type("AWS::Lambda::Function").items():
        if not function.get("Description", "").startswith("Segue"):  # CDK's own
            continue
        logging = function["LoggingConfig"]
        assert (logging["LogFormat"], logging["SystemLogLevel"]) == ("JSON", "WARN"), name
        assert logging["ApplicationLogLevel"] == "INFO", "metrics are lines without a level, which count as INFO"


def test_a_custom_domain_is_reached_over_ipv6_too(synthesized):
    stage = synthesized(
        domain_name="voice.example.com",
        domain_certificate_arn="arn:aws:acm:us-east-1:000000000000:certificate/01234567-0123-0123-0123-0123456789ab",
        domain_zone_id="Z0123456789",
    )
    records = stage.service.of_type("AWS::Route53::RecordSet").values()
    assert sorted(each["Type"] for each in records) == ["A", "AAAA"]
    (domain,) = stage.service.of_type("AWS::ApiGatewayV2::DomainName").values()
    assert domain["DomainNameConfigurations"][0]["IpAddressType"] == "dualstack"
