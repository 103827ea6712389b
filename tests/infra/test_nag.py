"""cdk-nag's AwsSolutions rules over the default stage: no finding that is not meant to be so."""

import json
import re
from pathlib import Path

import pytest
from aws_cdk import App, Validations
from cdk_nag import AwsSolutionsChecks

from infra import acknowledged

PREFIXES = {
    ("Workers/Task/TaskRole", "IAM5[Resource::<…>/sessions/*]"),
    ("Workers/Task/TaskRole", "IAM5[Resource::arn:<…>:execute-api:<…>/dev/*/@connections/*]"),
    ("Turns/HandlerRole", "IAM5[Resource::<…>/sessions/*]"),
    ("Turns/HandlerRole", "IAM5[Resource::arn:<…>:execute-api:<…>/dev/POST/@connections/*]"),
    ("Janitor/EndedRole", "IAM5[Resource::<…>/sessions/*]"),
    ("Janitor/AgainRole", "IAM5[Resource::<…>/sessions/*]"),
    ("Janitor/WeeklyRole", "IAM5[Resource::<…>/sessions/*]"),
}
"""What is granted under a prefix: which sessions and connections there will be is not known beforehand. The tests of
permissions hold each of these grants to its actions."""


def findings(app: App) -> set[tuple[str, str, str]]:
    """Synthesize under the rules; returns stack, construct and rule, with references shortened to `<…>`."""
    Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    with pytest.raises(RuntimeError, match=r"^ValidationFailed"):
        app.synth()
    report = json.loads((Path(app.outdir) / "validation-report.json").read_text(encoding="utf-8"))
    (pack,) = report["pluginReports"]
    assert pack["pluginName"] == "AwsSolutions"
    return {
        (*place(construct["constructPath"]), shortened(violation["ruleName"]))
        for violation in pack["violations"]
        for construct in violation["violatingConstructs"]
    }


def place(path: str) -> tuple[str, str]:
    stack, _, construct = path.partition("/")
    return stack, construct.removesuffix("/Resource").removesuffix("/DefaultPolicy")


def shortened(rule: str) -> str:
    rule = re.sub(r"\{.*\}|<[^>]*>(:<[^>]*>)*(/<[^>]*>)*", "<…>", rule.removeprefix("AwsSolutions-"))
    return re.sub(r"<…>(:<…>)+", "<…>", rule)


def test_no_finding_but_those_with_a_reason(app):
    assert findings(app) == {("Segue-dev-Service", *each) for each in PREFIXES}


def test_every_reason_has_its_finding(app_without_reasons):
    found = findings(app_without_reasons) - {("Segue-dev-Service", *each) for each in PREFIXES}

    reasons = {
        (stack, construct, rule)
        for stack, table in (("Segue-dev-Data", acknowledged.DATA), ("Segue-dev-Service", acknowledged.SERVICE))
        for construct, rules in table.items()
        for rule in rules
    }
    assert found == reasons


@pytest.fixture
def app_without_reasons(monkeypatch, request):
    monkeypatch.setattr(acknowledged, "acknowledge", lambda *_: None)
    return request.getfixturevalue("app")
