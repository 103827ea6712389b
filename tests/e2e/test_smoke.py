"""``make smoke`` against the local stack: the whole story, a redeployment in it, and nothing left behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from segue.lease.item import GuardItem
from tests.support.local_stack import command, deployed
from tests.support.stage import AWS_ENVIRONMENT

ROOT = Path(__file__).resolve().parents[2]

LINGER_SECONDS = 1
"""A story ends when its session is released, and that is so long after its client has left."""

pytestmark = [pytest.mark.e2e, pytest.mark.emulator, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command of a stack of its own, whose workers are started as a user's are: each in a new interpreter."""
    return command(tmp_path_factory.mktemp("smoke"), forked=False)


@pytest.fixture(scope="module")
def facts(local: list[str]) -> Iterator[dict[str, Any]]:
    with deployed(local, "--transport", "both", "--variable", f"SEGUE_LINGER_SECONDS={LINGER_SECONDS}") as found:
        yield found


def test_the_story_is_as_expected_and_leaves_nothing_behind(local: list[str], facts: dict[str, Any]) -> None:
    redeploy = " ".join([*local, "redeploy"])
    report = played(facts, facts["websocket_url"], "--idle-seconds", "2", "--redeploy-with", redeploy)

    states = {line["step"]: line["state"] for line in report["lines"]}
    assert states["handshake with the token"] == "known", "the emulator echoes no subprotocol"
    others = {name: state for name, state in states.items() if name != "handshake with the token"}
    assert set(others.values()) <= {"well", "slow"}, report["lines"]
    assert len(states) == 16
    assert_deleted(facts, report)


def test_the_story_at_the_workers_themselves(facts: dict[str, Any]) -> None:
    """Without a redeployment: that of the demo goes this way."""
    report = played(facts, facts["direct_url"])

    states = {line["step"]: line["state"] for line in report["lines"]}
    assert set(states.values()) <= {"well", "slow", "skipped"}, report["lines"]
    assert [name for name, state in states.items() if state == "skipped"] == ["a long pause, then one frame"]
    assert states["handshake with the token"] == "well"
    assert_deleted(facts, report)


def played(facts: dict[str, Any], url: str, *options: str) -> dict[str, Any]:
    """Play the story at an address; return the report."""
    environment = {
        **os.environ,
        **AWS_ENVIRONMENT,
        "AWS_ENDPOINT_URL": facts["endpoint_url"],
        "SEGUE_TOKEN": facts["token"],
    }
    smoke = [sys.executable, "-m", "smoke", "--url", url, "--stack", "Segue-local", "--json"]
    played = subprocess.run(
        [*smoke, *options], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=560, check=False
    )

    assert played.returncode == 0, played.stdout + played.stderr
    assert facts["token"] not in played.stdout + played.stderr
    report: dict[str, Any] = json.loads(played.stdout)
    return report


def assert_deleted(facts: dict[str, Any], report: dict[str, Any]) -> None:
    """Assert that both sessions of a visit are deleted."""
    assert not report["notes"]
    table = boto3.client("dynamodb", endpoint_url=facts["endpoint_url"], region_name="us-east-1")
    items = table.scan(TableName=facts["lock_table"])["Items"]
    left = [GuardItem.from_attributes(each) for each in items if f"/{report['session']}" in each["session_key"]["S"]]
    assert len(left) == 2
    assert all(each.deleted for each in left)
