"""OpenAI Live: experimental in Strands, which needs ``strands-agents[bidi-openai-live]`` for it."""

from __future__ import annotations

from typing import Any, Final, cast

from strands.bidi.models.openai.live import OpenAILiveModel

from worker.providers.settings import Settings

DEFAULT_DELEGATION_MODEL: Final = "gpt-6.1-sol"
"""Which model reasons and asks for tools; the Live model only speaks. What OpenAI recommends in the place of gpt-5.
Source: https://developers.openai.com/api/docs/deprecations"""


def make(settings: Settings) -> OpenAILiveModel:
    """Make the model. OpenAI Live sends transcripts of both sides unasked."""
    options: dict[str, Any] = dict(settings.options)
    delegation = {"type": "responses", "model_id": options.pop("delegation_model_id", DEFAULT_DELEGATION_MODEL)}
    client: dict[str, Any] = {"api_key": settings.api_key}
    if settings.endpoint:
        client["base_url"] = settings.endpoint
    return OpenAILiveModel(
        model_id=settings.model_id,
        delegation_config=cast("Any", delegation),
        voice=settings.voice,
        audio_config=cast("Any", {"sample_rate": settings.input_rate}),
        client_args=client,
        **options,
    )
