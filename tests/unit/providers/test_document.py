"""docs/providers.md says what the table of providers says."""

from __future__ import annotations

from pathlib import Path

import pytest

from worker.providers import PROVIDERS
from worker.providers.table import Provider, PublishedLimit

DOCS = (Path(__file__).resolve().parents[3] / "docs" / "providers.md").read_text(encoding="utf-8")


def number(figure: PublishedLimit, unit: int, name: str) -> str:
    return "none published" if figure.value is None else f"{figure.value // unit} {name}"


def taken(provider: Provider) -> str:
    """The provider's row."""
    limits = provider.limits
    return (
        f"| {provider.name} | {'text' if limits.text_only else 'text and tools'}"
        f" | {number(limits.message_bytes, 1024, 'KB')} | {number(limits.total_bytes, 1024, 'KB')}"
        f" | {' and '.join(limits.roles)} | {limits.first_role or 'either'}"
        f" | {number(provider.connection_seconds, 60, 'min')}"
        f" | {'none' if provider.handle_seconds is None else number(provider.handle_seconds, 3600, 'h')} |"
    )


@pytest.mark.parametrize("name", list(PROVIDERS))
def test_history_limits_of_a_provider_are_documented(name: str):
    assert taken(PROVIDERS[name]) in DOCS.splitlines()


@pytest.mark.parametrize("name", list(PROVIDERS))
def test_settings_of_a_provider_are_documented(name: str):
    provider = PROVIDERS[name]
    rates = ", ".join(map(str, provider.input_rates)), ", ".join(map(str, provider.output_rates))
    keys = " or ".join(f"`{key}`" for key in provider.keys) or "none"
    options = ", ".join(f"`{option}`" for option in provider.options)
    assert (
        f"| {name} | `{provider.default_model}` | {keys} | {rates[0]} | {rates[1]} | {options} |" in DOCS.splitlines()
    )


@pytest.mark.parametrize("name", list(PROVIDERS))
def test_every_figures_source_is_documented(name: str):
    provider = PROVIDERS[name]
    for figure in (provider.limits.total_bytes, provider.connection_seconds, provider.handle_seconds):
        assert figure is None or figure.source in DOCS


@pytest.mark.parametrize("name", list(PROVIDERS))
def test_models_that_take_additions_are_documented_with_their_source(name: str):
    additions = PROVIDERS[name].additions
    models = "none" if additions.models is None else f"`{additions.models}`"
    (row,) = [line for line in DOCS.splitlines() if line.startswith(f"| {name} | {models} | {additions.source}")]
    assert row


def test_additions_depend_on_the_model_too():
    offline, nova = PROVIDERS["offline"].additions, PROVIDERS["nova-sonic"].additions
    assert [offline.taken_by(name) for name in ("offline", "offline-without-additions")] == [True, False]
    assert not nova.taken_by("amazon.nova-2-sonic-v1:0")
