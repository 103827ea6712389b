"""Conditions under which a recorded resumption handle may be used."""

from __future__ import annotations

import dataclasses

import pytest

from worker.providers import PROVIDERS
from worker.providers.connection.resumption_handles import MARGIN_SECONDS, Handle, recorded, why_not

GEMINI = PROVIDERS["gemini-live"]
GOOD = 2 * 3600 * 1000
MARGIN = MARGIN_SECONDS * 1000
HANDLE = Handle(value="h", at=1_000_000, model_id="gemini-3.8-live", after="m7")


@pytest.mark.parametrize(
    ("provider", "model_id", "newest", "age", "reason"),
    [
        ("gemini-live", "gemini-3.8-live", "m7", 0, None),
        ("gemini-live", "gemini-3.8-live", "m7", GOOD - MARGIN, None),
        ("gemini-live", "gemini-3.8-live", "m7", GOOD - MARGIN + 1, "it is too old"),
        ("gemini-live", "gemini-3.9-live", "m7", 0, "it is of another model"),
        ("gemini-live", "gemini-3.8-live", "m8", 0, "the conversation has gone on since"),
        ("gemini-live", "gemini-3.8-live", None, 0, "the conversation has gone on since"),
        ("nova-sonic", "gemini-3.8-live", "m7", 0, "the provider has none"),
        ("openai-realtime", "gemini-3.8-live", "m7", 0, "the provider has none"),
    ],
)
def test_a_handle_of_another_model_state_or_age_is_not_used(provider, model_id, newest, age, reason):
    assert why_not(HANDLE, PROVIDERS[provider], model_id, newest, HANDLE.at + age) == reason


def test_a_recorded_handle_is_read_again():
    handle = dataclasses.replace(HANDLE, expires_at=HANDLE.at + GOOD)
    assert recorded({"handle": handle.record()}) == handle
    assert recorded({"handle": HANDLE.record()}) == HANDLE
    assert "expires_at" not in HANDLE.record()


@pytest.mark.parametrize("record", [{}, {"handle": None}, {"handle": {"value": "h"}}, {"handle": {"what": 1}}], ids=str)
def test_a_record_that_is_not_understood_is_no_handle(record):
    assert recorded(record) is None
