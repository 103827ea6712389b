"""The offline stand-in: no account, no costs."""

from __future__ import annotations

from worker.providers.settings import Settings
from worker.rehearsal import RehearsalModel


def make(settings: Settings) -> RehearsalModel:
    """Make the rehearsal model."""
    return RehearsalModel(
        model_id=settings.model_id,
        input_rate=settings.input_rate,
        output_rate=settings.output_rate,
        **settings.options,
    )
