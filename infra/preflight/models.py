"""The models: listed in the region, and open to this account."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from infra.config import Config
from infra.preflight.account import Account, RefusedError
from infra.preflight.findings import Finding, State, judged

PROFILES: Final = ("us.", "eu.", "apac.", "jp.", "au.", "ca.", "global.", "us-gov.")
"""Beginnings of inference profiles' names."""
UNKNOWN: Final = frozenset({"ResourceNotFoundException", "ValidationException"})


def voice(account: Account, config: Config) -> Iterator[Finding]:
    """The model that the voice workers stream to."""
    if config.voice and config.provider == "nova-sonic":
        yield from _model(account, "voice model", str(config.model_id), "model_id")


def text(account: Account, config: Config) -> Iterator[Finding]:
    """The model of text turns."""
    if config.text and config.text_model_id is not None and not config.offline:
        yield from _model(account, "text model", config.text_model_id, "text_model_id")


def _model(account: Account, subject: str, model: str, setting: str) -> Iterator[Finding]:
    if model.startswith("arn:"):
        return  # of a kind that no listing has: provisioned, imported, a router
    models = _models_of_profile(account, model) if model.startswith(PROFILES) else _listed_model(account, model)
    yield judged(
        "models",
        f"{subject} is listed",
        holds=bool(models),
        needed=f"{model} in {account.region}",
        found="listed" if models else "not known there",
        mend=f"aws bedrock list-foundation-models --region {account.region} --query 'modelSummaries[].modelId' "
        f"(or list-inference-profiles), then -c {setting}=…; or another -c region=…",
        page="docs/providers.md",
    )
    for each in models[:1]:
        yield _access(account, subject, each)


def _models_of_profile(account: Account, profile: str) -> list[str]:
    """The models that an inference profile leads to; none if there is no such profile in the region."""
    try:
        answer = account.ask("bedrock", "GetInferenceProfile", inferenceProfileIdentifier=profile)
    except RefusedError as error:
        if error.code not in UNKNOWN:
            raise
        return []
    return [each["modelArn"].rsplit("/", 1)[-1] for each in answer["models"]]


def _listed_model(account: Account, model: str) -> list[str]:
    """A foundation model's own id; none if the region does not have it."""
    try:
        account.ask("bedrock", "GetFoundationModel", modelIdentifier=model)
    except RefusedError as error:
        if error.code not in UNKNOWN:
            raise
        return []
    return [model]


def _access(account: Account, subject: str, model: str) -> Finding:
    try:
        answer = account.ask("bedrock", "GetFoundationModelAvailability", modelId=model)
    except RefusedError as error:
        if error.code not in UNKNOWN:
            raise
        access, is_open = f"not known in {account.region}", False
    else:
        states = {
            "the region": answer["regionAvailability"],
            "its agreement": answer["agreementAvailability"]["status"],
            "the authorization": answer["authorizationStatus"],
            "the entitlement": answer["entitlementAvailability"],
        }
        wrong = [f"{name} is {state}" for name, state in states.items() if state not in {"AVAILABLE", "AUTHORIZED"}]
        access, is_open = ", ".join(wrong) or "open to this account", not wrong
    return judged(
        "models",
        f"{subject} is open",
        holds=is_open,
        needed=f"{model} may be used by this account",
        found=access,
        mend=f"open {model} once in the Bedrock console of {account.region} (playground), or "
        f"aws bedrock list-foundation-model-agreement-offers --model-id {model} --region {account.region}",
        otherwise=State.FAILS,
        page="docs/providers.md",
    )
