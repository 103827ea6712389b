"""cdk-nag's AwsSolutions rules over the default stage and over options: no finding without a reason."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from pathlib import Path

import pytest
from aws_cdk import App, Validations
from cdk_nag import AwsSolutionsChecks

from infra import nag_findings
from infra.constants import ROOT
from tests.infra.accepted import problems
from tests.infra.transports import ALONE

CHECKED = ".venv/bin/python -m infra.nag"


def findings(app: App) -> set[tuple[str, str, str]]:
    """Synthesize under the rules; returns stack, construct and rule."""
    Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    with contextlib.suppress(RuntimeError):  # what is found is in the report
        app.synth()
    report = json.loads((Path(app.outdir) / "validation-report.json").read_text(encoding="utf-8"))
    (pack,) = report["pluginReports"]  # a warning of CDK's own would be a second
    assert pack["pluginName"] == "AwsSolutions"
    return {
        (*place(construct["constructPath"]), violation["ruleName"].removeprefix("AwsSolutions-"))
        for violation in pack["violations"]
        for construct in violation["violatingConstructs"]
    }


def place(path: str) -> tuple[str, str]:
    stack, _, construct = path.partition("/")
    return stack, construct.removesuffix("/Resource").removesuffix("/DefaultPolicy")


def test_no_finding_without_a_reason(app):
    assert findings(app) == set()


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
    "no API, and workers without addresses": ALONE,
    "text": {"workers": "text", "web": "false"},
    "another stage in a region that is named": {"stage": "prod", "region": "eu-north-1"},
}


@pytest.mark.parametrize("settings", OPTIONS.values(), ids=OPTIONS)
def test_no_option_brings_a_finding_without_a_reason(tmp_path, compose_app, settings):
    assert findings(compose_app(tmp_path, **settings)) == set()


def test_every_reason_has_its_finding(given_reasons, app):
    found = findings(app)

    assert found
    assert found == given_reasons


@pytest.fixture
def given_reasons(monkeypatch):
    """The reasons that the app would have written, and none that it has."""
    given = set()

    def keep(stack, reasons):
        given.update((stack.stack_name, path, rule) for path, rules in reasons.items() for rule in rules)
        assert all(len(reason) > 30 for rules in reasons.values() for reason in rules.values())

    monkeypatch.setattr(nag_findings, "acknowledge", keep)
    return given


@pytest.mark.slow
@pytest.mark.timeout(320)
def test_the_command_line_synthesizes_the_default_stage_under_all_rules(tmp_path):
    out = tmp_path / "out"
    command = ["npx", "--no-install", "cdk", "synth", "--quiet", "--all", "--output", str(out), "--app", CHECKED]
    command += ["-c", "web=false"]  # nothing that another command has to build first
    # Not again with the CDK's own rules, which take it ten seconds: the syntheses above pass them.
    environment = {**os.environ, "CDK_VALIDATION": "false", "CDK_DISABLE_CLI_TELEMETRY": "true"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)

    assert done.returncode == 0, done.stderr[-3000:]
    report = json.loads((out / "validation-report.json").read_text(encoding="utf-8"))
    assert [(each["pluginName"], each["violations"]) for each in report["pluginReports"]] == [("AwsSolutions", [])]
    templates = sorted(out.glob("*.template.json"))
    assert [each.name for each in templates] == ["Segue-dev-Data.template.json", "Segue-dev-Service.template.json"]
    for template in templates:
        assert not problems(template)
