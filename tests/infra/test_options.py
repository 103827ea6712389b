"""A stage with everything set that can be set."""

from __future__ import annotations

import json
from typing import get_args

import pytest

from infra.config import Config, from_context
from infra.constructs.bedrock import model_arns
from infra.setting_combinations import PROVIDER_KEYS, PROVIDER_OPTIONS, PROVIDER_RATES
from worker.providers import PROVIDERS, Settings
from worker.telemetry.tracing import ENDPOINTS, XRAY

SECRET = "arn:aws:secretsmanager:us-east-1:000000000000:secret:provider-key-AbCdEf"
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
        worker_count_max="12",
        worker_spot_percent="25",
        worker_linger_seconds="5",
        retention_days="30",
        approval_seconds="60",
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
        "SEGUE_LINGER_SECONDS": "5",
        "SEGUE_RETENTION_DAYS": "30",
        "LOG_LEVEL": "DEBUG",
    }
    assert expected.items() <= variables.items()
    assert "SEGUE_MODEL_ID" not in variables
    (service,) = prod.service.of_type("AWS::ECS::Service").values()
    assert service["CapacityProviderStrategy"] == [
        {"CapacityProvider": "FARGATE", "Weight": 75},
        {"CapacityProvider": "FARGATE_SPOT", "Weight": 25},
    ]
    (target,) = prod.service.of_type("AWS::ApplicationAutoScaling::ScalableTarget").values()
    assert (target["MinCapacity"], target["MaxCapacity"]) == (4, 12)


def test_settings_reach_the_text_worker(prod):
    variables = prod.service.named("AWS::Lambda::Function", "TurnsHandler")["Environment"]["Variables"]

    expected = {
        "SEGUE_STAGE": "prod",
        "SEGUE_PROVIDER": "rehearsal",
        "SEGUE_LEASE_SECONDS": "20",
        "SEGUE_HEARTBEAT_SECONDS": "5",
        "SEGUE_RETENTION_DAYS": "30",
        "SEGUE_APPROVAL_SECONDS": "60",
        "LOG_LEVEL": "DEBUG",
    }
    assert expected.items() <= variables.items()


def test_settings_reach_the_image(prod):
    assets = json.loads((prod.service.folder / "Segue-prod-Service.assets.json").read_text(encoding="utf-8"))
    (image,) = assets["dockerImages"].values()

    assert image["source"]["dockerBuildArgs"] == {"PYTHON_IMAGE": BASE}
    assert image["source"]["platform"] == "linux/amd64"


def test_settings_reach_functions_logs_and_alarms(prod):
    found = prod.service.of_type("AWS::Lambda::Function").values()
    functions = [each for each in found if each.get("Description", "").startswith("Segue")]  # not CDK's own
    assert len(functions) > 7
    assert {tuple(each["Architectures"]) for each in functions} == {("x86_64",)}
    assert {each["RetentionInDays"] for each in prod.service.of_type("AWS::Logs::LogGroup").values()} == {365}
    assert prod.service.named("AWS::CloudWatch::Alarm", "WorkersMissing")["Threshold"] == 4


def test_stacks_go_to_the_region(prod):
    manifest = json.loads((prod.data.folder / "manifest.json").read_text(encoding="utf-8"))

    stacks = [each for each in manifest["artifacts"].values() if each["type"] == "aws:cloudformation:stack"]
    assert {each["environment"] for each in stacks} == {"aws://unknown-account/eu-north-1"}


def test_no_right_to_a_model_that_is_not_used(prod):
    policies = json.dumps(prod.service.of_type("AWS::IAM::Policy"))

    assert "bedrock" not in policies


