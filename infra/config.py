"""The configuration of a deployment: one frozen, typed object, read from the CDK context.

A setting comes from the command line (`npx cdk deploy -c stage=prod -c worker_count=4`), else from `context` in
`cdk.json`, else from its default here. A wrong one ends the synthesis with its name, its value and what is allowed.

The stage `local` is the one for the emulator (see `infra.targets`); every other stage is for AWS.
"""

import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from infra import checks
from infra.checks import Check, ConfigurationError
from infra.targets import AWS, EMULATOR, Target

LOCAL_STAGE: Final = "local"
DEFAULT_STAGE: Final = "dev"

DEFAULT_MODEL_ID: Final = {"nova-sonic": "amazon.nova-2-5-sonic"}
"""The model that a provider is asked for when the setting `model_id` is not given."""

LOCAL_KEYS_URL: Final = "http://127.0.0.1:9/.well-known/jwks.json"
"""Where nobody publishes keys (port 9 discards): `local/` says where it does."""

CHECKS: Final[Mapping[str, Check]] = {
    "stage": checks.matching(r"[a-z][a-z0-9-]{0,19}", "1 to 20 of a-z, 0-9 and '-', a letter first"),
    "region": checks.matching(r"[a-z]{2}(-[a-z]+)+-\d", "an AWS region such as us-east-1"),
    "version": checks.matching(r"[A-Za-z0-9._-]{1,64}", "1 to 64 of A-Z, a-z, 0-9, '.', '_' and '-'"),
    "log_level": checks.one_of("DEBUG", "INFO", "WARNING", "ERROR"),
    "log_retention_days": checks.one_of_numbers(1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731),
    "architecture": checks.one_of("arm64", "x86_64"),
    "provider": checks.one_of("nova-sonic", "rehearsal"),
    "model_id": checks.matching(r"[A-Za-z0-9.:-]{1,140}", "the provider's name of a model"),
    "worker_count": checks.whole_number(1, 1000),
    "worker_capacity": checks.whole_number(1, 1000),
    "worker_cpu": checks.one_of_numbers(256, 512, 1024, 2048, 4096, 8192, 16384),
    "worker_memory": checks.whole_number(512, 122_880),
    "worker_image": checks.matching(r"[A-Za-z0-9][A-Za-z0-9./:@_-]{0,511}", "the address of a container image"),
    "worker_base_image": checks.matching(r"[A-Za-z0-9][A-Za-z0-9./:@_-]{0,511}", "the address of a container image"),
    "auth": checks.one_of("cognito", "oidc"),
    "auth_issuer": checks.matching(r"https://[!-~]{1,500}", "the https address that tokens name as their issuer"),
    "auth_audience": checks.matching(
        r"[!-~]{1,500}", "what tokens name as their audience, with commas between several"
    ),
    "auth_jwks_url": checks.matching(
        r"(https://|http://127\.0\.0\.1:)[!-~]{1,500}", "the https address of the issuer's keys"
    ),
    "lease_seconds": checks.whole_number(2, 300),
    "heartbeat_seconds": checks.whole_number(1, 100),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthConfig:
    """Whose tokens let a caller in.

    Attributes:
        mode: `cognito` (a user pool of the deployment's own) or `oidc` (the issuer that is named here).
        issuer: What tokens name as their issuer.
        audience: What they name as their audience (or as `client_id`); several with commas between them.
        jwks_url: Where the issuer's keys are; None: at `/.well-known/jwks.json` below the issuer's address.
    """

    mode: str = "cognito"
    issuer: str | None = None
    audience: str | None = None
    jwks_url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """One deployment.

    Attributes:
        stage: Which deployment this is; part of the stacks' names and of the WebSocket address.
        version: Of this deployment; workers announce it and a later one sorts after an earlier one. It is part of the
            task definition, so that a new version replaces the workers. Default: the time of the synthesis.
        region: Where to deploy; None: the region of the caller's credentials.
        architecture: Of functions and workers.
        provider: Which model provider the workers use.
        model_id: The model they ask it for; None: the provider has only one.
        worker_count: How many worker tasks run.
        worker_capacity: How many sessions one worker takes.
        worker_cpu: CPU of a task, in units of 1/1024 vCPU.
        worker_memory: Memory of a task, in MiB.
        worker_image: A public container image to run; None: it is built from `functions/worker/Dockerfile`.
        worker_base_image: What the image is built on, with a digest if it has to be the same every time; None: the
            Dockerfile's own default.
        auth: Whose tokens let a caller in: the settings `auth`, `auth_issuer`, `auth_audience` and `auth_jwks_url`.
        lease_seconds: How long a session's lease lives without a sign of its holder.
        heartbeat_seconds: How often a holder gives that sign.
        log_level: Of functions and workers.
        log_retention_days: How long log lines are kept.
    """

    stage: str
    version: str
    region: str | None = None
    architecture: str = "arm64"
    provider: str = "nova-sonic"
    model_id: str | None = None
    worker_count: int = 2
    worker_capacity: int = 40
    worker_cpu: int = 1024
    worker_memory: int = 2048
    worker_image: str | None = None
    worker_base_image: str | None = None
    auth: AuthConfig = AuthConfig()
    lease_seconds: int = 10
    heartbeat_seconds: int = 3
    log_level: str = "INFO"
    log_retention_days: int = 30

    @property
    def target(self) -> Target:
        """The place that it is deployed to."""
        return EMULATOR if self.stage == LOCAL_STAGE else AWS


def from_context(context: Mapping[str, Any], now: datetime | None = None) -> Config:
    """Read a configuration from the CDK context.

    Args:
        context: Names and values. What is not a setting's name by its form (`@aws-cdk/...`, `aws:cdk:...`) is left to
            CDK.
        now: The time that stands for the version if none is given; default: the current time.

    Raises:
        ConfigurationError: A setting is unknown, has a value that is not allowed, or does not go with another.
    """
    given = {name: value for name, value in context.items() if re.fullmatch(r"[A-Za-z_]\w*", name)}
    unknown = sorted(set(given) - set(CHECKS))
    if unknown:
        raise ConfigurationError(unknown[0], given[unknown[0]], f"unknown; the settings are {', '.join(CHECKS)}")
    settings = {name: CHECKS[name](name, value) for name, value in given.items() if value is not None}
    stage = settings.setdefault("stage", DEFAULT_STAGE)
    settings.setdefault("version", (now or datetime.now(UTC)).astimezone(UTC).strftime("%Y%m%dT%H%M%SZ"))
    if stage == LOCAL_STAGE:
        settings = {**_local_defaults(), **settings}
    settings["auth"] = AuthConfig(
        mode=settings.pop("auth", "cognito"),
        **{name: settings.pop(f"auth_{name}", None) for name in ("issuer", "audience", "jwks_url")},
    )
    config = Config(**settings)
    if config.model_id is None:
        config = Config(**{**settings, "model_id": DEFAULT_MODEL_ID.get(config.provider)})
    _check_together(config)
    return config


def _local_defaults() -> dict[str, Any]:
    return {
        "architecture": "arm64" if platform.machine().lower() in {"arm64", "aarch64"} else "x86_64",
        "provider": "rehearsal",
        # The emulator shows tasks and runs none, so there is nothing to build.
        "worker_image": "segue-worker:local",
        "auth": "oidc",
        "auth_issuer": "https://issuer.segue.local",
        "auth_audience": "segue",
        "auth_jwks_url": LOCAL_KEYS_URL,
        "log_retention_days": 7,
    }


def _check_together(config: Config) -> None:
    """Refuse what only together is wrong."""
    if config.heartbeat_seconds * 3 > config.lease_seconds:
        allowed = f"at most a third of lease_seconds ({config.lease_seconds}), so that two may get lost"
        raise ConfigurationError("heartbeat_seconds", config.heartbeat_seconds, allowed)
    auth = config.auth
    if auth.mode == "oidc" and (auth.issuer is None or auth.audience is None):
        raise ConfigurationError("auth", auth.mode, "with auth_issuer and auth_audience")
    if auth.mode == "cognito" and (auth.issuer or auth.audience or auth.jwks_url):
        raise ConfigurationError("auth", auth.mode, "oidc, if auth_issuer, auth_audience or auth_jwks_url is given")
    low, high, step = _FARGATE_MEMORY[config.worker_cpu]
    memory = config.worker_memory
    if not (low <= memory <= high and (memory % step == 0 or memory == low)):
        allowed = f"with worker_cpu={config.worker_cpu}, {low} to {high} MiB in steps of {step}"
        raise ConfigurationError("worker_memory", memory, allowed)


_FARGATE_MEMORY: Final = {
    256: (512, 2048, 1024),
    512: (1024, 4096, 1024),
    1024: (2048, 8192, 1024),
    2048: (4096, 16384, 1024),
    4096: (8192, 30720, 1024),
    8192: (16384, 61440, 4096),
    16384: (32768, 122_880, 8192),
}
"""Smallest, largest and step of a Fargate task's memory (MiB) for each size of its CPU, as AWS lists them."""
