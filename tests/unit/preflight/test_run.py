"""All checks together: side by side, within the limit, nothing changed, and what could not be asked is said."""

from __future__ import annotations

import json
import threading

import pytest
from boto3 import Session
from botocore.exceptions import ConnectTimeoutError
from click.testing import CliRunner

from infra.config import from_context
from infra.preflight import __main__ as command
from infra.preflight.account import REGION_VARIABLES, Account
from infra.preflight.context import WrongUsageError, read
from infra.preflight.findings import State
from infra.preflight.run import examine
from infra.setting_fields import ConfigurationError
from tests.support.answers import Refusal
from tests.unit.preflight.conftest import ANSWERS, CERTIFICATE, DENIED, EXISTING_VPC, NUMBER, SECRET, account, well

SONIC = {"model_id": "amazon.nova-2-sonic-v1:0", "text_model_id": "us.amazon.nova-lite-v1:0"}
EVERYTHING = {
    **SONIC,
    **EXISTING_VPC,
    "trace_sampling_percent": 5,
    "domain_name": "voice.example.com",
    "domain_certificate_arn": CERTIFICATE,
    "domain_zone_id": "Z0123456789",
    "transport": "both",
    "direct_domain_name": "live.example.com",
    "direct_certificate_arn": CERTIFICATE,
    "direct_zone_id": "Z0123456789",
}


@pytest.mark.slow
def test_an_account_that_lacks_nothing_has_only_good_findings():
    for settings in (SONIC, EVERYTHING, {"workers": "text", **SONIC}, {**SONIC, "network": "private"}):
        findings = examine(account(), from_context(settings))

        assert {each.state for each in findings} == {State.WELL}, findings
        assert all((each.subject, each.needed, each.found) for each in findings)


def test_preflight_only_reads_the_account():
    there = account()
    gemini = {"provider": "gemini-live", "provider_secret_arn": SECRET}
    for settings in (EVERYTHING, {**gemini, "network": "private"}):
        examine(there, from_context(settings))

    operations = {name.partition(".")[2] for name, _ in ANSWERS.asked}
    reading = ("Get", "List", "Describe", "Head")
    assert {each for each in operations if not each.startswith(reading)} == {"AssumeRole"}
    assert set(well()) - {"ecr.DescribeImages", "service-quotas.GetAWSDefaultServiceQuota"} == {
        name for name, _ in ANSWERS.asked
    }, "each answer of the table was asked for"


def test_a_caller_who_may_ask_for_nothing_is_told_each_permission():
    allowed = {"sts__GetCallerIdentity": well()["sts.GetCallerIdentity"]}
    denied = {name.replace("-", "_").replace(".", "__"): DENIED for name in well()} | allowed
    findings = examine(account(**denied), from_context(EVERYTHING))

    unknown = [each for each in findings if each.state is State.UNKNOWN]
    known = {each.subject: each.state for each in findings if each not in unknown}
    assert known == {
        "credentials": State.WELL,
        "region": State.WELL,
        "builder": State.WELL,
        "page": State.WELL,
        "deploy role": State.SHORT,
    }
    assert all("may not ask (" in each.found and str(each.mend).startswith("allow ") for each in unknown)
    assert not [each for each in findings if each.state is State.FAILS], "a check without an answer fails nothing"


def test_an_account_that_cannot_be_reached_fails_though_nothing_is_known():
    there = account(sts__GetCallerIdentity=ConnectTimeoutError(endpoint_url="https://sts.amazonaws.com"))
    there.id = None
    (finding,) = examine(there, from_context({}))

    assert (finding.state, finding.mend) == (
        State.FAILS,
        "look at the network, and at proxies and endpoints that the environment names",
    )
    assert "does not answer" in finding.found


def test_preflight_without_credentials_asks_nothing_else():
    there = account(sts__GetCallerIdentity=Refusal("InvalidClientTokenId", "not valid", 403))
    there.id = None
    findings = examine(there, from_context({}))

    assert [each.state for each in findings] == [State.FAILS]
    assert [name for name, _ in ANSWERS.asked] == ["sts.GetCallerIdentity"]


@pytest.mark.slow
@pytest.mark.slow
def test_a_question_that_hangs_is_unknown_and_the_others_are_answered():
    hanging, over = threading.Event(), threading.Event()

    def hang(_given):
        hanging.set()
        over.wait(30)
        return Refusal("ParameterNotFound")

    try:
        findings = examine(account(ssm__GetParameter=hang), from_context(SONIC), limit_seconds=2)
    finally:
        over.set()

    assert hanging.is_set()
    unknown = [each for each in findings if each.state is State.UNKNOWN]
    assert [(each.check, each.subject, each.found) for each in unknown] == [
        ("bootstrap", "version", "no answer within 2 s")
    ]


