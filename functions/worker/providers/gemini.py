"""Gemini Live: a WebSocket of Google's own client."""

from __future__ import annotations

import asyncio
from typing import Any, Final, cast

from google.genai.types import LiveServerContent
from google.genai.types import TurnCompleteReason as Reason
from strands.bidi.models.google import GoogleGeminiLiveModel

from shared.provider_errors import ProviderRefusal
from worker.providers.settings import Settings

STOP_SECONDS: Final = 2.0
"""Seconds for a connection to end; after them it is abandoned. Its client waits 10 s for the service's last message,
which stays behind other messages that are not read any more."""


NOTHING_WRONG: Final = frozenset({Reason.TURN_COMPLETE_REASON_UNSPECIFIED, Reason.NEED_MORE_INPUT})
"""Reasons for the end of a turn that are no trouble. All others but one mean refused content: the question's, or the
answer's. A reason that a later version adds counts as a refusal until this table names it."""


class PromptGeminiLiveModel(GoogleGeminiLiveModel):
    """Strands' model, but a refused turn is not overheard, and a connection whose service talks on is given up soon."""

    def _convert_gemini_live_event(self, message: Any, turn_state: Any) -> list[Any]:
        events: list[Any] = super()._convert_gemini_live_event(message, turn_state)
        return [*events, *_failure(message.server_content)]

    async def stop(self) -> None:
        """Close the connection."""
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await super().stop()
        except TimeoutError:
            await super().stop()  # the connection is forgotten by now; this closes the rest


def _failure(content: LiveServerContent | None) -> list[ProviderRefusal]:
    """A turn that was refused, as a trouble for the wrapper to report; the conversation goes on."""
    reason = content.turn_complete_reason if content is not None else None
    if reason is None or reason in NOTHING_WRONG:
        return []
    return [
        ProviderRefusal(reason.value if reason is Reason.MALFORMED_FUNCTION_CALL else "content_filter", reason.value)
    ]


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
