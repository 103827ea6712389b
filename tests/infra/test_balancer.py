"""The direct transport: a load balancer before the workers, with the WebSocket API and without."""

from __future__ import annotations

import json

import pytest

from infra.constants import WORKER_PORT, WORKER_SOCKETS_PORT
from tests.infra.references import simplified
from tests.infra.test_alarms import NOTHING, counted, each_minute, goes_off
from tests.infra.test_permissions import granted
from tests.infra.transports import BALANCERS, CERTIFICATE, DOOR, VPC
from worker.settings import Environment


@pytest.fixture(params=["alone", "both"])
def stage(request):
    return request.getfixturevalue(request.param)


def only(stage, kind):
    (found,) = stage.service.of_type(kind).values()
    return found


def attributes(given):
    return {each["Key"]: each["Value"] for each in given}


def container(stage):
    (found,) = only(stage, "AWS::ECS::TaskDefinition")["ContainerDefinitions"]
    return found


def variables(stage):
    return {each["Name"]: each["Value"] for each in container(stage)["Environment"]}


def test_clients_reach_the_balancer_by_tls_and_nothing_else(stage):
    listener, balancer = (only(stage, f"AWS::ElasticLoadBalancingV2::{name}") for name in ("Listener", "LoadBalancer"))

    assert (listener["Port"], listener["Protocol"]) == (443, "TLS")
    assert listener["Certificates"] == [{"CertificateArn": CERTIFICATE}]
    assert listener["SslPolicy"].startswith("ELBSecurityPolicy-TLS13-1-2-")
    assert (balancer["Type"], balancer["Scheme"]) == ("network", "internet-facing")
    # IPv6 clients would have the balancer's address in the eyes of a worker, all of them the same.
    assert balancer["IpAddressType"] == "ipv4"
    group = stage.service.named("AWS::EC2::SecurityGroup", "BalancerGroup")
    (rule,) = group["SecurityGroupIngress"]
    assert (rule["CidrIp"], rule["FromPort"], rule["ToPort"]) == ("0.0.0.0/0", 443, 443)
    assert "SecurityGroupEgress" not in group, "CDK's rule that denies everything is taken away by the one to workers"


def test_nothing_ends_a_socket_but_its_worker_and_its_client(stage):
    group = only(stage, "AWS::ElasticLoadBalancingV2::TargetGroup")

    assert (group["Port"], group["Protocol"], group["TargetType"]) == (WORKER_SOCKETS_PORT, "TCP", "ip")
    assert attributes(group["TargetGroupAttributes"]) == {
        "deregistration_delay.timeout_seconds": "5",
        "deregistration_delay.connection_termination.enabled": "false",
        "target_health_state.unhealthy.connection_termination.enabled": "false",
        "preserve_client_ip.enabled": "true",
        "proxy_protocol_v2.enabled": "false",
    }
    assert (group["HealthCheckProtocol"], group["HealthCheckPath"]) == ("HTTP", "/health")
    assert group["HealthCheckTimeoutSeconds"] < group["HealthCheckIntervalSeconds"]


def test_only_the_balancer_reaches_the_sockets_and_nothing_from_outside_the_workers_port(stage):
    reached = {}
    for rule in stage.service.of_type("AWS::EC2::SecurityGroupIngress").values():
        if "WorkerGroup" in rule["GroupId"]["Fn::GetAtt"][0]:
            assert rule["FromPort"] == rule["ToPort"]
            source = simplified(rule["SourceSecurityGroupId"]).partition("Group")[0].removeprefix("<Network")
            reached.setdefault(rule["FromPort"], set()).add(source)

    assert reached == {
        WORKER_SOCKETS_PORT: {"Balancer"},
        WORKER_PORT: {"Worker", "Message"} if stage.config.api else {"Worker"},
    }
    assert "SecurityGroupIngress" not in stage.service.named("AWS::EC2::SecurityGroup", "WorkerGroup")
    leaving = stage.service.of_type("AWS::EC2::SecurityGroupEgress").items()
    ports = {rule["FromPort"] for name, rule in leaving if "BalancerGroup" in name}
    assert ports == {WORKER_SOCKETS_PORT}


