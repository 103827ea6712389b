"""Each metric of the alarms and of the dashboard is emitted by our code or by AWS."""

from __future__ import annotations

import json
import re

import pytest

from infra.constants import FUNCTIONS, ROOT
from infra.constructs.monitoring.dashboard import QUESTIONS
from infra.constructs.monitoring.queries import QUERIES
from segue.wire.codes import MESSAGES
from shared import metrics as gateway_metrics
from tests.infra.references import simplified
from tests.support.emf import metrics_told
from worker.telemetry import metrics as worker_metrics

AWS = {
    "AWS/ApiGateway": {
        ("ApiId",): {"ClientError", "ConnectCount", "ExecutionError", "IntegrationError", "MessageCount"},
    },
    "AWS/CloudFront": {("DistributionId", "Region"): {"4xxErrorRate", "5xxErrorRate", "Requests"}},
    "AWS/DynamoDB": {
        ("TableName",): {
            "ConsumedReadCapacityUnits",
            "ConsumedWriteCapacityUnits",
            "ReadThrottleEvents",
            "WriteThrottleEvents",
        }
    },
    "AWS/ECS": {("ClusterName", "ServiceName"): {"CPUUtilization", "MemoryUtilization"}},
    "AWS/Lambda": {("FunctionName",): {"Duration", "Errors", "Invocations", "IteratorAge", "Throttles"}},
    "AWS/NetworkELB": {
        ("LoadBalancer",): {
            "ActiveFlowCount_TLS",
            "ClientTLSNegotiationErrorCount",
            "NewFlowCount_TLS",
            "ProcessedBytes_TLS",
            "RejectedFlowCount",
            "TCP_ELB_Reset_Count",
            "TCP_Client_Reset_Count",
            "TCP_Target_Reset_Count",
        },
        ("LoadBalancer", "TargetGroup"): {"HealthyHostCount", "UnHealthyHostCount"},
    },
    "AWS/SQS": {("QueueName",): {"ApproximateAgeOfOldestMessage", "ApproximateNumberOfMessagesVisible"}},
}
"""Metrics that AWS emits by these dimensions, as its documentation says: namespace, dimensions, names."""


def kind(namespace):
    return {
        "ApiId": "AWS::ApiGatewayV2::Api",
        "ClusterName": "AWS::ECS::Cluster",
        "FunctionName": "AWS::Lambda::Function",
        "LoadBalancer": "AWS::ElasticLoadBalancingV2::LoadBalancer",
        "QueueName": "AWS::SQS::Queue",
        "ServiceName": "AWS::ECS::Service",
        "TableName": "AWS::DynamoDB::Table",
        "TargetGroup": "AWS::ElasticLoadBalancingV2::TargetGroup",
    }[namespace]


@pytest.fixture(scope="module")
def told():
    """Everything that Segue's code can tell, as parsed from what is written: namespace, name, service.

    Each is emitted when the counted event happens, as shown by ``test_metrics_driven.py`` in
    ``tests/unit/worker``, ``test_metrics.py`` in ``.../gateway``, ``test_handler.py`` in ``.../turn`` and
    ``test_counting.py`` in ``.../janitor``.
    """
    found = set()
    with metrics_told(service="segue-worker", stage="dev") as lines:
        collected = worker_metrics.Metrics()
        for what in (*worker_metrics.Count, *worker_metrics.Model):
            collected.count(what)
        for code in MESSAGES:
            collected.error(code)
        for what in worker_metrics.Time:
            collected.time(what, 0.1)
        for what in worker_metrics.Size:
            collected.size(what, 1)
        for what in worker_metrics.Level:
            collected.level(what, 1)
        worker_metrics.Reporter(collected, service="segue-worker", stage="dev").write_line()
    found |= lines.found
    for service, names in SERVICES.items():
        with metrics_told(service=service, stage="dev") as lines:
            for name in names:
                if isinstance(name, gateway_metrics.FunctionTime):
                    gateway_metrics.time(name, 0.1)
                else:
                    gateway_metrics.count(name)
        found |= lines.found
    return found


