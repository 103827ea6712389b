"""Grafana's dashboards have the metrics of CloudWatch's, and the files in docs are made from the present ones."""

from __future__ import annotations

import json

import pytest

from infra.constants import ROOT
from infra.grafana import grafana
from tests.infra.references import simplified

EXAMPLES = ROOT / "docs" / "examples"


@pytest.fixture(params=["dev", "alone", "both"])
def stage(request):
    return request.getfixturevalue(request.param)


def file_of(stage):
    """The dashboard of its transport. A metric that is missing leaves sums of costs empty: one file would not do."""
    name = {"api": "grafana.json"}.get(stage.config.transport, f"grafana-{stage.config.transport}.json")
    return EXAMPLES / name


def of_grafana(board):
    return [
        (panel["title"], target["namespace"], target["metricName"], target["statistic"])
        for panel in board["panels"]
        for target in panel.get("targets", [])
        if "metricName" in target
    ]


def of_cloudwatch(stage):
    (board,) = stage.service.of_type("AWS::CloudWatch::Dashboard").values()
    for widget in json.loads(simplified(board["DashboardBody"]))["widgets"]:
        for metric in widget["properties"].get("metrics", []):
            texts = [each for each in metric if isinstance(each, str)]
            if texts:
                yield widget["properties"]["title"], *texts[:2], metric[-1].get("stat", "Average")


def test_both_dashboards_have_the_same_metrics(stage):
    found = of_grafana(grafana(stage.service.content))

    assert len(found) > 80
    assert found == list(of_cloudwatch(stage))


def test_the_file_is_made_from_the_present_dashboard(stage):
    file, made = file_of(stage), grafana(stage.service.content)

    assert json.loads(file.read_text(encoding="utf-8")) == json.loads(json.dumps(made)), (
        f"make it anew: npx cdk synth -c transport={stage.config.transport} …, then "
        f".venv/bin/python -m infra.grafana cdk.out/Segue-dev-Service.template.json > {file.relative_to(ROOT)}"
    )


OF_THE_BALANCER = {
    "NewFlowCount_TLS",
    "ActiveFlowCount_TLS",
    "ProcessedBytes_TLS",
    "ClientTLSNegotiationErrorCount",
    "TCP_Client_Reset_Count",
    "TCP_Target_Reset_Count",
    "TCP_ELB_Reset_Count",
    "RejectedFlowCount",
    "HealthyHostCount",
    "UnHealthyHostCount",
}


def test_the_balancer_and_each_workers_sockets_are_shown_where_there_are_any(stage):
    board = json.loads(file_of(stage).read_text(encoding="utf-8"))
    shown = {(namespace, name, statistic) for _, namespace, name, statistic in of_grafana(board)}
    balancer = {name for namespace, name, _ in shown if namespace == "AWS/NetworkELB"}
    sockets = {statistic for namespace, name, statistic in shown if (namespace, name) == ("Segue", "Sockets")}

    direct = stage.config.transport != "api"
    assert balancer == (OF_THE_BALANCER if direct else set())
    assert sockets == ({"Sum", "Average", "Maximum"} if direct else set())
    assert any(namespace == "AWS/ApiGateway" for namespace, *_ in shown) == (stage.config.transport != "direct")


def test_dashboard_takes_names_of_the_deployment_from_variables(stage):
    board = json.loads(file_of(stage).read_text(encoding="utf-8"))
    variables = {each["name"] for each in board["templating"]["list"]}
    used = {
        value.strip("${}")
        for panel in board["panels"]
        for target in panel.get("targets", [])
        for value in target.get("dimensions", {}).values()
        if value.startswith("$")
    }

    assert {"source", "stage"} <= variables
    assert len(used) > 5
    assert used <= variables
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
