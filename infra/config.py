"""The configuration of a deployment: one frozen, typed object, read from the CDK context.

A setting comes from the command line (``npx cdk deploy -c stage=prod -c worker_count=4``), else from ``context`` in
``cdk.json``, else from its default in ``infra.settings``. A wrong one ends the synthesis with its name, its value and
what is allowed. docs/configuration.md is generated from all of this.

The stage ``local`` is the one for the emulator (see ``infra.targets``); every other stage is for AWS.
"""

from __future__ import annotations

import difflib
import json
import math
import os
import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self, get_args

from pydantic import ValidationError, ValidationInfo, field_validator, model_validator
from pydantic.fields import FieldInfo

from infra.setting_combinations import check_together
from infra.setting_fields import ConfigurationError, allowed_values
from infra.settings import Access, Conversations, Deployment, Direct, Model, Network, Web, Workers
from infra.stages import with_stage
from infra.targets import AWS, EMULATOR, Target

LOCAL_STAGE: Final = "local"

DEFAULT_MODEL_ID: Final = {"nova-sonic": "amazon.nova-2-sonic-v1:0"}
"""The model that a provider is asked for when the setting ``model_id`` is not given: one that AWS's documents name."""
DEFAULT_TEXT_MODEL_ID: Final = dict.fromkeys(
    ("nova-sonic", "openai-realtime", "openai-live", "gemini-live"), "amazon.nova-lite-v1:0"
)
"""The same for text turns, which a model of Amazon Bedrock takes also where another provider has the voice. With the
offline model there is none, and it answers itself."""
PROFILES: Final = {"us-gov-": "us-gov.", "us-": "us.", "eu-": "eu.", "ap-": "apac."}
"""By the beginning of a region's name, the beginning of the names of its inference profiles
(https://docs.aws.amazon.com/bedrock/latest/userguide/inference-profiles-support.html). A foundation model by its own
name is in few regions."""

LOCAL_KEYS_URL: Final = "http://127.0.0.1:9/.well-known/jwks.json"
"""An address without keys (port 9 discards); ``local/`` replaces it by the local issuer's."""

