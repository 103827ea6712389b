from __future__ import annotations

import pytest
from pydantic import ValidationError

from infra.config import AuthConfig, Config, from_context
from infra.constructs.log_groups import _RETENTION
from infra.setting_fields import ConfigurationError, allowed_values
from infra.targets import AWS, EMULATOR

OIDC = {"auth": "oidc", "auth_issuer": "https://a.example", "auth_audience": "x"}
SECRET = "arn:aws:secretsmanager:us-east-1:000000000000:secret:provider-key-AbCdEf"


def test_the_default_stage_is_for_aws():
    config = from_context({})

    assert (config.stage, config.target, config.provider, config.architecture) == ("dev", AWS, "nova-sonic", "arm64")
    assert config.model_id == "amazon.nova-2-sonic-v1:0"
    assert config.worker_image is None


def test_defaults_follow_from_other_settings():
    config = from_context({"worker_count": 4, "worker_capacity": 30, "region": "eu-north-1"})

    assert (config.voice, config.text) == (True, True)
    assert config.worker_maximum == 20
    # Ten frames a second for each of 600 sessions at the most, and ten requests a second for each environment.
    assert (config.frame_rate, config.environments, config.message_concurrency) == (6000, 600, None)
    assert (config.auth.mode, config.auth.issuer) == ("cognito", None)
    assert config.text_model_id == "eu.amazon.nova-lite-v1:0"


@pytest.mark.parametrize(
    ("settings", "rate", "environments"),
    [
        ({"expected_frame_rate": 0}, 0, 0),
        ({"expected_frame_rate": 91}, 91, 10),
        ({"worker_count": 1000}, 10_000, 1000),  # more than that no account takes without asking
    ],
)
def test_environments_follow_the_frame_rate(settings, rate, environments):
    config = from_context(settings)

    assert (config.frame_rate, config.environments) == (rate, environments)


def test_workers_setting_chooses_voice_text_or_both():
    kinds = {
        name: (config.voice, config.text)
        for name in ("voice", "text", "both")
        if (config := from_context({"workers": name}))
    }

    assert kinds == {"voice": (True, False), "text": (False, True), "both": (True, True)}


def test_the_local_stage_has_an_issuer_on_this_machine():
    auth = from_context({"stage": "local"}).auth

    assert (auth.mode, auth.issuer, auth.audience) == ("oidc", "https://issuer.segue.local", "segue")
    assert str(auth.jwks_url).startswith("http://127.0.0.1:")


def test_only_the_local_stage_is_for_the_emulator():
    config = from_context({"stage": "local"})

    assert (config.target, config.provider, config.model_id) == (EMULATOR, "offline", None)
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


def test_context_of_cdk_itself_is_ignored():
    context = {"@aws-cdk/core:something": True, "aws:cdk:bundling-stacks": ["**"], "availability-zones:account=1": []}

    assert from_context(context).stage == "dev"