@pytest.fixture(scope="module")
def private(synthesized):
    """A traced stage without public addresses, with a provider that has a key, and with a domain of its own."""
    return synthesized(
        network="private",
        provider="gemini-live",
        provider_secret_arn=SECRET,
        model_voice="Aoede",
        provider_input_rate="8000",
        provider_output_rate=24000,
        client_input_rate=48000,
        client_output_rate="16000",
        provider_options={"connection": {"restart_after_s": 300}},
        trace_sampling_percent="5",
        domain_name="voice.example.com",
        domain_certificate_arn="arn:aws:acm:us-east-1:000000000000:certificate/01234567-0123-0123-0123-0123456789ab",
        domain_zone_id="Z0123456789",
    )


def container(stage):
    (task,) = stage.service.of_type("AWS::ECS::TaskDefinition").values()
    return task["ContainerDefinitions"][0]


def test_private_tasks_have_no_address_and_ways_to_aws(private):
    (service,) = private.service.of_type("AWS::ECS::Service").values()
    network = service["NetworkConfiguration"]["AwsvpcConfiguration"]
    endpoints = private.service.of_type("AWS::EC2::VPCEndpoint").values()

    assert network["AssignPublicIp"] == "DISABLED"
    tag = {"Key": "aws-cdk:subnet-type", "Value": "Private"}
    found = private.service.of_type("AWS::EC2::Subnet")
    assert all(tag in found[each["Ref"]]["Tags"] for each in network["Subnets"])
    services = {str(each["ServiceName"]).rpartition(".")[2].strip("']}") for each in endpoints}
    assert {"s3", "dynamodb", "sqs", "logs", "dkr", "secretsmanager", "xray"} <= services
    assert "bedrock-runtime" not in services
    private.service.template.resource_count_is("AWS::EC2::NatGateway", 0)
    (api,) = private.service.of_type("AWS::ApiGatewayV2::Api").values()
    assert api["IpAddressType"] == "dualstack"
    # SQS is called through its endpoint here.
    message = private.service.named("AWS::Lambda::Function", "GatewayMessage")
    assert "AWS_ENDPOINT_URL_SQS" not in message["Environment"]["Variables"]


def test_the_endpoints_are_called_from_the_stack_only(private):
    rules = private.service.of_type("AWS::EC2::SecurityGroupIngress").values()

    to_endpoints = [each for each in rules if "EndpointGroup" in each["GroupId"]["Fn::GetAtt"][0]]
    sources = {each["SourceSecurityGroupId"]["Fn::GetAtt"][0].partition("Group")[0] for each in to_endpoints}
    assert sources == {"NetworkWorker", "NetworkMessage"}
    assert {(each["FromPort"], each["ToPort"]) for each in to_endpoints} == {(443, 443)}


def test_the_key_of_the_provider_is_a_secret_and_nothing_else(private):
    assert container(private)["Secrets"] == [{"Name": "GEMINI_API_KEY", "ValueFrom": SECRET}]
    variables = {each["Name"]: each["Value"] for each in container(private)["Environment"]}
    assert SECRET not in json.dumps(variables)
    assert (variables["SEGUE_PROVIDER"], variables["SEGUE_VOICE"]) == ("gemini-live", "Aoede")
    policies = private.service.of_type("AWS::IAM::Policy")
    readers = [name for name, each in policies.items() if "secretsmanager" in json.dumps(each)]
    assert len(readers) == 1
    assert "ExecutionRole" in readers[0]


def test_audio_formats_and_options_reach_the_worker(private):
    variables = {each["Name"]: each["Value"] for each in container(private)["Environment"]}
    settings = Settings.from_environment({**variables, "GEMINI_API_KEY": "k"})
    assert (settings.input_rate, settings.output_rate) == (8000, 24000)
    assert (settings.client_input_rate, settings.client_output_rate) == (48000, 16000)
    assert settings.options == {"connection": {"restart_after_s": 300}}


def test_options_not_chosen_are_not_in_the_workers_environment(prod):
    names = {each["Name"] for each in container(prod)["Environment"]}
    assert not {name for name in names if name.endswith(("_RATE", "_OPTIONS"))}


