"""Each check in its states: an account in which all is well, and one change that is not."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from infra.constructs.web.built import PageMissingError
from infra.preflight import bootstrap, domain, identity, images, network, quotas, replaced, roles, secret
from infra.preflight.account import Account, NotAllowedError
from infra.preflight.findings import State
from tests.support.answers import REGION, Refusal
from tests.unit.preflight import cases_of_account, cases_of_direct, cases_of_models, cases_of_network
from tests.unit.preflight.cases_of_account import limits
from tests.unit.preflight.cases_of_models import DOMAIN, GEMINI
from tests.unit.preflight.conftest import (
    CERTIFICATE,
    DENIED,
    EXISTING_VPC,
    SECRET,
    of,
    stack,
)

WELL, SHORT, UNKNOWN, FAILS = State.WELL, State.SHORT, State.UNKNOWN, State.FAILS

CASES = [*cases_of_account.CASES, *cases_of_models.CASES, *cases_of_network.CASES, *cases_of_direct.CASES]


@pytest.mark.parametrize(
    ("check", "settings", "answers", "states", "found", "mend"),
    CASES,
    ids=[f"{case[0].__name__} {' '.join(each.name.lower() for each in case[3])}: {case[4]}" for case in CASES],
)
@pytest.mark.slow
def test_a_check_says_how_it_stands_and_the_command_that_mends_it(check, settings, answers, states, found, mend):
    findings = of(check, settings, **answers)

    assert [each.state for each in findings] == states, findings
    if found is not None:
        assert any(found in each.found for each in findings), findings
    wrong = [each for each in findings if each.state is not WELL]
    assert all(each.mend for each in wrong), "each finding that is not well says what mends it"
    assert not any(each.mend for each in findings if each.state is WELL)
    if mend is not None:
        assert any(mend in str(each.mend) for each in wrong), wrong


def test_every_check_is_tried_in_both_states():
    from infra.preflight.run import CHECKS, FIRST

    tried = {}
    for check, _settings, _answers, states, _found, _mend in CASES:
        tried.setdefault(check, set()).update(states)
    # They depend on this machine, or are never wrong: the tests below.
    elsewhere = {identity.region, images.builder, images.page, replaced.workers}
    for check in (FIRST, *CHECKS):
        assert WELL in tried[check.work], check
        assert check.work in elsewhere or tried[check.work] - {WELL}, check


def test_a_region_that_is_not_named_is_the_cdks_own_and_said_so():
    found = list(identity.region(Account(session=_without_region()), None))

    assert [(each.state, each.mend) for each in found] == [(SHORT, "export AWS_REGION=us-east-1")]


def test_the_region_is_found_as_the_cdk_finds_it(monkeypatch):
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    assert Account(session=_without_region()).region == "eu-west-1"
    monkeypatch.setenv("AWS_REGION", "eu-north-1")
    assert Account(session=_without_region()).region == "eu-north-1"
    assert Account("ap-south-1", _without_region()).region == "ap-south-1"


def _without_region() -> Any:
    from types import SimpleNamespace

    return SimpleNamespace(region_name=None)


def test_a_machine_of_another_kind_needs_emulation(monkeypatch, tmp_path):
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr(images, "EMULATORS", tmp_path)
    without = of(images.builder, {})
    (tmp_path / "qemu-aarch64").touch()
    emulated = of(images.builder, {})

    assert [each.state for each in without + emulated] == [FAILS, WELL]
    assert "binfmt --install arm64 (or deploy with -c architecture=x86_64)" in str(without[0].mend)
    assert [each.state for each in of(images.builder, {"architecture": "x86_64"})] == [WELL]


def test_a_builder_that_does_not_answer_is_named(monkeypatch):
    monkeypatch.setenv("CDK_DOCKER", "finch")
    monkeypatch.setattr(
        images.subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, 1, "", "no server")
    )
    (silent,) = of(images.builder, {})
    monkeypatch.setattr("shutil.which", lambda name: None)
    (absent,) = of(images.builder, {})

    assert (silent.state, silent.found) == (FAILS, "finch does not answer")
    assert (absent.state, absent.found) == (FAILS, "no finch on this machine")
    assert "CDK_DOCKER" in str(absent.mend)


def test_a_secret_or_a_certificate_of_another_region_fails():
    there = SECRET.replace(REGION, "eu-west-1")
    (wrong, *_) = of(secret.key, {**GEMINI, "provider_secret_arn": there})
    elsewhere = {**DOMAIN, "domain_certificate_arn": CERTIFICATE.replace(REGION, "eu-west-1")}
    (certificate,) = of(domain.certificate, elsewhere)

    assert (wrong.state, wrong.found) == (FAILS, "eu-west-1")
    assert (certificate.state, certificate.found) == (FAILS, "in eu-west-1")


def test_the_text_of_a_secret_is_in_no_finding():
    text = "sk-example-of-a-key\n"
    found = of(secret.key, GEMINI, secretsmanager__GetSecretValue={"SecretString": text})

    assert "sk-example" not in repr(found)


def test_a_reservation_that_the_account_cannot_give_fails_unless_the_stack_has_it_already():
    settings = {"message_concurrency": 400}
    answers = {"lambda__GetAccountSettings": limits(450, 450)}
    fresh = of(quotas.lambda_concurrency, settings, **answers)
    again = of(
        quotas.lambda_concurrency,
        settings,
        **answers,
        cloudformation__DescribeStacks=stack("Segue-dev-Service", "UPDATE_COMPLETE"),
    )

    assert [each.state for each in fresh + again] == [FAILS, SHORT]


@pytest.mark.slow
def test_a_permission_that_is_missing_is_named_by_its_action():
    for check, answers, action in (
        (roles.containers, {"iam__GetRole": Refusal("AccessDenied", "", 403)}, "iam:GetRole"),
        (quotas.fargate, {"service_quotas__GetServiceQuota": DENIED}, "servicequotas:GetServiceQuota"),
        (bootstrap.bucket, {"s3__HeadBucket": Refusal("403", "Forbidden", 403)}, "s3:ListBucket"),
        (network.names, {"ec2__DescribeVpcAttribute": Refusal("UnauthorizedOperation")}, "ec2:DescribeVpcAttribute"),
    ):
        with pytest.raises(NotAllowedError) as refused:
            of(check, EXISTING_VPC, **answers)
        assert refused.value.action == action


def test_a_page_that_is_not_built_fails_with_the_command_that_builds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_config: Any) -> None:
        raise PageMissingError

    monkeypatch.setattr(images, "built_page", missing)
    (finding,) = of(images.page, {})
    assert (finding.state, finding.mend) == (FAILS, "make web (or leave it out with -c web=false)")


class Workers:
    """Workers as a synthesis makes them."""

    version, parts = "9f8e7d6c5b4a", "agent=1,image=2,settings=3"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("outputs", "found"),
    [
        ({}, "no: none run yet"),
        ({"WorkerVersion": Workers.version, "WorkerParts": Workers.parts}, "no: they run 9f8e7d6c5b4a already"),
        (
            {"WorkerVersion": "000000000000", "WorkerParts": "agent=0,image=0,settings=3"},
            "yes, changed: agent.py (000000000000 → 9f8e7d6c5b4a)",
        ),
        (
            {"WorkerVersion": "000000000000", "WorkerParts": "agent=1,image=0,settings=0"},
            "yes, changed: code, locks or the base image, settings (000000000000 → 9f8e7d6c5b4a)",
        ),
        ({"WorkerVersion": "v6", "WorkerParts": Workers.parts}, "yes, changed: version (v6 → 9f8e7d6c5b4a)"),
    ],
)
def test_preflight_says_if_workers_will_be_replaced(
    monkeypatch: pytest.MonkeyPatch, outputs: dict[str, str], found: str
) -> None:
    monkeypatch.setattr(replaced, "synthesized_workers", lambda _config: Workers)
    deployed = stack("Segue-dev-Service", "UPDATE_COMPLETE", **outputs)
    (finding,) = of(replaced.workers, {}, cloudformation__DescribeStacks=deployed)

    assert (finding.subject, finding.state, finding.found) == ("workers will be replaced", WELL, found)
