import dataclasses
from datetime import UTC, datetime

import pytest

from infra.checks import ConfigurationError
from infra.config import CHECKS, AuthConfig, Config, from_context
from infra.constructs.log_groups import _RETENTION
from infra.targets import AWS, EMULATOR


def test_the_default_stage_is_for_aws():
    config = from_context({})

    assert (config.stage, config.target, config.provider, config.architecture) == ("dev", AWS, "nova-sonic", "arm64")
    assert config.model_id == "amazon.nova-2-5-sonic"
    assert config.worker_image is None


def test_only_the_local_stage_is_for_the_emulator():
    config = from_context({"stage": "local"})

    assert (config.target, config.provider, config.model_id) == (EMULATOR, "rehearsal", None)
    assert config.worker_image is not None
    assert from_context({"stage": "locals"}).target is AWS


@pytest.mark.parametrize(
    ("machine", "architecture"), [("x86_64", "x86_64"), ("AMD64", "x86_64"), ("aarch64", "arm64"), ("arm64", "arm64")]
)
def test_the_local_stage_runs_on_this_machine(monkeypatch, machine, architecture):
    monkeypatch.setattr("platform.machine", lambda: machine)

    assert from_context({"stage": "local"}).architecture == architecture


def test_values_from_the_command_line_are_text():
    config = from_context({"stage": "prod", "worker_count": "4", "lease_seconds": 20.0, "region": "eu-north-1"})

    assert (config.worker_count, config.lease_seconds, config.region) == (4, 20, "eu-north-1")


def test_a_given_setting_wins_over_the_local_default():
    assert from_context({"stage": "local", "provider": "nova-sonic"}).provider == "nova-sonic"


def test_what_belongs_to_cdk_is_left_alone():
    context = {"@aws-cdk/core:something": True, "aws:cdk:bundling-stacks": ["**"], "availability-zones:account=1": []}

    assert from_context(context).stage == "dev"


def test_later_versions_sort_after_earlier_ones():
    times = [datetime(2026, 9, 9, 9, 9, 9, tzinfo=UTC), datetime(2026, 10, 1, 0, 0, 0, tzinfo=UTC)]
    versions = [from_context({}, now=time).version for time in times]

    assert versions == ["20260909T090909Z", "20261001T000000Z"]
    assert from_context({"version": "v7"}).version == "v7"


@pytest.mark.parametrize(
    ("context", "message"),
    [
        ({"stage": "Prod"}, "setting stage='Prod' is not possible; allowed: 1 to 20 of a-z, 0-9 and '-', a letter"),
        ({"stage": True}, "setting stage=True"),
        ({"worker_count": "many"}, "setting worker_count='many' is not possible; allowed: a whole number from 1 to"),
        ({"worker_count": 0}, "setting worker_count=0"),
        ({"worker_count": True}, "setting worker_count=True"),
        ({"provider": "nova"}, "setting provider='nova' is not possible; allowed: nova-sonic, rehearsal"),
        ({"architecture": "arm"}, "setting architecture='arm' is not possible; allowed: arm64, x86_64"),
        ({"region": "us-east"}, "setting region='us-east' is not possible; allowed: an AWS region such as"),
        ({"log_retention_days": "10"}, "setting log_retention_days='10' is not possible; allowed: 1, 3, 5, 7"),
        ({"worker_cpu": 1000}, "setting worker_cpu=1000"),
        (
            {"worker_memory": 1024},
            "worker_memory=1024 is not possible; allowed: with worker_cpu=1024, 2048 to 8192 MiB",
        ),
        ({"worker_memory": 2500}, "setting worker_memory=2500"),
        ({"heartbeat_seconds": 5}, "setting heartbeat_seconds=5 is not possible; allowed: at most a third"),
        (
            {"wroker_count": 3},
            "setting wroker_count=3 is not possible; allowed: unknown; the settings are stage, region",
        ),
    ],
)
def test_a_wrong_setting_is_named_with_what_is_allowed(context, message):
    with pytest.raises(ConfigurationError) as refused:
        from_context(context)

    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("cpu", "memory"), [(256, 512), (256, 2048), (512, 4096), (1024, 8192), (4096, 30720), (16384, 122_880)]
)
def test_sizes_that_fargate_has_are_possible(cpu, memory):
    config = from_context({"worker_cpu": cpu, "worker_memory": memory})

    assert (config.worker_cpu, config.worker_memory) == (cpu, memory)


def test_every_setting_has_a_check_and_is_described():
    names = {field.name for field in dataclasses.fields(Config)}

    assert names | {"auth_issuer", "auth_audience", "auth_jwks_url"} == set(CHECKS)
    assert all(f"\n    {name}: " in (Config.__doc__ or "") for name in names)


def test_the_configuration_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        from_context({}).stage = "other"  # type: ignore[misc]


def test_every_retention_that_can_be_set_can_be_made():
    for days in _RETENTION:
        assert from_context({"log_retention_days": days}).log_retention_days == days
    with pytest.raises(ConfigurationError) as refused:
        from_context({"log_retention_days": 2})
    assert refused.value.allowed == ", ".join(str(days) for days in _RETENTION)


def test_aws_has_a_user_pool_unless_an_issuer_is_named():
    assert from_context({}).auth == AuthConfig(mode="cognito")
    named = {"auth": "oidc", "auth_issuer": "https://login.example/x", "auth_audience": "a,b"}
    assert from_context(named).auth == AuthConfig(mode="oidc", issuer="https://login.example/x", audience="a,b")
    keys = {**named, "auth_jwks_url": "https://login.example/keys"}
    assert from_context(keys).auth.jwks_url == "https://login.example/keys"


@pytest.mark.parametrize(
    "context",
    [
        {"auth": "none"},
        {"auth": "oidc"},
        {"auth": "oidc", "auth_issuer": "https://login.example"},
        {"auth": "oidc", "auth_audience": "a"},
        {"auth_issuer": "https://login.example", "auth_audience": "a"},
        {"auth": "oidc", "auth_audience": "a", "auth_issuer": "http://login.example"},
        {"auth": "oidc", "auth_audience": "a", "auth_issuer": "https://login.example\n"},
        {"auth": "oidc", "auth_audience": "a", "auth_issuer": "https://x", "auth_jwks_url": "file:///etc/passwd"},
        {"auth": "oidc", "auth_audience": "a", "auth_issuer": "https://x", "auth_jwks_url": "http://login.example"},
    ],
    ids=str,
)
def test_who_may_connect_is_never_left_open(context):
    with pytest.raises(ConfigurationError, match="auth"):
        from_context(context)
