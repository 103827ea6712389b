"""The CloudWatch dashboard as one for Grafana, with its CloudWatch data source: the same questions, graphs and metrics.

    .venv/bin/python -m infra.grafana cdk.out/Segue-dev-Service.template.json > docs/examples/grafana.json

Names that only a deployment has (tables, functions, the API) are variables of the dashboard; so is the stage.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

SOURCE: Final = {"type": "cloudwatch", "uid": "${source}"}
WIDTH: Final = 24
PER_ROW: Final = 3
HEIGHT: Final = 8

_REFERENCE: Final = re.compile(r"<([A-Za-z0-9.:]+)>")
_HASH: Final = re.compile(r"(?:[0-9A-F]{8})+$")
"""The hash that CDK puts behind a logical id."""


def grafana(template: dict[str, Any]) -> dict[str, Any]:
    """Return the dashboard of a synthesized service stack for Grafana.

    Args:
        template: The stack's template.
    """
    (board,) = [each for each in template["Resources"].values() if each["Type"] == "AWS::CloudWatch::Dashboard"]
    text = _text(board["Properties"]["DashboardBody"])
    names = {name: _variable(name) for name in dict.fromkeys(_REFERENCE.findall(text))}
    body = json.loads(_REFERENCE.sub(lambda found: f"${{{names[found[1]]}}}", text))
    panels = list(_panels(body["widgets"]))
    stage = next(target["dimensions"]["stage"] for target in _targets_of(panels) if "stage" in target["dimensions"])
    for target in _targets_of(panels):
        if "stage" in target["dimensions"]:
            target["dimensions"]["stage"] = "$stage"
    return {
        "title": "Segue",
        "uid": "segue",
        "schemaVersion": 39,
        "tags": ["segue"],
        "timezone": "utc",
        "refresh": "1m",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {"list": [*_variables({"stage": stage}), *_variables(dict.fromkeys(sorted(names.values()), ""))]},
        "panels": [{"id": number, **panel} for number, panel in enumerate(panels, 1)],
    }


def _text(body: Any) -> str:
    """Return the body with ``<logical id>`` for references."""
    match body:
        case str():
            return body
        case {"Ref": name}:
            return f"<{name}>"
        case {"Fn::GetAtt": [name, *_]}:
            return f"<{name}>"
        case {"Fn::GetStackOutput": {"OutputName": name}}:
            return f"<{name}>"
        case {"Fn::Join": [between, parts]}:
            return str(between).join(_text(part) for part in parts)
    raise ValueError(f"a dashboard with {sorted(body)}: add it here")


def _variable(name: str) -> str:
    """Return the name of the variable that stands for a reference."""
    if name == "AWS::Region":
        return "region"
    return re.sub(r"\W", "", _HASH.sub("", name.removeprefix("PublishOutputRef"))) or name


def _variables(values: dict[str, str]) -> Iterator[dict[str, Any]]:
    if "stage" in values:
        yield {"name": "source", "label": "Data source", "type": "datasource", "query": "cloudwatch"}
    for name, value in values.items():
        yield {"name": name, "type": "textbox", "query": value, "current": {"text": value, "value": value}}


def _targets_of(panels: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    yield from (target for panel in panels for target in panel.get("targets", []) if "dimensions" in target)


def _panels(widgets: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Make a row of each question, and a panel of each graph below it."""
    top, column = 0, 0
    for widget in widgets:
        properties = widget["properties"]
        if widget["type"] == "text":
            top, column = top + (HEIGHT if column else 0), 0
            title = properties["markdown"].removeprefix("## ")
            place = {"x": 0, "y": top, "w": WIDTH, "h": 1}
            yield {"type": "row", "title": title, "gridPos": place, "collapsed": False, "panels": []}
            top += 1
            continue
        width = WIDTH // PER_ROW
        yield {
            "type": "timeseries",
            "title": properties["title"],
            "datasource": SOURCE,
            "gridPos": {"x": column * width, "y": top, "w": width, "h": HEIGHT},
            "targets": list(_targets(properties["metrics"])),
        }
        column = (column + 1) % PER_ROW
        top += 0 if column else HEIGHT


def _targets(metrics: list[list[Any]]) -> Iterator[dict[str, Any]]:
    for number, metric in enumerate(metrics):
        options = metric[-1] if isinstance(metric[-1], dict) else {}
        target: dict[str, Any] = {
            "refId": _letters(number),
            "datasource": SOURCE,
            "region": "default",
            "id": options.get("id", f"m{number}"),
            "hide": options.get("visible") is False,
            "label": options.get("label", ""),
        }
        if "expression" in options:
            yield {**target, "metricEditorMode": 1, "metricQueryType": 0, "expression": options["expression"]}
            continue
        texts = [each for each in metric if isinstance(each, str)]
        yield {
            **target,
            "metricEditorMode": 0,
            "metricQueryType": 0,
            "namespace": texts[0],
            "metricName": texts[1],
            "dimensions": dict(zip(texts[2::2], texts[3::2], strict=True)),
            "matchExact": True,
            "statistic": options.get("stat", "Average"),
            "period": str(options.get("period", 60)),
        }


def _letters(number: int) -> str:
    """Name a target as Grafana does: A to Z, then AA."""
    head, tail = divmod(number, 26)
    return (_letters(head - 1) if head else "") + chr(ord("A") + tail)


if __name__ == "__main__":
    synthesized = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    sys.stdout.write(json.dumps(grafana(synthesized), indent=1) + "\n")
