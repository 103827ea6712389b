"""Settings of each stage in ``cdk.json``."""

from __future__ import annotations

import pytest

from infra.config import from_context
from infra.setting_fields import ConfigurationError

CONTEXT = {
    "@aws-cdk/core:any": True,
    "alarm_email": "team@example.com",
    "stages": {"dev": {"worker_count": 1}, "prod": {"worker_count": 4, "log_retention_days": 90}},
}


def test_a_stage_stands_for_its_settings_and_those_of_all():
    dev, prod = from_context(CONTEXT), from_context({**CONTEXT, "stage": "prod"})

    assert (dev.stage, dev.worker_count, dev.log_retention_days) == ("dev", 1, 30)
    assert (prod.stage, prod.worker_count, prod.log_retention_days) == ("prod", 4, 90)
    assert dev.alarm_email == prod.alarm_email == "team@example.com"


def test_the_command_line_wins_over_the_stages_settings():
    assert from_context({**CONTEXT, "stage": "prod", "worker_count": "8"}).worker_count == 8


def test_the_local_stage_needs_no_settings():
    assert from_context({**CONTEXT, "stage": "local"}).worker_count == 2


@pytest.mark.parametrize(
    ("context", "name", "allowed"),
    [
        ({**CONTEXT, "stage": "prodd"}, "stage", "dev, prod"),
        ({"stages": {"prod": {}}}, "stage", "prod"),
        ({"stages": ["prod"]}, "stages", "an object"),
        ({"stages": {"dev": 4}}, "stages", "an object"),
        ({"stages": {"dev": {"stage": "prod"}}}, "stages", "no `stage` inside"),
        ({"stages": {"dev": {"worker_counts": 1}}}, "worker_counts", "worker_count"),
    ],
)
def test_a_stage_that_is_not_among_them_and_a_wrong_one_are_refused(context, name, allowed):
    with pytest.raises(ConfigurationError) as refused:
        from_context(context)

    assert refused.value.name == name
    assert allowed in refused.value.allowed
