"""Gemini Live: a WebSocket of Google's own client."""

from __future__ import annotations

import asyncio
from typing import Any, Final, cast

from strands.bidi.models.google import GoogleGeminiLiveModel

from worker.providers.settings import Settings

STOP_SECONDS: Final = 2.0
"""For a connection to end: its client waits 10 s for the service's last word, and does not hear it as long as nobody
reads what else the service still sends."""


class PromptGeminiLiveModel(GoogleGeminiLiveModel):
    """Strands' model, but a connection whose service talks on is given up soon."""

    async def stop(self) -> None:
        """Close the connection."""
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await super().stop()
        except TimeoutError:
            await super().stop()  # the connection is forgotten by now; this closes the rest


def make(settings: Settings) -> GoogleGeminiLiveModel:
    """Make the model. Transcripts of both sides are asked for by Strands."""
    options: dict[str, Any] = dict(settings.options)
    client: dict[str, Any] = {"api_key": settings.api_key, **options.pop("client_args", {})}
    if settings.endpoint:
        client["http_options"] = {**client.get("http_options", {}), "base_url": settings.endpoint}
    return PromptGeminiLiveModel(
        model_id=settings.model_id,
        client_args=client,
        voice=settings.voice,
        audio=cast("Any", {"input": {"sample_rate": settings.input_rate}}),
        **options,
    )
