"""The configuration of a deployment: one frozen, typed object, read from the CDK context.

A setting comes from the command line (`npx cdk deploy -c stage=prod -c worker_count=4`), else from `context` in
`cdk.json`, else from its default in `infra.settings`. A wrong one ends the synthesis with its name, its value and what
is allowed. docs/configuration.md is generated from all of this.

The stage `local` is the one for the emulator (see `infra.targets`); every other stage is for AWS.
"""

import difflib
import math
import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Self, get_args

from pydantic import ValidationError, ValidationInfo, field_validator, model_validator

from infra.checks import ConfigurationError, allowed_values
from infra.combinations import check_together
from infra.settings import Access, Conversations, Deployment, Model, Network, Workers
from infra.targets import AWS, EMULATOR, Target

LOCAL_STAGE: Final = "local"

DEFAULT_MODEL_ID: Final = {"nova-sonic": "amazon.nova-2-5-sonic"}
"""The model that a provider is asked for when the setting `model_id` is not given."""
DEFAULT_TEXT_MODEL_ID: Final = {"nova-sonic": "amazon.nova-lite-v1:0"}
"""The same for text turns. With the rehearsal there is none, and the rehearsal answers."""

FRAMES_PER_SESSION: Final = 10
"""Frames a second of somebody who speaks: 100 ms of audio each."""
REQUESTS_PER_ENVIRONMENT: Final = 10
"""Requests a second that Lambda gives to one execution environment
(https://docs.aws.amazon.com/lambda/latest/dg/lambda-concurrency.html)."""


@dataclass(frozen=True, slots=True)
class Auth:
    """How callers are told apart.

    Attributes:
        mode: "cognito", "oidc" or "none".
        issuer: With "oidc": of the tokens.
        audience: With "oidc": what their `aud` has to contain.
        jwks_url: Where the issuer's keys are; None: where its discovery document says.
    """

    mode: str
    issuer: str | None
    audience: str | None
    jwks_url: str | None


class Config(Network, Access, Workers, Model, Conversations, Deployment):
    """One deployment."""

    @field_validator("*", mode="before")
    @classmethod
    def _from_the_command_line(cls, value: Any, info: ValidationInfo) -> Any:
        """Take numbers as text, as the command line gives them, and refuse what Python takes for a number."""
        if isinstance(value, bool):
            raise ValueError("no setting is true or false")  # noqa: TRY004 - pydantic wants this one
        if isinstance(value, float) and value.is_integer():  # numbers in cdk.json may arrive as 3.0
            value = int(value)
        words = get_args(cls.model_fields[str(info.field_name)].annotation)
        return next((word for word in words if str(word) == str(value)), value)

    @model_validator(mode="after")
    def _together(self) -> Self:
        check_together(self)
        return self

    @property
    def target(self) -> Target:
        """The place that it is deployed to."""
        return EMULATOR if self.stage == LOCAL_STAGE else AWS

    @property
    def voice(self) -> bool:
        """Whether there are workers for streaming sessions."""
        return self.workers != "text"

    @property
    def text(self) -> bool:
        """Whether there are functions for text turns."""
        return self.workers != "voice"

    @property
    def auth(self) -> Auth:
        """How callers are told apart."""
        return Auth(self.auth_mode, self.auth_issuer, self.auth_audience, self.auth_jwks_url)

    @property
    def worker_maximum(self) -> int:
        """How many worker tasks run at most."""
        return self.worker_count_max or 5 * self.worker_count

    @property
    def frame_rate(self) -> int:
        """Frames a second that are expected from all clients together; 0: nobody knows."""
        if self.expected_frame_rate is not None:
            return self.expected_frame_rate
        return min(self.worker_count * self.worker_capacity * FRAMES_PER_SESSION, 10_000)

    @property
    def message_concurrency(self) -> int | None:
        """Execution environments that are reserved for the message function; None: as many as the account has."""
        needed = math.ceil(self.frame_rate / REQUESTS_PER_ENVIRONMENT)
        return max(needed, self.provisioned_concurrency) or None


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
    given = {name: value for name, value in given.items() if value is not None}
    version = (now or datetime.now(UTC)).astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    defaults = {"version": version, **(local_defaults() if given.get("stage") == LOCAL_STAGE else {})}
    settings = {**defaults, **given}
    provider = settings.get("provider", Config.model_fields["provider"].default)
    for name, known in (("model_id", DEFAULT_MODEL_ID), ("text_model_id", DEFAULT_TEXT_MODEL_ID)):
        if provider in known:
            settings.setdefault(name, known[provider])
    try:
        return Config(**settings)
    except ValidationError as error:
        raise _explained(error) from None


def _explained(error: ValidationError) -> ConfigurationError:
    """The first thing that is wrong, as a person wants to know it."""
    first = error.errors()[0]
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, ConfigurationError):
        return cause
    name = str(first["loc"][0])
    if first["type"] == "extra_forbidden":
        close = difflib.get_close_matches(name, Config.model_fields, n=1, cutoff=0.5)
        hint = f"did you mean {close[0]}? " if close else ""
        return ConfigurationError(name, first["input"], f"unknown; {hint}All settings: docs/configuration.md")
    return ConfigurationError(name, first["input"], allowed_values(Config.model_fields[name]))


def local_defaults() -> dict[str, Any]:
    """What is not given for the stage `local`."""
    return {
        "architecture": "arm64" if platform.machine().lower() in {"arm64", "aarch64"} else "x86_64",
        "provider": "rehearsal",
        "auth_mode": "none",
        # The emulator shows tasks and runs none, so there is nothing to build.
        "worker_image": "segue-worker:local",
        "log_retention_days": 7,
    }
