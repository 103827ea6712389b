"""OpenAI Realtime: a WebSocket. Strands only logs what the service calls an error; here it is heard.

Over a WebSocket the service does not know what of its speech was played, and it speaks faster than real time. So it is
told after a barge-in. A caller who speaks while a complete response is still being played is a barge-in, too. Source:
https://developers.openai.com/api/docs/guides/realtime-conversations
"""

from __future__ import annotations

import base64
import uuid
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from strands.bidi.models import ConnectionTimeoutError
from strands.bidi.models.openai import realtime
from strands.bidi.models.openai.realtime import OpenAIRealtimeModel
from strands.types.content import Messages

from shared.provider_errors import AdditionRefused, ProviderRefusal
from worker.providers.settings import Settings
from worker.providers.speech.truncation import SpeechBegan, milliseconds

DEFAULT_TRANSCRIPTION_MODEL: Final = "gpt-transcribe"
"""Without one there is no transcript of the user, and nothing to record. gpt-4o-transcribe ends in February 2027.
Source: https://strandsagents.com/docs/user-guide/sdk/bidi/models/openai/realtime/"""

URL: Final = realtime.OPENAI_REALTIME_URL
"""The service's own address: it is a constant of Strands' module, and can only be changed there."""

EXPIRED: Final = "session_expired"
"""The code with which the service ends a session after its 60 minutes."""


ADDITION: Final = "addition-"
"""The event ids of additions begin so, and an error names the event that it is about."""

RATE: Final = 24000
"""Samples a second, of 16 bits each: the service speaks at no other rate."""

SOUNDS: Final = 16
"""Pieces of speech remembered at most; older ones are forgotten. Far more than wait to be played."""


@dataclass(slots=True)
class _Sound:
    """A piece of the service's speech: one item's content part."""

    item_id: str
    content_index: int
    seconds: float = 0.0


class ListeningRealtimeModel(OpenAIRealtimeModel):
    """Strands' model, but a refused configuration, a failed response and an expired session are not overheard."""

    def __init__(self, **options: Any) -> None:
        """Take what Strands' model takes."""
        super().__init__(**options)
        self._sounds: deque[_Sound] = deque(maxlen=SOUNDS)
        self._truncated: deque[_Sound] = deque()
        self._adding = False

    async def start(self, *arguments: Any, **options: Any) -> None:
        """Connect; what was said on another connection cannot be truncated on this one."""
        self._sounds.clear()
        self._truncated.clear()
        await super().start(*arguments, **options)

    async def add(self, messages: Sequence[Any]) -> None:
        """Have the service take more of the history. It answers nothing: that takes a ``response.create``.

        Args:
            messages: What was said since the connection was opened.

        Raises:
            Exception: The connection is lost. What the service refuses, ``receive`` raises.
        """
        self._adding = True
        try:
            await self._add_conversation_history(cast("Messages", messages))
        finally:
            self._adding = False

    async def _send_event(self, event: dict[str, Any]) -> None:
        await super()._send_event({**event, "event_id": f"{ADDITION}{uuid.uuid4().hex}"} if self._adding else event)

    async def truncate(self, unplayed: float) -> None:
        """Have the service forget the end of what it said.

        Args:
            unplayed: Seconds of it that were not heard.
        """
        self._truncated, self._sounds = self._sounds, deque(maxlen=SOUNDS)
        await self.truncate_more(unplayed)

    async def truncate_more(self, unplayed: float) -> None:
        """Have the service forget more of what was truncated last.

        Args:
            unplayed: Seconds of what is left of it that were not heard.
        """
        for sound in reversed(self._truncated):
            if unplayed <= 0:
                return
            lost = min(sound.seconds, unplayed)
            sound.seconds -= lost
            unplayed -= lost
            if lost:
                await self._send_event(
                    {
                        "type": "conversation.item.truncate",
                        "item_id": sound.item_id,
                        "content_index": sound.content_index,
                        "audio_end_ms": int(milliseconds(sound.seconds)),
                    }
                )

    def _convert_openai_event(self, openai_event: dict[str, Any], state: Any = None) -> Any:
        kind = openai_event.get("type")
        if kind == "error":
            error = openai_event.get("error") or {}
            if str(error.get("event_id") or "").startswith(ADDITION):
                raise AdditionRefused(error.get("code") or error.get("type") or "error", "addition")
            _hear(error.get("code"), error.get("type"), str(error.get("param") or ""))
        if kind == "response.output_audio.delta":
            self._sounded(openai_event)
        events = super()._convert_openai_event(openai_event, state)
        if kind == "input_audio_buffer.speech_started":
            return [SpeechBegan(), *(events or [])]
        if kind == "response.done":
            return [*(events or []), *_failure(openai_event.get("response") or {})]
        return events

    def _sounded(self, delta: dict[str, Any]) -> None:
        where = delta["item_id"], delta["content_index"]
        if not self._sounds or (self._sounds[-1].item_id, self._sounds[-1].content_index) != where:
            self._sounds.append(_Sound(*where))
        self._sounds[-1].seconds += len(base64.b64decode(delta["delta"])) / 2 / RATE


def _hear(code: str | None, kind: str | None, parameter: str) -> None:
    """Raise what ends or spoils the session; a refused item or audio chunk alone does neither.

    Raises:
        ConnectionTimeoutError: The session is over; another one goes on with the history.
        Refusal: The configuration was refused: without it the agent would have neither its tools nor its prompt.
    """
    if code == EXPIRED:
        raise ConnectionTimeoutError("the session has reached its longest duration")
    if parameter.startswith("session") or kind in {"authentication_error", "insufficient_quota"}:
        raise ProviderRefusal(code or kind or "error", parameter)


def _failure(response: dict[str, Any]) -> list[ProviderRefusal]:
    """A response that failed or was filtered, as a trouble for the wrapper to report; the conversation goes on.

    Source for what a filtered one looks like: ``openai/types/realtime/realtime_response_status.py`` of OpenAI's client.
    """
    details = response.get("status_details") or {}
    if response.get("status") == "incomplete" and details.get("reason") == "content_filter":
        return [ProviderRefusal("content_filter", "response")]
    if response.get("status") != "failed":
        return []
    error = details.get("error") or {}
    return [ProviderRefusal(error.get("code") or error.get("type") or "server_error", "response")]


def make(settings: Settings) -> OpenAIRealtimeModel:
    """Make the model, with transcripts of the user."""
    realtime.OPENAI_REALTIME_URL = settings.endpoint or URL
    options: dict[str, Any] = {"transcription_model_id": DEFAULT_TRANSCRIPTION_MODEL, **settings.options}
    if settings.voice:
        options["voice"] = settings.voice
    return ListeningRealtimeModel(model_id=settings.model_id, api_key=settings.api_key, **options)