@pytest.mark.parametrize(
    ("region", "model"),
    [
        ("us-east-1", "us.amazon.nova-lite-v1:0"),
        ("eu-north-1", "eu.amazon.nova-lite-v1:0"),
        ("ap-southeast-2", "apac.amazon.nova-lite-v1:0"),
        ("us-gov-west-1", "us-gov.amazon.nova-lite-v1:0"),
        ("sa-east-1", "amazon.nova-lite-v1:0"),
        (None, "amazon.nova-lite-v1:0"),
    ],
)
def test_the_text_model_is_the_regions_inference_profile(monkeypatch, region, model):
    for name in ("CDK_DEFAULT_REGION", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    assert from_context({}, region=region).text_model_id == model
    assert from_context({"region": region}, region="me-south-1").text_model_id == model
    assert from_context({"text_model_id": "mine"}, region=region).text_model_id == "mine"
    if region:
        monkeypatch.setenv("CDK_DEFAULT_REGION", region)
        assert from_context({}).text_model_id == model


@pytest.mark.parametrize("provider", ["openai-realtime", "gemini-live"])
def test_another_provider_of_the_voice_leaves_the_text_model_as_it_is(provider):
    secret = "arn:aws:secretsmanager:eu-north-1:123456789012:secret:key-AbCdEf"
    settings = {"provider": provider, "provider_secret_arn": secret, "region": "eu-north-1"}
    assert from_context(settings).text_model_id == "eu.amazon.nova-lite-v1:0"
    assert from_context({"provider": "offline", "region": "eu-north-1"}).text_model_id is None


def test_a_public_image_needs_a_way_to_its_registry():
    with pytest.raises(ConfigurationError, match="worker_image"):
        from_context({"network": "private", "worker_image": "public.ecr.aws/x/segue:7"})
    ours = "123456789012.dkr.ecr.us-east-1.amazonaws.com/segue/worker:7"
    assert from_context({"network": "private", "worker_image": ours}).worker_image == ours
    assert from_context({"worker_image": "public.ecr.aws/x/segue:7"}).version is None


@pytest.mark.parametrize(
    ("context", "message"),
    [
        ({"stage": "Prod"}, "setting stage='Prod' is not possible; allowed: 1 to 20 of a-z, 0-9 and '-', a letter"),
        ({"stage": True}, "setting stage=True"),
        ({"worker_count": "many"}, "setting worker_count='many' is not possible; allowed: a whole number from 1 to"),
        ({"worker_count": 0}, "setting worker_count=0"),
        ({"worker_count": True}, "setting worker_count=True"),
        (
            {"provider": "nova"},
            "setting provider='nova' is not possible; allowed: nova-sonic, openai-real",
        ),
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
            "setting wroker_count=3 is not possible; allowed: unknown; did you mean worker_count? All settings: docs/",
        ),
        (
            {"something": 1},
            "setting something=1 is not possible; allowed: unknown; All settings: docs/",
        ),
        ({"worker_count": 20, "worker_count_max": 10}, "worker_count_max=10 is not possible; allowed: at least worker"),
        ({"provider": "gemini-live"}, "setting provider_secret_arn is missing: needed (provider=gemini-live)"),
        (
            {"provider": "openai-live", "provider_secret_arn": SECRET},
            "provider='openai-live' is not possible; allowed: openai-live only with a worker_image of your own: the",
        ),
        (
            {"provider_input_rate": 44100},
            "provider_input_rate=44100 is not possible; allowed: 8000, 16000, 24000 (prov",
        ),
        (
            {"provider": "gemini-live", "provider_secret_arn": SECRET, "provider_output_rate": "16000"},
            "provider_output_rate=16000 is not possible; allowed: 24000 (provider=gemini-live)",
        ),
        ({"client_input_rate": 96000}, "client_input_rate=96000 is not possible; allowed: a whole number from 8000 to"),
        ({"client_output_rate": "fast"}, "setting client_output_rate='fast' is not possible; allowed: a whole number"),
        ({"provider_options": "[1]"}, "setting provider_options='[1]' is not possible; allowed: a JSON object"),
        ({"provider_options": "{1}"}, "setting provider_options='{1}' is not possible; allowed: a JSON object"),
        (
            {"provider_options": {"speed": 2}},
            """provider_options='{"speed": 2}' is not possible; allowed: an object with params, connection, region (""",
        ),
        ({"provider_secret_arn": SECRET}, "allowed: only with provider=openai-realtime or openai-live or gemini-live"),
        ({"provider": "gemini-live", "provider_secret_arn": "name"}, "allowed: the whole ARN of a secret"),
        ({"auth": "oidc"}, "setting auth_issuer is missing: needed with auth=oidc"),
        ({"auth": "oidc", "auth_issuer": "https://a.example"}, "setting auth_audience is missing"),
        ({"auth": "oidc", "auth_issuer": "http://a.example", "auth_audience": "x"}, "allowed: the https address that"),
        ({**OIDC, "auth_jwks_url": "http://a.example/keys"}, "allowed: the https address of the issuer's keys"),
        ({**OIDC, "auth_jwks_url": "http://127.0.0.1:4566/keys"}, "others are for the stage local"),
        ({"auth_audience": "x"}, "setting auth_audience='x' is not possible; allowed: only with auth=oidc"),
        ({"auth": "none"}, "setting auth='none' is not possible; allowed: cognito, oidc"),
        ({"audh": "oidc"}, "unknown; did you mean auth? All settings"),
        ({"trace_endpoint": "http://10.0.0.9/v1/traces"}, "allowed: only with trace_sampling_percent"),
        ({"docs_url": "docs"}, "setting docs_url='docs' is not possible; allowed: an https address"),
        ({"domain_name": "voice.example.com"}, "setting domain_certificate_arn is missing"),
        ({"domain_zone_id": "Z123456"}, "setting domain_zone_id='Z123456' is not possible; allowed: only with domain"),
        ({"vpc_zones": "us-east-1a"}, "setting vpc_zones='us-east-1a' is not possible; allowed: only with vpc_id"),
        ({"vpc_id": "vpc-01234567"}, "setting vpc_zones is missing: needed with vpc_id"),
        (
            {
                "vpc_id": "vpc-01234567",
                "vpc_zones": "us-east-1a,us-east-1b",
                "vpc_worker_subnets": "subnet-01234567",
                "vpc_function_subnets": "subnet-01234567,subnet-11234567",
            },
            "setting vpc_worker_subnets='subnet-01234567' is not possible; allowed: one subnet for each of",
        ),
        (
            {"trace_sampling_percent": 1.5},
            "setting trace_sampling_percent=1.5 is not possible; allowed: a whole number",
        ),
        ({"alarm_email": "alice"}, "setting alarm_email='alice' is not possible; allowed: an e-mail address"),
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


def test_every_setting_is_described_and_says_what_it_may_be():
    for name, field in Config.model_fields.items():
        assert field.description, name
        assert allowed_values(field), name


def test_the_configuration_cannot_be_changed():
    with pytest.raises(ValidationError):
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
def test_a_context_without_auth_is_refused(context):
    with pytest.raises(ConfigurationError, match="auth"):
        from_context(context)
