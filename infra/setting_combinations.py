"""Settings that are wrong only together."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from infra.constants import ECR_IMAGE
from infra.setting_fields import ConfigurationError

if TYPE_CHECKING:
    from infra.config import Config

FARGATE_MEMORY: Final = {
    256: (512, 2048, 1024),
    512: (1024, 4096, 1024),
    1024: (2048, 8192, 1024),
    2048: (4096, 16384, 1024),
    4096: (8192, 30720, 1024),
    8192: (16384, 61440, 4096),
    16384: (32768, 122_880, 8192),
}
"""Smallest, largest and step of a Fargate task's memory (MiB) for each size of its CPU, as AWS lists them."""

PROVIDER_KEYS: Final = {
    "openai-realtime": "OPENAI_API_KEY",
    "openai-live": "OPENAI_API_KEY",
    "gemini-live": "GEMINI_API_KEY",
}
"""The environment variable in which each provider's client looks for its key."""
PROVIDER_RATES: Final = {
    "nova-sonic": ((16000, 8000, 24000), (16000, 8000, 24000)),
    "openai-realtime": ((24000,), (24000,)),
    "openai-live": ((24000, 16000), (24000, 16000)),
    "gemini-live": ((16000, 8000, 24000, 48000), (24000,)),
    "offline": ((16000, 8000, 24000, 48000), (16000, 8000, 24000, 48000)),
}
"""Samples a second that each provider hears and speaks, as in ``worker.providers.table``, which this cannot import: it
would bring Strands with it. A test compares the two."""
PROVIDER_OPTIONS: Final = {
    "nova-sonic": ("params", "connection", "region"),
    "openai-realtime": ("params", "connection", "transcription_model_id", "organization", "project", "timeout_s"),
    "openai-live": ("connection", "delegation_model_id"),
    "gemini-live": ("params", "connection", "client_args"),
    "offline": ("limit_s", "pace", "connection", "start_s", "additions"),
}
"""The keys that ``provider_options`` may contain, likewise."""
VPC_PARTS: Final = ("vpc_zones", "vpc_worker_subnets", "vpc_function_subnets", "vpc_balancer_subnets")
DIRECT_PARTS: Final = ("direct_domain_name", "direct_certificate_arn")
"""Settings that a load balancer needs."""
DIRECT_OPTIONS: Final = ("direct_zone_id", "direct_origins", "direct_sockets", "vpc_balancer_subnets")
API_PARTS: Final = (
    "domain_name",
    "expected_frame_rate",
    "message_concurrency",
    "vpc_function_subnets",
)
"""Settings of the WebSocket API and of its message function."""


def check_together(config: Config) -> None:
    """Refuse what only together is wrong.

    Raises:
        ConfigurationError: Names one of the settings, and the other in what is allowed.
    """
    for check in (
        _check_lease,
        _check_size,
        _check_provider,
        _check_provider_formats,
        _check_auth,
        _check_domain,
        _check_certificates,
        _check_network,
        _check_transport,
        _check_traces,
        _check_rates,
        _check_image,
    ):
        check(config)


def _refuse(config: Config, name: str, allowed: str) -> None:
    raise ConfigurationError(name, getattr(config, name), allowed)


def _check_lease(config: Config) -> None:
    if config.heartbeat_seconds * 3 > config.lease_seconds:
        allowed = f"at most a third of lease_seconds ({config.lease_seconds}), so that two may get lost"
        _refuse(config, "heartbeat_seconds", allowed)


def _check_size(config: Config) -> None:
    low, high, step = FARGATE_MEMORY[config.worker_cpu]
    memory = config.worker_memory
    if not (low <= memory <= high and (memory % step == 0 or memory == low)):
        _refuse(config, "worker_memory", f"with worker_cpu={config.worker_cpu}, {low} to {high} MiB in steps of {step}")
    if config.worker_maximum < config.worker_count:
        _refuse(config, "worker_count_max", f"at least worker_count ({config.worker_count})")


def _check_provider(config: Config) -> None:
    keyed = config.provider in PROVIDER_KEYS
    if keyed != (config.provider_secret_arn is not None):
        allowed = "needed" if keyed else "only with provider=" + " or ".join(PROVIDER_KEYS)
        _refuse(config, "provider_secret_arn", f"{allowed} (provider={config.provider})")
    if config.provider == "openai-live" and config.worker_image is None:
        allowed = "openai-live only with a worker_image of your own: the usual one cannot hold its package beside "
        _refuse(config, "provider", f"{allowed}OpenAI Realtime's, see docs/providers.md")


def _check_provider_formats(config: Config) -> None:
    provider = "offline" if config.offline else config.provider
    rates_by_setting = zip(
        ("provider_input_rate", "provider_output_rate"),
        PROVIDER_RATES[provider],
        strict=True,
    )
    for name, rates in rates_by_setting:
        if getattr(config, name) not in {None, *rates}:
            _refuse(config, name, f"{', '.join(map(str, sorted(rates)))} (provider={config.provider})")
    known_options = PROVIDER_OPTIONS[provider]
    try:
        options = json.loads(config.provider_options or "{}")
    except ValueError:
        _refuse(config, "provider_options", "a JSON object")
    else:
        if not options.keys() <= set(known_options):
            _refuse(
                config, "provider_options", f"an object with {', '.join(known_options)} (provider={config.provider})"
            )