def test_rates_options_and_keys_of_providers_equal_the_workers():
    assert {name: (each.input_rates, each.output_rates) for name, each in PROVIDERS.items()} == PROVIDER_RATES
    assert {name: each.options for name, each in PROVIDERS.items()} == PROVIDER_OPTIONS
    assert {name: each.keys[0] for name, each in PROVIDERS.items() if each.keys} == PROVIDER_KEYS
    assert {*PROVIDERS, "rehearsal"} == set(get_args(Config.model_fields["provider"].annotation))


def test_openai_live_runs_in_an_image_of_ones_own():
    config = from_context(
        {"provider": "openai-live", "provider_secret_arn": SECRET, "worker_image": "example/worker-with-live:1"}
    )
    assert config.provider == "openai-live"


def test_workers_trace_a_part_of_the_turns_and_functions_what_lambda_samples(private):
    variables = {each["Name"]: each["Value"] for each in container(private)["Environment"]}
    assert variables["OTEL_TRACES_SAMPLER_ARG"] == "0.05"
    assert not private.service.of_type("AWS::XRay::SamplingRule"), "Lambda's rate cannot be configured"
    for name, function in private.service.of_type("AWS::Lambda::Function").items():
        if name.startswith(("Gateway", "Janitor")):
            assert function["TracingConfig"] == {"Mode": "Active"}


def test_traces_go_to_cloudwatch_which_workers_sign_for(private):
    variables = {each["Name"]: each["Value"] for each in container(private)["Environment"]}
    parts = variables["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"]["Fn::Join"][1]
    names = {"AWS::Region": "eu-north-1", "AWS::URLSuffix": "amazonaws.com"}
    endpoint = "".join(part if isinstance(part, str) else names[part["Ref"]] for part in parts)
    assert XRAY.match(endpoint)["region"] == "eu-north-1"
    assert ENDPOINTS[0] in variables
    assert traces_are_allowed(private)