SERVICES = {
    "segue-gateway": ["CLAIMS", "CLAIMS_QUEUED", "REFUSED", "FAILURES", "ANSWERS_LOST", "SESSIONS_OFFERED"],
    "segue-turn": ["TURNS", "TURN_FAILURES", "TURN", "COMMITS", "COMMIT", "RESTORES", "RESTORE", "FENCED"],
    "segue-janitor": ["SWEEPS", "OBJECTS_DELETED", "SWEEP_FAILURES"],
}
FOUND = {each.name: each for each in (*gateway_metrics.FunctionCount, *gateway_metrics.FunctionTime)}
SERVICES = {service: [FOUND[name] for name in names] for service, names in SERVICES.items()}


def test_each_metric_of_a_function_has_one_service():
    assert sorted(name for names in SERVICES.values() for name in names) == sorted(FOUND.values())


def alarms(stage):
    return {
        each["AlarmName"]: each
        for each in stage.service.of_type("AWS::CloudWatch::Alarm").values()
        if "AlarmName" in each
    }


def body(stage):
    """The dashboard, with references as ``<logical id>``."""
    (board,) = stage.service.of_type("AWS::CloudWatch::Dashboard").values()
    return json.loads(simplified(board["DashboardBody"]))


def on_dashboard(stage):
    """Namespace, name and dimensions of each metric; of a metric math's parts too."""
    for widget in body(stage)["widgets"]:
        for metric in widget["properties"].get("metrics", []):
            texts = [each for each in metric if isinstance(each, str)]
            if texts:
                yield texts[0], texts[1], dict(zip(texts[2::2], texts[3::2], strict=True))


def in_alarms(stage):
    for each in stage.service.of_type("AWS::CloudWatch::Alarm").values():
        dimensions = {one["Name"]: simplified(one["Value"]) for one in each["Dimensions"]}
        yield each["Namespace"], each["MetricName"], dimensions


def check(stage, told, metric):
    namespace, name, dimensions = metric
    if namespace == "Segue":
        assert dimensions.pop("stage") == stage.config.stage
        assert (namespace, name, frozenset({("stage", "dev"), *dimensions.items()})) in told, metric
        return
    assert name in AWS[namespace][tuple(sorted(dimensions))], metric
    for dimension, value in dimensions.items():
        if (dimension, value) == ("Region", "Global"):
            continue
        if not value.startswith(("<Data.", "<Web.")):
            assert stage.service.resources[value.strip("<>")]["Type"] == kind(dimension), metric


def test_every_metric_of_an_alarm_is_emitted(stage, told):
    metrics = list(in_alarms(stage))
    assert len(metrics) > 20
    for metric in metrics:
        check(stage, told, metric)


def test_every_metric_of_the_dashboard_is_emitted(stage, told):
    metrics = list(on_dashboard(stage))
    assert len(metrics) > 60
    for metric in metrics:
        check(stage, told, metric)


@pytest.mark.parametrize("name", ["alone", "both"])
def test_every_metric_watched_on_the_direct_transport_is_emitted(request, told, name):
    stage = request.getfixturevalue(name)
    metrics = [*in_alarms(stage), *on_dashboard(stage)]
    assert {"AWS/NetworkELB", "Segue"} <= {namespace for namespace, _, _ in metrics}
    assert ("AWS/ApiGateway" in {namespace for namespace, _, _ in metrics}) == (name == "both")
    for metric in metrics:
        check(stage, told, metric)


def test_every_emitted_metric_is_on_the_dashboard(both, told):
    """Errors of kinds that only the gateway shows are an exception: ``Refused`` counts them."""
    seen = {name for namespace, name, _ in on_dashboard(both) if namespace == "Segue"}
    assert {name for _, name, _ in told if not name.startswith("Errors.")} <= seen


def test_each_function_counts_under_the_service_that_is_watched(stage):
    services = {
        each["Handler"].split(".")[0]: each["Environment"]["Variables"]["POWERTOOLS_SERVICE_NAME"]
        for each in stage.service.of_type("AWS::Lambda::Function").values()
        if each.get("Description", "").startswith("Segue")  # not CDK's own
    }
    assert {services["gateway"], services["turn"], services["janitor"]} == set(SERVICES)
    (task,) = stage.service.of_type("AWS::ECS::TaskDefinition").values()
    environment = {each["Name"]: each["Value"] for each in task["ContainerDefinitions"][0]["Environment"]}
    assert environment["POWERTOOLS_SERVICE_NAME"] == "segue-worker"


