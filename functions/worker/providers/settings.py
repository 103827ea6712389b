"""Which model the worker talks to, read once from environment variables. What is wrong is said in one line."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from shared.environment_problem import EnvironmentProblem
from worker.providers.table import PROVIDERS, Provider

CLIENT_RATES: Final = range(8000, 48001)
"""Samples a second that clients may use: from telephones to sound cards."""

AWS: Final = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """A provider and how it is used.

    Attributes:
        provider: Its row in the table.
        model_id: The model it is asked for.
        voice: The voice it speaks with; None: the provider's usual one.
        input_rate: Samples a second that the provider hears.
        output_rate: Samples a second that the provider speaks.
        client_input_rate: Samples a second that clients send, announced in ``ready``.
        client_output_rate: Samples a second that clients are sent.
        endpoint: The provider's address instead of its own; None: its own.
        options: Whatever else the provider's model takes; see ``Provider.options``.
        api_key: The provider's key, None if it needs none.
        aws: Credentials for Bedrock besides the worker's own, as keyword arguments of ``boto3.Session``.
    """

    provider: Provider
    model_id: str
    voice: str | None
    input_rate: int
    output_rate: int
    client_input_rate: int
    client_output_rate: int
    endpoint: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    api_key: str | None = field(default=None, repr=False)
    aws: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def from_environment(cls, variables: Mapping[str, str] | None = None) -> Settings:
        """Read SEGUE_PROVIDER and what belongs to it.

        Args:
            variables: What to read instead of the process's environment.

        Raises:
            EnvironmentProblem: A variable has a value that the provider does not take, or its key is missing.
        """
        given = os.environ if variables is None else variables
        provider = _provider(given.get("SEGUE_PROVIDER") or "nova-sonic")
        input_rate = _rate(given, "SEGUE_PROVIDER_INPUT_RATE", provider.input_rates, provider)
        output_rate = _rate(given, "SEGUE_PROVIDER_OUTPUT_RATE", provider.output_rates, provider)
        return cls(
            provider=provider,
            model_id=_model_id(given.get("SEGUE_MODEL_ID") or provider.default_model, provider),
            voice=given.get("SEGUE_VOICE") or None,
            input_rate=input_rate,
            output_rate=output_rate,
            client_input_rate=_client_rate(given, "SEGUE_INPUT_RATE", input_rate),
            client_output_rate=_client_rate(given, "SEGUE_OUTPUT_RATE", output_rate),
            endpoint=given.get("SEGUE_PROVIDER_ENDPOINT") or None,
            options=_options(given.get("SEGUE_PROVIDER_OPTIONS") or "{}", provider),
            api_key=_api_key(given, provider),
            aws={name.lower(): given[f"SEGUE_PROVIDER_{name}"] for name in AWS if given.get(f"SEGUE_PROVIDER_{name}")},
        )


_FORMER_NAMES = {"rehearsal": "offline"}
"""Names of earlier releases, which deployments still set."""


def _provider(name: str) -> Provider:
    try:
        return PROVIDERS[_FORMER_NAMES.get(name, name)]
    except KeyError:
        raise EnvironmentProblem(
            f"SEGUE_PROVIDER is {name!r}, which is no provider; set one of {', '.join(PROVIDERS)}"
        ) from None


def _model_id(model_id: str, provider: Provider) -> str:
    if not re.search(provider.model_pattern, model_id):
        raise EnvironmentProblem(
            f"SEGUE_MODEL_ID is {model_id!r}, which is no model of {provider.name}; "
            f"its default is {provider.default_model!r}"
        )
    return model_id


def _rate(given: Mapping[str, str], name: str, rates: tuple[int, ...], provider: Provider) -> int:
    rate = _number(given, name, rates[0])
    if rate not in rates:
        known = ", ".join(map(str, sorted(rates)))
        raise EnvironmentProblem(f"{name} is {rate}; {provider.name} takes {known} samples a second")
    return rate


def _client_rate(given: Mapping[str, str], name: str, default: int) -> int:
    rate = _number(given, name, default)
    if rate not in CLIENT_RATES:
        raise EnvironmentProblem(
            f"{name} is {rate}; clients use {CLIENT_RATES[0]} to {CLIENT_RATES[-1]} samples a second"
        )
    return rate


def _number(given: Mapping[str, str], name: str, default: int) -> int:
    text = given.get(name) or str(default)
    try:
        return int(text)
    except ValueError:
        raise EnvironmentProblem(f"{name} is {text!r}, not a number of samples a second") from None


def _options(text: str, provider: Provider) -> dict[str, Any]:
    try:
        options = json.loads(text)
    except ValueError:
        options = None
    if not isinstance(options, dict):
        raise EnvironmentProblem("SEGUE_PROVIDER_OPTIONS is not a JSON object")
    if unknown := sorted(options.keys() - set(provider.options)):
        known = ", ".join(provider.options) or "none"
        raise EnvironmentProblem(f"SEGUE_PROVIDER_OPTIONS has {unknown[0]!r}; {provider.name} takes {known}")
    return options


def _api_key(given: Mapping[str, str], provider: Provider) -> str | None:
    keys = [given[name] for name in provider.keys if given.get(name)]
    if provider.keys and not keys:
        raise EnvironmentProblem(f"{provider.name} needs a key: set {' or '.join(provider.keys)}")
    return keys[0] if keys else None
