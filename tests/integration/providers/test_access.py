"""The model is tried at a worker's start: every provider takes a connection in which nothing is said."""

from __future__ import annotations

import pytest

from local.fakes import FAKES
from shared.log import logger
from worker.providers import Settings, build
from worker.providers.access import check_access


@pytest.mark.parametrize("name", list(FAKES))
async def test_an_accessible_model_passes_the_check_without_a_warning_or_metric(new_fake, name, counted, monkeypatch):
    warned = []
    monkeypatch.setattr(logger, "warning", lambda text, **more: warned.append((text, more)))
    fake = await new_fake(name)
    await check_access(build(Settings.from_environment(fake.environment())), listen=0.5)
    assert warned == []
    assert not counted(), "a check of access counts as no connection of a conversation"
