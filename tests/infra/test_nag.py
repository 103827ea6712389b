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
    (pack,) = report["pluginReports"]  # a warning of CDK's own would be a second
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


OPTIONS = {
    "everything": {
        "network": "private",
        "provider": "gemini-live",
        "provider_secret_arn": "arn:aws:secretsmanager:us-east-1:000000000000:secret:provider-key-AbCdEf",
        "trace_sampling_percent": "5",
        "worker_spot_percent": "50",
        "domain_name": "voice.example.com",
        "domain_certificate_arn": "arn:aws:acm:us-east-1:000000000000:certificate/01234567-0123-0123-0123-0123456789ab",
        "domain_zone_id": "Z0123456789",
    },
    "a network that is there": {
        "vpc_id": "vpc-01234567",
        "vpc_zones": "us-east-1a,us-east-1b",
        "vpc_worker_subnets": "subnet-01234567,subnet-11234567",
        "vpc_function_subnets": "subnet-21234567,subnet-31234567",
    },
    "text": {"workers": "text"},
}


@pytest.mark.parametrize("settings", OPTIONS.values(), ids=OPTIONS)
def test_no_option_brings_a_finding_without_a_reason(tmp_path, compose_app, settings):
    found = findings(compose_app(tmp_path, **settings))

    assert found <= {("Segue-dev-Service", *each) for each in PREFIXES}


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
