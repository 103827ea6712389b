"""OpenAI Realtime: a WebSocket. Strands only logs what the service calls an error; here it is heard."""

from __future__ import annotations

from typing import Any, Final

from strands.bidi.models import ConnectionTimeoutError
from strands.bidi.models.openai import realtime
from strands.bidi.models.openai.realtime import OpenAIRealtimeModel

from worker.providers.errors import Refusal
from worker.providers.settings import Settings

DEFAULT_TRANSCRIPTION_MODEL: Final = "gpt-4o-transcribe"
"""Without one there is no transcript of the user, and nothing to record."""

URL: Final = realtime.OPENAI_REALTIME_URL
"""The service's own address: it is a constant of Strands' module, and can only be changed there."""

EXPIRED: Final = "session_expired"
"""The code with which the service ends a session after its 60 minutes."""


class ListeningRealtimeModel(OpenAIRealtimeModel):
    """Strands' model, but a refused configuration, a failed response and an expired session are not overheard."""

    def _convert_openai_event(self, openai_event: dict[str, Any], state: Any = None) -> Any:
        kind = openai_event.get("type")
        if kind == "error":
            error = openai_event.get("error") or {}
            _hear(error.get("code"), error.get("type"), str(error.get("param") or ""))
        events = super()._convert_openai_event(openai_event, state)
        if kind == "response.done":
            return [*(events or []), *_failure(openai_event.get("response") or {})]
        return events


def _hear(code: str | None, kind: str | None, parameter: str) -> None:
    """Raise what ends or spoils the session; a refused item or audio chunk alone does neither.

    Raises:
        ConnectionTimeoutError: The session is over; another one goes on with the history.
        Refusal: The configuration was refused: without it the agent would have neither its tools nor its prompt.
    """
    if code == EXPIRED:
        raise ConnectionTimeoutError("the session has reached its longest duration")
    if parameter.startswith("session") or kind in {"authentication_error", "insufficient_quota"}:
        raise Refusal(code or kind or "error", parameter)


def _failure(response: dict[str, Any]) -> list[Refusal]:
    """A failed response as a trouble for the wrapper to report; the conversation goes on."""
    if response.get("status") != "failed":
        return []
    error = (response.get("status_details") or {}).get("error") or {}
    return [Refusal(error.get("code") or error.get("type") or "server_error", "response")]


def make(settings: Settings) -> OpenAIRealtimeModel:
    """Make the model, with transcripts of the user."""
    realtime.OPENAI_REALTIME_URL = settings.endpoint or URL
    options: dict[str, Any] = {"transcription_model_id": DEFAULT_TRANSCRIPTION_MODEL, **settings.options}
    if settings.voice:
        options["voice"] = settings.voice
    return ListeningRealtimeModel(model_id=settings.model_id, api_key=settings.api_key, **options)
