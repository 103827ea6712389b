"""The pipeline of docs/pipeline.md: a workflow that GitHub takes, and a role with the least permissions."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.config import from_context
from infra.preflight.account import iam_action
from infra.preflight.run import examine
from tests.unit.preflight import conftest as preflight
from tests.unit.preflight.test_run import EVERYTHING, SONIC

ROOT = Path(__file__).resolve().parents[3]
EXAMPLES = ROOT / "docs" / "examples"
WORKFLOW = EXAMPLES / "deploy.yml"
PERMISSIONS = EXAMPLES / "deploy-role-permissions.json"
TRUST = EXAMPLES / "deploy-role-trust.json"
PAGE = (ROOT / "docs" / "pipeline.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def workflow() -> dict[str, Any]:
    return yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))


def lint(path: Path) -> subprocess.CompletedProcess[str]:
    """GitHub's schema of workflows, as the package check-jsonschema carries it."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", str(path)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.slow
def test_the_workflow_is_one_that_github_takes(tmp_path: Path) -> None:
    good = lint(WORKFLOW)
    assert good.returncode == 0, good.stdout + good.stderr

    wrong = tmp_path / "wrong.yml"
    wrong.write_text(WORKFLOW.read_text(encoding="utf-8").replace("runs-on:", "runs:"), encoding="utf-8")
    assert lint(wrong).returncode == 1, "the schema judges"


def steps(workflow: dict[str, Any]) -> list[dict[str, Any]]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def test_each_action_is_named_by_its_major_version(workflow: dict[str, Any]) -> None:
    uses = [step["uses"] for step in steps(workflow) if "uses" in step]

    assert len(uses) > 8
    assert all(re.fullmatch(r"[\w-]+/[\w-]+@v\d+", each) for each in uses), uses


def test_no_pipeline_job_has_more_permissions_than_it_needs(workflow: dict[str, Any]) -> None:
    assert workflow["permissions"] == {}
    for name, job in workflow["jobs"].items():
        allowed = {"contents": "read"} | ({} if name == "checks" else {"id-token": "write"})
        assert job["permissions"] == allowed, name
        assert job["timeout-minutes"] <= 90
    text = WORKFLOW.read_text(encoding="utf-8")
    assert "AWS_SECRET_ACCESS_KEY" not in text
    assert set(re.findall(r"secrets\.(\w+)", text)) == {"SMOKE_PASSWORD"}
    assert not re.findall(r"run:.*\$\{\{", text), "what is put into a script by GitHub is a script of its author"


def test_the_jobs_come_one_after_another_and_a_person_approves_the_last(workflow: dict[str, Any]) -> None:
    jobs = workflow["jobs"]

    assert [(name, job.get("needs"), job.get("environment")) for name, job in jobs.items()] == [
        ("checks", None, None),
        ("preview", "checks", "preview"),
        ("deploy", "preview", "production"),
    ]
    assert workflow["concurrency"]["cancel-in-progress"] is False


def test_each_command_of_make_is_a_target_and_each_step_is_in_its_order(workflow: dict[str, Any]) -> None:
    text = "\n".join(step.get("run", "") for step in steps(workflow))
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))

    assert set(re.findall(r"\bmake ([a-z]+)", text)) <= targets
    places = [
        text.index(word)
        for word in ("make test", "make preflight", "cdk diff", "cdk deploy", "make smoke", "git checkout")
    ]
    assert places == sorted(places)


@pytest.mark.slow
def test_the_role_may_ask_what_preflight_asks_and_no_more() -> None:
    asked: set[str] = set()
    settings = (
        EVERYTHING,
        {**SONIC, "provider": "gemini-live", "provider_secret_arn": preflight.SECRET, "network": "private"},
        {**SONIC, "worker_image": f"{preflight.NUMBER}.dkr.ecr.us-east-1.amazonaws.com/segue/worker:7"},
    )
    for each in settings:
        examine(preflight.account(), from_context(each))
        asked |= {iam_action(*name.split(".")) for name, _ in preflight.ANSWERS.asked}
    asked.add("servicequotas:GetAWSDefaultServiceQuota")  # where a quota was never applied

    allowed = {action for statement in statements() for action in as_list(statement["Action"])}
    assert allowed - {"ssm:PutParameter"} == asked - {"sts:GetCallerIdentity"}


def test_the_role_names_its_resources_wherever_aws_lets_it() -> None:
    wide = [each["Sid"] for each in statements() if "*" in as_list(each["Resource"])]

    assert wide == ["Preflight"]
    for action in as_list(next(each for each in statements() if each["Sid"] == "Preflight")["Action"]):
        assert action.partition(":")[2].startswith(("Get", "List", "Describe")), action
        assert action not in {"secretsmanager:GetSecretValue", "ssm:GetParameter"}


def test_the_role_trusts_this_repositorys_environments_only(workflow: dict[str, Any]) -> None:
    (statement,) = json.loads(TRUST.read_text(encoding="utf-8"))["Statement"]
    condition = statement["Condition"]["StringEquals"]
    subjects = condition["token.actions.githubusercontent.com:sub"]

    assert condition["token.actions.githubusercontent.com:aud"] == "sts.amazonaws.com"
    environments = {job["environment"] for job in workflow["jobs"].values() if "environment" in job}
    assert {each.rpartition(":")[2] for each in subjects} == environments
    assert not any("*" in each for each in subjects)


def test_the_page_names_the_files_and_everything_that_has_to_be_set_up() -> None:
    text = WORKFLOW.read_text(encoding="utf-8")

    for path in (WORKFLOW, PERMISSIONS, TRUST):
        assert f"examples/{path.name}" in PAGE
    for name in {*re.findall(r"(?:vars|secrets)\.(\w+)", text)}:
        assert f"`{name}`" in PAGE, name


def statements() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(PERMISSIONS.read_text(encoding="utf-8"))["Statement"]
    return found


def as_list(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value