def test_a_service_that_cannot_be_reached_and_an_answer_of_another_form_are_unknown():
    findings = examine(
        account(
            iam__GetRole=ConnectTimeoutError(endpoint_url="https://iam.amazonaws.com"),
            lambda__GetAccountSettings={},
        ),
        from_context(SONIC),
    )

    unknown = {each.subject: each.found for each in findings if each.state is State.UNKNOWN}
    assert "does not answer" in unknown["AWSServiceRoleForECS"]
    assert "not understood" in unknown["Lambda, environments at once"]


def run(monkeypatch, *arguments, **changes):
    there = account(**changes)
    there.id = None
    monkeypatch.setattr(command, "Account", lambda region: there)
    given = [word for name, value in SONIC.items() for word in ("-c", f"{name}={value}")]
    return CliRunner().invoke(command.main, [*given, *arguments])


def test_the_command_prints_a_line_a_finding_and_ends_with_0(monkeypatch):
    result = run(monkeypatch)

    assert result.exit_code == 0, result.output
    assert f"account {NUMBER}" in result.output
    assert "fails" not in result.output.replace("as needed", "")


def test_the_command_prints_the_command_that_mends_and_ends_with_1(monkeypatch):
    result = run(monkeypatch, iam__GetRole=Refusal("NoSuchEntity", "", 404))

    assert result.exit_code == 1
    assert "→ aws iam create-service-linked-role --aws-service-name ecs.amazonaws.com" in result.output
    assert "1 fails" in result.output


def test_json_has_the_same_findings(monkeypatch):
    result = run(monkeypatch, "--json", service_quotas__ListServiceQuotas=DENIED)
    facts = json.loads(result.output)

    assert (result.exit_code, facts["account"], facts["stage"]) == (0, NUMBER, "dev")
    (unknown,) = [each for each in facts["findings"] if each["state"] == "unknown"]
    assert unknown["found"] == "this caller may not ask (servicequotas:ListServiceQuotas)"
    assert set(unknown) == {"check", "subject", "state", "needed", "found", "mend", "page"}


def test_strict_fails_at_what_could_not_be_asked(monkeypatch):
    assert run(monkeypatch, "--strict").exit_code == 0
    assert run(monkeypatch, "--strict", service_quotas__ListServiceQuotas=DENIED).exit_code == 1


@pytest.mark.parametrize(
    "words", [["-c", "worker_count=0"], ["-c", "worker_count"], ["-c", "stage=local"]], ids=" ".join
)
def test_an_impossible_setting_ends_with_2(words):
    result = CliRunner().invoke(command.main, words)

    assert result.exit_code == 2
    assert result.output.startswith("segue: ")


def test_a_profile_that_there_is_not_ends_with_2(monkeypatch):
    monkeypatch.setenv("AWS_PROFILE", "no-such-profile")
    result = CliRunner().invoke(command.main, [])

    assert result.exit_code == 2
    assert "no-such-profile" in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize("content", ["{", "[]"])
def test_a_file_of_the_context_that_is_no_object_is_named(tmp_path, content):
    file = tmp_path / "cdk.json"
    file.write_text(content)
    with pytest.raises(WrongUsageError, match=r"cdk\.json is no JSON"):
        read([], [file])


def test_settings_are_read_as_a_synthesis_reads_them(tmp_path):
    mine, project = tmp_path / ".cdk.json", tmp_path / "cdk.json"
    mine.write_text(json.dumps({"context": {"stage": "mine", "worker_count": 3}}))
    project.write_text(json.dumps({"context": {"worker_count": 4, "@aws-cdk/core:any": True}}))

    config = read(["worker_capacity=7"], [mine, tmp_path / "absent.json", project])

    assert (config.stage, config.worker_count, config.worker_capacity) == ("mine", 4, 7)
    assert read(["worker_count=5"], [project]).worker_count == 5
    with pytest.raises(ConfigurationError):
        read(["worker_counts=5"], [project])
    with pytest.raises(WrongUsageError):
        read(["worker_count"], [project])


@pytest.mark.parametrize(
    ("variables", "region", "model"),
    [
        ({}, "us-east-1", "us.amazon.nova-lite-v1:0"),
        ({"AWS_DEFAULT_REGION": "ap-south-1"}, "ap-south-1", "apac.amazon.nova-lite-v1:0"),
        ({"AWS_DEFAULT_REGION": "ap-south-1", "AWS_REGION": "eu-west-1"}, "eu-west-1", "eu.amazon.nova-lite-v1:0"),
    ],
)
def test_models_are_looked_for_where_the_cdk_deploys_to(monkeypatch, tmp_path, variables, region, model):
    for name in (*REGION_VARIABLES, "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert (Account(session=Session()).region, read([], []).text_model_id) == (region, model)


def test_the_default_account_has_short_time_outs():
    assert Account("us-east-1")._client("sts").meta.config.read_timeout <= 6