FRAMES_PER_SESSION: Final = 10
"""Frames a second of a caller who speaks: 100 ms of audio each."""
SOCKETS_PER_SESSION: Final = 4
"""Direct sockets of a worker for each session that it takes: other devices, clients whose session is elsewhere, and,
at a deployment, those that come over from a worker that drains."""
ROLLING: Final = 2
"""A deployment starts every new task beside the old ones (``max_healthy_percent=200``), and registers it."""
BALANCER_TARGETS: Final = 500
"""Targets of a balancer that spreads over all zones, by AWS's default quota; without that, 500 in each zone."""
REQUESTS_PER_ENVIRONMENT: Final = 10
"""Requests a second that Lambda gives to one execution environment
(https://docs.aws.amazon.com/lambda/latest/dg/lambda-concurrency.html)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthConfig:
    """The issuer whose tokens let a caller in.

    Attributes:
        mode: ``cognito`` (a user pool of the deployment's own) or ``oidc`` (the issuer that is named here).
        issuer: What tokens name as their issuer.
        audience: What they name as their audience (or as ``client_id``); several with commas between them.
        jwks_url: Where the issuer's keys are; None: at ``/.well-known/jwks.json`` below the issuer's address.
    """

    mode: str = "cognito"
    issuer: str | None = None
    audience: str | None = None
    jwks_url: str | None = None


class Config(Network, Web, Direct, Access, Workers, Model, Conversations, Deployment):
    """One deployment."""

    @field_validator("*", mode="before")
    @classmethod
    def _parse_value(cls, value: Any, info: ValidationInfo) -> Any:
        """Take numbers as text, as the command line gives them, and refuse what Python takes for a number."""
        allowed = get_args(cls.model_fields[str(info.field_name)].annotation)
        if isinstance(value, bool):  # as cdk.json has it; on the command line it is a text
            value = str(value).lower()
            if value not in allowed:
                raise ValueError("this setting is not true or false")
        if isinstance(value, dict):  # as cdk.json has it; on the command line it is a text
            return json.dumps(value)
        if isinstance(value, float) and value.is_integer():  # numbers in cdk.json may arrive as 3.0
            value = int(value)
        return next((each for each in allowed if str(each) == str(value)), value)

    @model_validator(mode="after")
    def _check_combinations(self) -> Self:
        check_together(self)
        return self

    @property
    def target(self) -> Target:
        """The place that it is deployed to."""
        return EMULATOR if self.stage == LOCAL_STAGE else AWS

    @property
    def voice(self) -> bool:
        """True if there are workers for streaming sessions."""
        return self.workers != "text"

    @property
    def text(self) -> bool:
        """True if there are functions for text turns: the API's message function sends them."""
        return self.workers != "voice" and self.api

    @property
    def api(self) -> bool:
        """True if there is a WebSocket API."""
        return self.transport != "direct"

    @property
    def direct(self) -> bool:
        """True if clients connect to the workers by a load balancer."""
        return self.transport != "api"

    @property
    def sockets(self) -> int:
        """The direct sockets that one worker takes at most."""
        return self.direct_sockets or SOCKETS_PER_SESSION * self.worker_capacity

    @property
    def hidden_tool_errors(self) -> str | None:
        """SEGUE_TOOL_ERRORS; None: the default, which need not be said."""
        return self.tool_errors if self.tool_errors == "hidden" else None

    @property
    def model_environment(self) -> dict[str, str]:
        """Variables of the model settings that were chosen; the worker takes the others from its own table."""
        variables = {
            "SEGUE_MODEL_ID": self.model_id,
            "SEGUE_VOICE": self.model_voice,
            "SEGUE_PROVIDER_INPUT_RATE": self.provider_input_rate,
            "SEGUE_PROVIDER_OUTPUT_RATE": self.provider_output_rate,
            "SEGUE_INPUT_RATE": self.client_input_rate,
            "SEGUE_OUTPUT_RATE": self.client_output_rate,
            "SEGUE_PROVIDER_OPTIONS": self.provider_options,
            "SEGUE_TOOL_ERRORS": self.hidden_tool_errors,
        }
        return {name: str(value) for name, value in variables.items() if value}

    @property
    def offline(self) -> bool:
        """True if the offline model stands in for a provider."""
        return self.provider in {"offline", "rehearsal"}

    @property
    def page(self) -> bool:
        """True if there is a page to talk on."""
        signs_in = self.auth_mode == "cognito" or self.web_client_id is not None
        return self.target.web and self.web == "true" and signs_in

    @property
    def auth(self) -> AuthConfig:
        """The issuer whose tokens let a caller in."""
        return AuthConfig(
            mode=self.auth_mode, issuer=self.auth_issuer, audience=self.auth_audience, jwks_url=self.auth_jwks_url
        )

    @property
    def worker_maximum(self) -> int:
        """The most worker tasks that run at a time."""
        return self.worker_count_max or 5 * self.worker_count

    @property
    def crosses_zones(self) -> bool:
        """True if a balancer's node in one zone may choose workers of another.

        It lets every client choose among all workers, which matters while they are few. Each gigabyte that crosses is
        billed, and the quota of targets is then one for all zones: a large deployment does without.
        """
        return ROLLING * self.worker_maximum <= BALANCER_TARGETS

    @property
    def frame_rate(self) -> int:
        """Frames a second at the most from all clients together; 0 means unknown."""
        if self.expected_frame_rate is not None:
            return self.expected_frame_rate
        if not self.voice:
            return self.account_message_rate
        return min(self.worker_maximum * self.worker_capacity * FRAMES_PER_SESSION, self.account_message_rate)

    @property
    def throttle_rate(self) -> int | None:
        """Frames a second at which API Gateway refuses: twice what is expected, and no more than the account has."""
        return min(2 * self.frame_rate, self.account_message_rate) or None

    @property
    def environments(self) -> int:
        """Execution environments that the message function needs at the most."""
        return math.ceil(self.frame_rate / REQUESTS_PER_ENVIRONMENT)


def from_context(context: Mapping[str, Any], region: str | None = None) -> Config:
    """Read a configuration from the CDK context.

    Args:
        context: Names and values. What is not a setting's name by its form (``@aws-cdk/...``, ``aws:cdk:...``) is left
            to CDK.
        region: The caller's, for what depends on it where the setting ``region`` is not given. Default: what the CDK's
            command line, or else the AWS one, says.

    Raises:
        ConfigurationError: A setting is unknown, has a value that is not allowed, or does not go with another.
    """
    context = with_stage(context, LOCAL_STAGE)
    values = {name: value for name, value in context.items() if re.fullmatch(r"[A-Za-z_]\w*", name)}
    values = {name: value for name, value in values.items() if value is not None}
    settings = {**(local_defaults() if values.get("stage") == LOCAL_STAGE else {}), **values}
    provider = settings.get("provider", Config.model_fields["provider"].default)
    if provider in DEFAULT_MODEL_ID:
        settings.setdefault("model_id", DEFAULT_MODEL_ID[provider])
    if provider in DEFAULT_TEXT_MODEL_ID and "text_model_id" not in settings:
        model_region = settings.get("region") or region or _callers_region()
        settings["text_model_id"] = regional(DEFAULT_TEXT_MODEL_ID[provider], model_region)
    try:
        return Config(**settings)
    except ValidationError as error:
        raise _configuration_error(error) from None


def regional(model: str, region: str | None) -> str:
    """The inference profile of a model in a region; the model itself where none is known.

    Args:
        model: A foundation model's name.
        region: None: not known at this synthesis.
    """
    return next((prefix + model for name, prefix in PROFILES.items() if str(region).startswith(name)), model)


def _callers_region() -> str | None:
    names = ("CDK_DEFAULT_REGION", "AWS_REGION", "AWS_DEFAULT_REGION")
    return next((os.environ[name] for name in names if os.environ.get(name)), None)


def _configuration_error(error: ValidationError) -> ConfigurationError:
    """The first thing that is wrong, as a person wants to know it."""
    detail = error.errors()[0]
    cause = detail.get("ctx", {}).get("error")
    if isinstance(cause, ConfigurationError):
        return cause
    name = str(detail["loc"][0])
    if detail["type"] == "extra_forbidden":
        close = difflib.get_close_matches(name, settings_by_name(), n=1, cutoff=0.5)
        hint = f"did you mean {close[0]}? " if close else ""
        return ConfigurationError(name, detail["input"], f"unknown; {hint}All settings: docs/configuration.md")
    return ConfigurationError(name, detail["input"], allowed_values(settings_by_name()[name]))


def settings_by_name() -> dict[str, FieldInfo]:
    """Every setting, by the name that it has in the CDK context."""
    return {field.alias or name: field for name, field in Config.model_fields.items()}


def local_defaults() -> dict[str, Any]:
    """Properties left out on the stage ``local``."""
    return {
        "architecture": "arm64" if platform.machine().lower() in {"arm64", "aarch64"} else "x86_64",
        "provider": "offline",
        "auth": "oidc",
        "auth_issuer": "https://issuer.segue.local",
        "auth_audience": "segue",
        "auth_jwks_url": LOCAL_KEYS_URL,
        # The emulator shows tasks and runs none, so there is nothing to build.
        "worker_image": "segue-worker:local",
        "log_retention_days": 7,
    }