def test_the_dashboard_answers_in_order(stage):
    titles = [each["properties"]["markdown"] for each in body(stage)["widgets"] if each["type"] == "text"]
    assert titles == [f"## {question}" for question in QUESTIONS]
    rows = [each["y"] for each in body(stage)["widgets"]]
    assert rows == sorted(rows)


def pages():
    return {path.stem for path in (ROOT / "docs" / "runbooks").glob("*.md")} - {"README"}


def test_every_alarm_has_a_runbook_and_every_runbook_an_alarm(both):
    every = {**alarms(both)}
    for composite in both.service.of_type("AWS::CloudWatch::CompositeAlarm").values():
        every[composite["AlarmName"]] = composite
    names = {name.removeprefix("segue-dev-") for name in every}
    for name, alarm in every.items():
        (page,) = re.findall(r"Runbook: (\S+)$", alarm["AlarmDescription"])
        assert page == f"docs/runbooks/{name.removeprefix('segue-dev-')}.md"
        assert (ROOT / page).is_file()
    assert pages() == names
    index = (ROOT / "docs" / "runbooks" / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\]\(([a-z-]+)\.md\)", index)) == names


def test_each_alarm_sends_mail_and_alarms_of_callers_send_one_together(dev):
    (topic,) = [name for name, each in dev.service.resources.items() if each["Type"] == "AWS::SNS::Topic"]
    (composite,) = dev.service.of_type("AWS::CloudWatch::CompositeAlarm").values()
    assert composite["AlarmActions"] == composite["OKActions"] == [{"Ref": topic}]
    below = simplified(composite["AlarmRule"])
    for name, each in dev.service.of_type("AWS::CloudWatch::Alarm").items():
        if not name.startswith("Monitoring"):
            continue
        silent = f'ALARM("<{name}>")' in below
        assert each.get("AlarmActions", []) == ([] if silent else [{"Ref": topic}]), name
    assert below.count("ALARM(") == 14


def test_the_topic_takes_what_this_accounts_alarms_say_over_tls(stage):
    (policy,) = stage.service.of_type("AWS::SNS::TopicPolicy").values()
    denied, allowed = sorted(policy["PolicyDocument"]["Statement"], key=lambda each: each["Effect"] == "Allow")
    assert denied["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert allowed["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    assert allowed["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}


def test_the_configured_address_gets_mail(synthesized, dev):
    assert dev.service.of_type("AWS::SNS::Subscription") == {}
    (mail,) = synthesized(alarm_email="voice@example.com").service.of_type("AWS::SNS::Subscription").values()
    assert (mail["Protocol"], mail["Endpoint"]) == ("email", "voice@example.com")


@pytest.mark.parametrize("workers", ["voice", "text"])
def test_only_deployed_services_have_alarms_and_panels(synthesized, told, workers):
    stage = synthesized(workers=workers)
    for metric in (*in_alarms(stage), *on_dashboard(stage)):
        check(stage, told, metric)
    services = {dimensions.get("service") for _, _, dimensions in on_dashboard(stage)}
    assert ("segue-turn" in services, "segue-worker" in services) == (workers == "text", workers == "voice")


def test_queries_look_into_groups_that_are_there(dev):
    groups = {each["LogGroupName"] for each in dev.service.of_type("AWS::Logs::LogGroup").values()}
    saved = dev.service.of_type("AWS::Logs::QueryDefinition").values()
    assert len(saved) == len(QUERIES)
    for each in saved:
        assert set(each["LogGroupNames"]) <= groups


def test_queries_look_for_what_is_written():
    code = "\n".join(path.read_text(encoding="utf-8") for path in FUNCTIONS.rglob("*.py"))
    sought = [text for query in QUERIES for line in query.lines for text in re.findall(r"'([a-z ]+)'", line)]
    assert len(sought) >= 6
    for text in sought:
        assert f'"{text}"' in code, text