def test_tasks_are_targets_once_they_listen(stage):
    service = only(stage, "AWS::ECS::Service")
    (target,) = service["LoadBalancers"]
    ports = {each["Name"]: each["ContainerPort"] for each in container(stage)["PortMappings"]}

    assert (target["ContainerName"], target["ContainerPort"]) == (container(stage)["Name"], WORKER_SOCKETS_PORT)
    assert ports == {"frames": WORKER_PORT, "sockets": WORKER_SOCKETS_PORT}
    # Registering takes longer than a start: a task must not be replaced meanwhile.
    assert service["HealthCheckGracePeriodSeconds"] == 180
    (resource,) = [each for each in stage.service.resources.values() if each["Type"] == "AWS::ECS::Service"]
    assert "AWS::ElasticLoadBalancingV2::Listener" in {
        stage.service.resources[name]["Type"] for name in resource["DependsOn"]
    }


def test_workers_get_the_transport_issuer_and_origins_in_their_environment(alone, both):
    found = variables(both)
    expected = {"SEGUE_TRANSPORT": "both", "SEGUE_DIRECT_PORT": "8443", "SEGUE_DIRECT_SOCKETS": "99"}
    assert expected.items() <= found.items()
    authorizer = both.service.named("AWS::Lambda::Function", "Authorizer")["Environment"]["Variables"]
    for name in ("SEGUE_TOKEN_ISSUER", "SEGUE_TOKEN_AUDIENCE", "SEGUE_TOKEN_KEYS_URL"):
        assert found[name] == authorizer[name], "the same callers at both doors"
    origins = simplified(found["SEGUE_DIRECT_ORIGINS"])
    assert origins.startswith("https://<Web.")
    assert origins.endswith(",https://app.example.com")
    assert "SEGUE_MANAGEMENT_ENDPOINT" in found

    assert {"SEGUE_TRANSPORT": "direct", "SEGUE_DIRECT_SOCKETS": "160"}.items() <= variables(alone).items()
    assert "SEGUE_MANAGEMENT_ENDPOINT" not in variables(alone)


def test_workers_that_reach_no_issuer_ask_a_function_for_its_keys(alone, both):
    keys = alone.service.named("AWS::Lambda::Function", "Keys")
    found = variables(alone)

    assert "VpcConfig" not in keys
    assert "/.well-known/jwks.json" in simplified(keys["Environment"]["Variables"]["SEGUE_TOKEN_KEYS_URL"])
    assert simplified(found["SEGUE_TOKEN_KEYS_URL"]).startswith("lambda:<Keys")
    assert simplified(found["AWS_ENDPOINT_URL_LAMBDA"]) == "https://lambda.<AWS::Region>.api.aws"
    invoked = {what for what in granted(alone, "WorkersTaskTaskRole") if what[0].startswith("lambda:")}
    assert [(action, what.startswith("<Keys")) for action, what in invoked] == [("lambda:InvokeFunction", True)]

    assert not [name for name in both.service.of_type("AWS::Lambda::Function") if name.startswith("Keys")]
    assert not [what for what in granted(both, "WorkersTaskTaskRole") if what[0].startswith("lambda:")]


def test_a_direct_deployment_has_no_part_of_the_websocket_api(alone):
    kinds = {each["Type"] for each in alone.service.resources.values()}
    assert not [kind for kind in kinds if kind.startswith("AWS::ApiGatewayV2::")]
    functions = alone.service.of_type("AWS::Lambda::Function").values()
    handlers = {each["Handler"] for each in functions if each.get("Description", "").startswith("Segue")}
    assert handlers == {
        "gateway.keys.handler",
        "gateway.stopped.handler",
        "janitor.second_sweep.handler",
        "janitor.ended.handler",
        "janitor.weekly.handler",
    }
    assert "execute-api" not in json.dumps(alone.service.content)
    assert alone.service.outputs.isdisjoint({"WebSocketUrl", "ManagementEndpoint", "ApiId"})
    assert not [queue for queue in alone.service.of_type("AWS::SQS::Queue") if "Turns" in queue]


