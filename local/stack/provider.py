"""A real model provider for a local stack: what the person who starts it has chosen, and the keys to it."""

from __future__ import annotations

import os

import boto3

from local.errors import LocalError
from shared.environment_problem import EnvironmentProblem
from worker.providers import Settings

PASSED_ON = (
    "OPENAI_API_KEY", "OPENAI_ORGANIZATION", "OPENAI_PROJECT", "GEMINI_API_KEY", "GOOGLE_API_KEY",
    "SEGUE_PROVIDER_OPTIONS", "SEGUE_PROVIDER_ENDPOINT", "SEGUE_INPUT_RATE", "SEGUE_OUTPUT_RATE",
    "SEGUE_PROVIDER_INPUT_RATE", "SEGUE_PROVIDER_OUTPUT_RATE",
)  # fmt: skip


def variables(provider: str, model_id: str | None, voice: str | None) -> dict[str, str]:
    """Return the variables with which workers talk to a provider.

    Workers have credentials of the emulator only, so those for Bedrock go by names of their own.

    Raises:
        LocalError: The settings do not fit, or there are no keys.
    """
    settings = {"SEGUE_PROVIDER": provider, "SEGUE_MODEL_ID": model_id or "", "SEGUE_VOICE": voice or ""}
    settings |= {name: os.environ[name] for name in PASSED_ON if os.environ.get(name)}
    if provider == "nova-sonic":
        settings |= _aws_credentials()
    try:
        Settings.from_environment(settings)
    except EnvironmentProblem as problem:
        raise LocalError(str(problem)) from problem
    return settings


def _aws_credentials() -> dict[str, str]:
    credentials = boto3.Session().get_credentials()
    if credentials is None:
        msg = "nova-sonic needs AWS credentials: log in, or set AWS_PROFILE."
        raise LocalError(msg)
    frozen = credentials.get_frozen_credentials()
    return {
        "SEGUE_PROVIDER_AWS_ACCESS_KEY_ID": frozen.access_key or "",
        "SEGUE_PROVIDER_AWS_SECRET_ACCESS_KEY": frozen.secret_key or "",
        "SEGUE_PROVIDER_AWS_SESSION_TOKEN": frozen.token or "",
    }
