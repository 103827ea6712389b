"""Gemini Live: a WebSocket of Google's own client."""

from __future__ import annotations

from typing import Any, cast

from strands.bidi.models.google import GoogleGeminiLiveModel

from worker.providers.settings import Settings


def make(settings: Settings) -> GoogleGeminiLiveModel:
    """Make the model. Transcripts of both sides are asked for by Strands."""
    options: dict[str, Any] = dict(settings.options)
    client: dict[str, Any] = {"api_key": settings.api_key, **options.pop("client_args", {})}
    if settings.endpoint:
        client["http_options"] = {**client.get("http_options", {}), "base_url": settings.endpoint}
    return GoogleGeminiLiveModel(
        model_id=settings.model_id,
        client_args=client,
        voice=settings.voice,
        audio=cast("Any", {"input": {"sample_rate": settings.input_rate}}),
        **options,
    )