def test_outputs_name_the_direct_endpoint_and_its_target(alone, both):
    for stage in (alone, both):
        assert stage.service.content["Outputs"]["DirectEndpoint"]["Value"] == "wss://live.example.com"
        assert "DirectTarget" in stage.service.outputs
    record = only(alone, "AWS::Route53::RecordSet")
    assert (record["Name"], record["Type"], record["HostedZoneId"]) == ("live.example.com.", "A", "Z0123456789")
    assert not both.service.of_type("AWS::Route53::RecordSet"), "no record without a zone"


def called_by_the_page(stage):
    """The origins that the page may call."""
    policy = json.dumps(stage.web.of_type("AWS::CloudFront::ResponseHeadersPolicy"))
    return policy.partition("connect-src")[2].partition(";")[0]


def told_to_the_page(stage):
    """The content of its settings file, in which names that only a deployment knows have places."""
    found = [path.read_text(encoding="utf-8") for path in stage.service.folder.glob("asset.*/settings.json")]
    (text,) = [each for each in found if '"login"' in each]
    return text


def test_page_connects_to_the_api_or_else_to_the_balancer(alone, both):
    assert "wss://live.example.com" in called_by_the_page(alone)
    assert "execute-api" not in called_by_the_page(alone)
    # Coming from a load balancer alone, the page is told the API's address last, and calls the balancer until then.
    for each in ("execute-api", "wss://live.example.com"):
        assert each in called_by_the_page(both)
    assert '"url":"wss://live.example.com"' in told_to_the_page(alone)
    assert "live.example.com" not in told_to_the_page(both)
    resources = alone.service.resources
    (written,) = [name for name in resources if name.startswith("PageSettingsUploadCustomResource")]
    kinds = {resources[name]["Type"] for name in resources[written]["DependsOn"]}
    assert "AWS::ECS::Service" in kinds, "the page learns last"


BEFORE = {
    "WorkersSubnet1": ("10.0.0.0/20", 0),
    "WorkersSubnet2": ("10.0.16.0/20", 1),
    "FunctionsSubnet1": ("10.0.32.0/20", 2),
    "FunctionsSubnet2": ("10.0.48.0/20", 3),
}
"""Subnets of a private network without a load balancer, as deployments have them: IPv4 block, place of the IPv6 one."""


def test_public_subnets_of_a_private_network_renumber_none(alone):
    found = {}
    for name, each in alone.service.of_type("AWS::EC2::Subnet").items():
        place, blocks = each["Ipv6CidrBlock"]["Fn::Select"]
        assert blocks["Fn::Cidr"][2] == "64"
        found[name.removeprefix("NetworkVpc").partition("Subnet")[0] + f"Subnet{name.partition('Subnet')[2][0]}"] = (
            each["CidrBlock"],
            place,
        )

    assert BEFORE.items() <= found.items()
    added = {name: block for name, (block, _place) in found.items() if name not in BEFORE}
    assert added == {"BalancerSubnet1": "10.0.64.0/24", "BalancerSubnet2": "10.0.65.0/24"}
    placed = {each["Ref"] for each in only(alone, "AWS::ElasticLoadBalancingV2::LoadBalancer")["Subnets"]}
    assert {name[:25] for name in placed} == {"NetworkVpcBalancerSubnet1", "NetworkVpcBalancerSubnet2"}
    service = only(alone, "AWS::ECS::Service")["NetworkConfiguration"]["AwsvpcConfiguration"]
    assert service["AssignPublicIp"] == "DISABLED"
    assert {each["Ref"][:24] for each in service["Subnets"]} == {"NetworkVpcWorkersSubnet1", "NetworkVpcWorkersSubnet2"}


def test_a_public_network_has_the_balancer_beside_the_tasks(both):
    placed = only(both, "AWS::ElasticLoadBalancingV2::LoadBalancer")["Subnets"]

    assert placed == only(both, "AWS::ECS::Service")["NetworkConfiguration"]["AwsvpcConfiguration"]["Subnets"]
    assert len(both.service.of_type("AWS::EC2::Subnet")) == 4