def test_traces_go_to_a_collector_of_ones_own(synthesized):
    stage = synthesized(trace_sampling_percent="100", trace_endpoint="http://10.0.0.9:4318/v1/traces")
    variables = {each["Name"]: each["Value"] for each in container(stage)["Environment"]}
    assert variables["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] == "http://10.0.0.9:4318/v1/traces"
    assert not traces_are_allowed(stage), "workers write none to AWS"


def traces_are_allowed(stage):
    roles = [
        each["Roles"][0]["Ref"]
        for each in stage.service.of_type("AWS::IAM::Policy").values()
        if "xray" in json.dumps(each["PolicyDocument"])
    ]
    return any(role.startswith("Workers") for role in roles)


def test_runbooks_are_linked_to_where_they_can_be_read(synthesized):
    alarms = synthesized(docs_url="https://example.com/segue/docs/").service.of_type("AWS::CloudWatch::Alarm").values()
    links = {each["AlarmDescription"].rpartition(" Runbook: ")[2] for each in alarms if "AlarmName" in each}
    assert "https://example.com/segue/docs/runbooks/commits-slow.md" in links
    assert all(link.startswith("https://example.com/segue/docs/runbooks/") for link in links)


def test_no_option_grants_on_everything_but_what_takes_no_resource(private):
    everywhere = {
        action
        for policy in private.service.of_type("AWS::IAM::Policy").values()
        for statement in policy["PolicyDocument"]["Statement"]
        if "*" in str(statement["Resource"]).split("'") or statement["Resource"] == "*"
        for action in ([statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"])
    }

    assert {action for action in everywhere if not action.startswith("ec2:")} == {
        "dynamodb:ListStreams",
        "ecr:GetAuthorizationToken",
        "xray:PutTelemetryRecords",
        "xray:PutTraceSegments",
    }


def test_by_default_no_role_may_write_traces(dev):
    assert "xray" not in json.dumps(dev.service.of_type("AWS::IAM::Policy"))
    assert not [each for each in container(dev)["Environment"] if each["Name"].startswith("OTEL")]


def test_a_custom_domain_has_a_tls_policy_and_records(private):
    (domain,) = private.service.of_type("AWS::ApiGatewayV2::DomainName").values()
    records = private.service.of_type("AWS::Route53::RecordSet").values()

    assert domain["DomainNameConfigurations"][0]["SecurityPolicy"] == "TLS_1_2"
    assert {(each["Name"], each["HostedZoneId"]) for each in records} == {("voice.example.com.", "Z0123456789")}
    assert sorted(each["Type"] for each in records) == ["A", "AAAA"]
    assert private.service.content["Outputs"]["WebSocketUrl"]["Value"] == "wss://voice.example.com"


def test_a_vpc_that_is_there_is_used_and_nothing_is_added_to_it(synthesized):
    stage = synthesized(
        vpc_id="vpc-01234567",
        vpc_zones="eu-north-1a,eu-north-1b",
        vpc_worker_subnets="subnet-01234567,subnet-11234567",
        vpc_function_subnets="subnet-21234567,subnet-31234567",
    )

    kinds = {each["Type"] for each in stage.service.resources.values() if each["Type"].startswith("AWS::EC2::")}
    assert kinds == {"AWS::EC2::SecurityGroup", "AWS::EC2::SecurityGroupEgress", "AWS::EC2::SecurityGroupIngress"}
    (service,) = stage.service.of_type("AWS::ECS::Service").values()
    subnets = service["NetworkConfiguration"]["AwsvpcConfiguration"]["Subnets"]
    assert subnets == ["subnet-01234567", "subnet-11234567"]
    message = stage.service.named("AWS::Lambda::Function", "GatewayMessage")
    assert message["VpcConfig"]["SubnetIds"] == ["subnet-21234567", "subnet-31234567"]
    assert "Ipv6AllowedForDualStack" not in message["VpcConfig"]
    assert "AWS_ENDPOINT_URL_SQS" not in message["Environment"]["Variables"]


def test_an_image_of_a_private_registry_may_be_fetched(synthesized):
    digest = "sha256:" + 64 * "b"
    registry = "000000000000.dkr.ecr.eu-north-1.amazonaws.com"
    stage = synthesized(region="eu-north-1", worker_image=f"{registry}/segue/worker@{digest}")

    image = container(stage)["Image"]["Fn::Join"][1]
    assert image[-1].endswith(f"/segue/worker@{digest}")
    policies = json.dumps(stage.service.of_type("AWS::IAM::Policy"))
    assert ":ecr:eu-north-1:000000000000:repository/segue/worker" in policies
    manifest = json.loads((stage.service.folder / "Segue-dev-Service.assets.json").read_text(encoding="utf-8"))
    assert not manifest.get("dockerImages")


def test_workers_text_creates_no_ecs_tasks_and_no_vpc(synthesized):
    stage = synthesized(workers="text")

    kinds = {each["Type"] for each in stage.service.resources.values()}
    assert not [kind for kind in kinds if kind.startswith(("AWS::ECS::", "AWS::EC2::", "AWS::ApplicationAutoScaling"))]
    assert "VpcConfig" not in stage.service.named("AWS::Lambda::Function", "GatewayMessage")
    assert "ClusterName" not in stage.service.outputs


@pytest.mark.parametrize(
    ("model", "resources"),
    [
        ("amazon.nova-2-sonic-v1:0", ["::foundation-model/amazon.nova-2-sonic-v1:0"]),
        ("arn:aws:bedrock:us-east-1:000000000000:provisioned-model/x", None),
        (
            "us.amazon.nova-lite-v1:0",
            ["inference-profile/us.amazon.nova-lite-v1:0", "bedrock:*::foundation-model/amazon.nova-lite-v1:0"],
        ),
    ],
)
def test_a_model_is_named_as_bedrock_names_it(model, resources):
    found = model_arns(model)

    assert len(found) == len(resources or [model])
    assert all(end in arn for end, arn in zip(resources or [model], found, strict=True))
