"""Events of OpenAI Realtime's client that are in use, from its API reference, unknown fields forbidden."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct


class _Strict(Struct, forbid_unknown_fields=True, kw_only=True):
    pass


class Format(_Strict):
    type: Literal["audio/pcm"]
    rate: Literal[24000]


class TurnDetection(_Strict):
    type: Literal["server_vad", "semantic_vad"]
    threshold: float = 0.5
    prefix_padding_ms: int = 300
    silence_duration_ms: int = 500
    idle_timeout_ms: int | None = None
    create_response: bool = True
    interrupt_response: bool = True


class Transcription(_Strict):
    model: str
    language: str | None = None
    prompt: str | None = None


class AudioIn(_Strict):
    format: Format
    turn_detection: TurnDetection | None = None
    transcription: Transcription | None = None
    noise_reduction: dict[str, Any] | None = None


class AudioOut(_Strict):
    format: Format
    voice: str = "alloy"
    speed: float = 1.0


class Audio(_Strict):
    input: AudioIn
    output: AudioOut


class FunctionTool(_Strict):
    type: Literal["function"]
    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    description: str
    parameters: dict[str, Any]


class Session(_Strict):
    type: Literal["realtime"]
    instructions: str
    output_modalities: list[Literal["audio", "text"]]
    audio: Audio
    tools: list[FunctionTool] = msgspec.field(default_factory=list)
    tool_choice: str = "auto"
    max_output_tokens: int | Literal["inf"] = "inf"


class SessionUpdate(_Strict, tag_field="type", tag="session.update"):
    session: Session
    event_id: str | None = None


class Part(_Strict):
    type: Literal["input_text", "output_text", "input_image"]
    text: str | None = None
    image_url: str | None = None


class MessageItem(_Strict, tag_field="type", tag="message"):
    role: Literal["user", "assistant", "system"]
    content: Annotated[list[Part], Meta(min_length=1)]
    id: Annotated[str, Meta(max_length=32)] | None = None


class FunctionCallItem(_Strict, tag_field="type", tag="function_call"):
    call_id: Annotated[str, Meta(max_length=32)]
    name: str
    arguments: str
    id: Annotated[str, Meta(max_length=32)] | None = None


class FunctionOutputItem(_Strict, tag_field="type", tag="function_call_output"):
    call_id: Annotated[str, Meta(max_length=32)]
    output: str
    id: Annotated[str, Meta(max_length=32)] | None = None


class ItemCreate(_Strict, tag_field="type", tag="conversation.item.create"):
    item: MessageItem | FunctionCallItem | FunctionOutputItem
    previous_item_id: str | None = None
    event_id: str | None = None


class AudioAppend(_Strict, tag_field="type", tag="input_audio_buffer.append"):
    audio: Annotated[str, Meta(min_length=1, max_length=15 * 1024 * 1024)]
    event_id: str | None = None


class ResponseCreate(_Strict, tag_field="type", tag="response.create"):
    event_id: str | None = None


class ItemTruncate(_Strict, tag_field="type", tag="conversation.item.truncate"):
    item_id: str
    content_index: Literal[0]
    audio_end_ms: Annotated[int, Meta(ge=0)]
    event_id: str | None = None


ClientEvent = SessionUpdate | ItemCreate | ItemTruncate | AudioAppend | ResponseCreate
