"""Grafana's dashboard has the metrics of CloudWatch's, and the file in docs is made from the present one."""

import json

from infra.constants import ROOT
from infra.grafana import grafana
from tests.infra.references import simplified

FILE = ROOT / "docs" / "examples" / "grafana.json"


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


def test_both_dashboards_have_the_same_metrics(dev):
    found = of_grafana(grafana(dev.service.content))

    assert len(found) > 80
    assert found == list(of_cloudwatch(dev))


def test_the_file_is_made_from_the_present_dashboard(dev):
    made = grafana(dev.service.content)

    assert json.loads(FILE.read_text(encoding="utf-8")) == json.loads(json.dumps(made)), (
        "make it anew: npx cdk synth, then "
        ".venv/bin/python -m infra.grafana cdk.out/Segue-dev-Service.template.json > docs/examples/grafana.json"
    )


def test_what_only_a_deployment_knows_is_a_variable():
    board = json.loads(FILE.read_text(encoding="utf-8"))
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
