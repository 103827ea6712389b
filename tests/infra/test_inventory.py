"""Inventory of what ``cdk deploy`` creates: a page for each stack, which is reviewed when it changes.

A change that is meant is accepted with

    SEGUE_RENEW_INVENTORY=1 .venv/bin/python -m pytest -n0 --no-cov tests/infra/test_inventory.py

and its difference is read in the commit. What a page leaves out has assertions in the other tests of this folder.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.infra.inventory import inventory, text_of

FOLDER = Path(__file__).parent / "inventory"
RENEW = "SEGUE_RENEW_INVENTORY"


@pytest.mark.parametrize(
    ("name", "stack"), [("dev", "data"), ("dev", "web"), ("dev", "service"), ("local", "data"), ("local", "service")]
)
def test_the_stack_has_the_resources_permissions_and_alarms_that_were_reviewed(request, name, stack):
    text = inventory(getattr(request.getfixturevalue(name), stack).resources)
    page = FOLDER / f"{name}-{stack}.txt"
    if os.environ.get(RENEW):
        FOLDER.mkdir(exist_ok=True)
        page.write_text(text, encoding="utf-8")

    assert text == page.read_text(encoding="utf-8"), f"if this is meant: {RENEW}=1 pytest tests/infra/test_inventory.py"


def test_a_permission_or_an_alarm_that_changes_shows(dev):
    resources = dict(dev.service.resources)
    before = inventory(resources)
    policy = next(name for name, one in resources.items() if one["Type"] == "AWS::IAM::Policy")
    alarm = next(name for name, one in resources.items() if one["Type"] == "AWS::CloudWatch::Alarm")
    wider = {"PolicyDocument": {"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}}

    assert inventory({**resources, policy: {"Type": "AWS::IAM::Policy", "Properties": wider}}) != before
    changed = {**resources[alarm]["Properties"], "Threshold": -1}
    assert inventory({**resources, alarm: {"Type": "AWS::CloudWatch::Alarm", "Properties": changed}}) != before


@pytest.mark.parametrize("digest", ["0123456789abcdef" * 2, f"{'a' * 24}12345678", "1" * 32])
@pytest.mark.parametrize("digits", ["2437F6CF", "2437F6C7"])
def test_the_hash_of_a_version_is_masked_whatever_its_digits_are(digits, digest):
    assert text_of({"Ref": f"HandlerCurrentVersion{digits}{digest}"}) == f"<HandlerCurrentVersion{digits}<hash>>"
