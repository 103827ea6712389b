"""The offline stand-in: no account, no costs."""

from __future__ import annotations

from segue.testing.offline import OfflineVoiceModel
from worker.providers.settings import Settings


def make(settings: Settings) -> OfflineVoiceModel:
    """Make the offline model."""
    return OfflineVoiceModel(
        model_id=settings.model_id,
        input_rate=settings.input_rate,
        output_rate=settings.output_rate,
        **settings.options,
    )