def test_a_vpc_that_is_there_names_the_balancers_subnets(synthesized):
    stage = synthesized(transport="direct", network="private", web="false", **DOOR, **VPC, **BALANCERS)

    kinds = {each["Type"] for each in stage.service.resources.values() if each["Type"].startswith("AWS::EC2::")}
    assert kinds == {"AWS::EC2::SecurityGroup", "AWS::EC2::SecurityGroupEgress", "AWS::EC2::SecurityGroupIngress"}
    placed = only(stage, "AWS::ElasticLoadBalancingV2::LoadBalancer")["Subnets"]
    assert placed == ["subnet-41234567", "subnet-51234567"]
    # Its ways out are its own business, the one to the issuer among them.
    assert "/.well-known/jwks.json" in simplified(variables(stage)["SEGUE_TOKEN_KEYS_URL"])
    assert variables(stage)["SEGUE_DIRECT_ORIGINS"] == "", "without a page and a setting, any"


def test_a_default_deployment_has_no_balancer_and_no_direct_variables(dev, local):
    for stage in (dev, local):
        assert not [kind for kind in stage.service.resources.values() if "ElasticLoad" in kind["Type"]]
        assert not [name for name in variables(stage) if "DIRECT" in name or "TOKEN" in name or "TRANSPORT" in name]


@pytest.fixture
def alarms(both):
    found = both.service.of_type("AWS::CloudWatch::Alarm").values()
    return {each["AlarmName"].removeprefix("segue-dev-"): each for each in found if "AlarmName" in each}


CASES = {
    "no-way-to-workers": (
        [NOTHING, each_minute(2, 0, 0)],
        [each_minute(2, 1, 2), [*each_minute(1, 0), [1]], each_minute(2, 0, 1)],
    ),
    # A deployment turns away for some minutes, two clients in each of their first tries.
    "sockets-turned-away": ([counted(50, 5)], [counted(49, 5), [*counted(300, 4), []], NOTHING]),
    "workers-not-reached": (
        [each_minute(5, 1), each_minute(5, 2, 1)],
        [NOTHING, each_minute(5, 0, 2), [*each_minute(4, 3), [0]]],
    ),
}


def test_an_alarm_goes_off_when_clients_cannot_reach_workers_and_only_then(alarms, dev):
    of_the_default = {
        each["AlarmName"].removeprefix("segue-dev-")
        for each in dev.service.of_type("AWS::CloudWatch::Alarm").values()
        if "AlarmName" in each
    }
    assert alarms.keys() - of_the_default == CASES.keys()
    for name, (on, silent) in CASES.items():
        assert [goes_off(alarms[name], minutes) for minutes in on] == [True] * len(on), name
        assert [goes_off(alarms[name], minutes) for minutes in silent] == [False] * len(silent), name


def test_a_first_deployment_is_no_alarm(stage):
    """An alarm on too little is made once the service is stable, and has what it counts."""
    (service,) = stage.service.of_type("AWS::ECS::Service")
    on_too_little = {}
    for each in stage.service.resources.values():
        if each["Type"] == "AWS::CloudWatch::Alarm" and each["Properties"].get("TreatMissingData") == "breaching":
            needs = json.dumps([each.get("DependsOn", []), each["Properties"]["Dimensions"]])
            on_too_little[each["Properties"]["AlarmName"]] = f'"{service}"' in needs

    assert on_too_little == {"segue-dev-no-way-to-workers": True, "segue-dev-workers-missing": True}


def test_a_worker_starts_with_what_the_stack_tells_it(stage):
    given = {name: value if isinstance(value, str) else "https://x.example" for name, value in variables(stage).items()}
    environment = Environment.read(given)

    assert environment.has_sockets
    assert (environment.transport, environment.direct_port) == (stage.config.transport, WORKER_SOCKETS_PORT)
    assert environment.direct_sockets == stage.config.sockets
    assert environment.token_issuer
    assert environment.token_keys_url
