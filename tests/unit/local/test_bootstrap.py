"""The template of the CDK's bootstrap, as the locked command line ships it."""

from __future__ import annotations

import pytest

from infra.preflight.bootstrap import LEAST_VERSION
from local.deployment.bootstrap import TEMPLATE, bootstrap, version_of
from local.errors import LocalError
from local.processes.ports import free_port
from local.settings import ROOT


def test_the_version_of_the_locked_template_is_found_and_is_new_enough():
    template = (ROOT / TEMPLATE).read_text(encoding="utf-8")
    version = version_of(template)
    assert int(version) >= LEAST_VERSION
    assert template.count(f"Value: '{version}'") == 2, "of the output, and of the parameter that a deployment reads"


def test_another_template_is_refused():
    with pytest.raises(LocalError, match="make setup"):
        version_of("Outputs:\n  BucketName:\n    Value: '33'\n")


def test_an_emulator_that_does_not_answer_is_named():
    with pytest.raises(LocalError, match="CDKToolkit, of the CDK's bootstrap, cannot be made: Could not connect"):
        bootstrap(f"http://127.0.0.1:{free_port()}", ROOT)
