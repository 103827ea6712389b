"""Strands' own time for a connection is shorter than the provider's: it is replaced before it is cut off."""

from __future__ import annotations

import pytest

from worker.providers import PROVIDERS, Settings, build

KEYS = {"OPENAI_API_KEY": "test-key", "GEMINI_API_KEY": "test-key"}
LIMITED = {"nova-sonic", "openai-realtime", "gemini-live"}


@pytest.mark.parametrize("name", sorted(LIMITED))
def test_a_connection_is_restarted_before_its_provider_ends_it(name: str):
    model = build(Settings.from_environment({"SEGUE_PROVIDER": name, **KEYS}))
    limit = PROVIDERS[name].connection_seconds.value
    assert limit is not None
    assert 0 < model.get_connection_config()["restart_after_s"] < limit


def test_all_providers_that_publish_a_limit_are_tested():
    assert {name for name, each in PROVIDERS.items() if each.connection_seconds.value is not None} == LIMITED