def _check_auth(config: Config) -> None:
    oidc = config.auth_mode == "oidc"
    for name in ("auth_issuer", "auth_audience"):
        if oidc != (getattr(config, name) is not None):
            _refuse(config, name, f"{'needed' if oidc else 'only'} with auth=oidc")
    if config.auth_jwks_url and not oidc:
        _refuse(config, "auth_jwks_url", "only with auth=oidc")
    for name in ("web_client_id", "web_login_origins"):
        if getattr(config, name) and not oidc:
            _refuse(config, name, "only with auth=oidc: a user pool of the deployment's own has its client")
    if config.target.keeps_data and (config.auth_jwks_url or "https:").startswith("http:"):
        _refuse(config, "auth_jwks_url", "an https address; others are for the stage local")


def _check_domain(config: Config) -> None:
    if (config.domain_name is None) != (config.domain_certificate_arn is None):
        missing = "domain_certificate_arn" if config.domain_name else "domain_name"
        _refuse(config, missing, "domain_name and domain_certificate_arn go together")
    if config.domain_zone_id and not config.domain_name:
        _refuse(config, "domain_zone_id", "only with domain_name")


def _check_certificates(config: Config) -> None:
    for name in ("domain_certificate_arn", "direct_certificate_arn"):
        arn = getattr(config, name)
        if config.region and arn and arn.split(":")[3] != config.region:
            _refuse(config, name, f"one in {config.region}, the region of the deployment: ACM keeps each in its own")


def _check_traces(config: Config) -> None:
    if config.trace_endpoint and not config.trace_sampling_percent:
        _refuse(config, "trace_endpoint", "only with trace_sampling_percent")


def _check_rates(config: Config) -> None:
    if (config.expected_frame_rate or 0) > config.account_message_rate:
        allowed = f"at most account_message_rate ({config.account_message_rate}): ask AWS for more, then raise that"
        _refuse(config, "expected_frame_rate", allowed)
    reserved = config.message_concurrency
    if reserved is None:
        return
    if reserved < config.environments:
        allowed = (
            f"at least {config.environments}, one for every ten of {config.frame_rate} frames a second at the most"
        )
        _refuse(config, "message_concurrency", f"{allowed}: or the function throttles its own callers")
    if reserved < config.provisioned_concurrency:
        _refuse(config, "message_concurrency", f"at least provisioned_concurrency ({config.provisioned_concurrency})")


def _check_image(config: Config) -> None:
    image, made_here = config.worker_image, config.vpc_id is None
    if image is not None and config.network == "private" and made_here and ECR_IMAGE.fullmatch(image) is None:
        allowed = "with network=private one in ECR: endpoints lead there, and tasks have no address for others"
        _refuse(config, "worker_image", allowed)


def _check_network(config: Config) -> None:
    present = [name for name in VPC_PARTS if getattr(config, name) is not None]
    if config.vpc_id is None:
        if present:
            _refuse(config, present[0], "only with vpc_id")
        return
    for name in _needed_of_a_vpc(config):
        if name not in present:
            _refuse(config, name, "needed with vpc_id")
    zones = len(str(config.vpc_zones).split(","))
    for name in present:
        if len(getattr(config, name).split(",")) != zones:
            _refuse(config, name, f"one subnet for each of vpc_zones ({zones})")


def _needed_of_a_vpc(config: Config) -> list[str]:
    needed = ["vpc_zones", "vpc_worker_subnets"]
    if config.api:
        needed.append("vpc_function_subnets")
    if config.direct and config.network == "private":  # those of the tasks are not public there
        needed.append("vpc_balancer_subnets")
    return needed


def _check_transport(config: Config) -> None:
    if not config.direct:
        for name in (*DIRECT_PARTS, *DIRECT_OPTIONS):
            if getattr(config, name) is not None:
                _refuse(config, name, "only with transport=direct or transport=both")
        return
    if not config.target.network_isolation:
        _refuse(config, "transport", "api with stage=local; `make local TRANSPORT=direct` connects to workers there")
    if not config.voice:
        _refuse(config, "transport", "api with workers=text: clients connect to voice workers, and there are none")
    for name in DIRECT_PARTS:
        if getattr(config, name) is None:
            _refuse(config, name, f"needed with transport={config.transport}")
    _check_sockets(config)
    if config.direct_domain_name == config.domain_name:
        _refuse(config, "direct_domain_name", "another name than domain_name: each leads to one place")
    if not config.api:
        _check_no_api(config)


def _check_sockets(config: Config) -> None:
    if config.sockets < config.worker_capacity:
        allowed = f"at least worker_capacity ({config.worker_capacity}): a task with all its sockets in use would turn "
        _refuse(config, "direct_sockets", f"{allowed}clients away, and be too empty of sessions for another to start")


def _check_no_api(config: Config) -> None:
    for name in API_PARTS:
        if getattr(config, name) is not None:
            _refuse(config, name, "only with a WebSocket API: transport=api or transport=both")
    if config.provisioned_concurrency:
        _refuse(config, "provisioned_concurrency", "0 with transport=direct: there is no message function")
