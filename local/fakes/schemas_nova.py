"""Events of Nova Sonic's client that are in use, from AWS's user guide, unknown fields forbidden."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct


class _Strict(Struct, forbid_unknown_fields=True, kw_only=True, rename="camel"):
    pass


class Inference(_Strict):
    max_tokens: int = 1024
    top_p: float = 0.9
    temperature: float = 0.7


class SessionStart(_Strict):
    inference_configuration: Inference | None = None
    turn_detection_configuration: dict[str, Any] | None = None


class MediaType(_Strict):
    media_type: Literal["text/plain", "application/json"]


class AudioFormat(_Strict):
    media_type: Literal["audio/lpcm"]
    sample_rate_hertz: Literal[8000, 16000, 24000]
    sample_size_bits: Literal[16]
    channel_count: Literal[1]
    encoding: Literal["base64"]
    audio_type: Literal["SPEECH"]
    voice_id: str | None = None


class Schema(_Strict):
    json: str


class ToolSpec(_Strict):
    name: str
    description: str
    input_schema: Schema


class Tool(_Strict):
    tool_spec: ToolSpec


class ToolConfiguration(_Strict):
    tools: Annotated[list[Tool], Meta(min_length=1)]
    tool_choice: dict[str, Any] | None = None


class PromptStart(_Strict):
    prompt_name: str
    text_output_configuration: MediaType
    audio_output_configuration: AudioFormat
    tool_use_output_configuration: MediaType | None = None
    tool_configuration: ToolConfiguration | None = None


class ToolResultInput(_Strict):
    tool_use_id: str
    type: Literal["TEXT"]
    text_input_configuration: MediaType


class ContentStart(_Strict):
    prompt_name: str
    content_name: str
    type: Literal["TEXT", "AUDIO", "TOOL"]
    role: Literal["SYSTEM", "USER", "ASSISTANT", "TOOL"]
    interactive: bool
    text_input_configuration: MediaType | None = None
    audio_input_configuration: AudioFormat | None = None
    tool_result_input_configuration: ToolResultInput | None = None


class Content(_Strict):
    prompt_name: str
    content_name: str
    content: str


class ContentEnd(_Strict):
    prompt_name: str
    content_name: str


class PromptEnd(_Strict):
    prompt_name: str


class SessionEnd(_Strict):
    pass


class Event(_Strict):
    """An event with one of these fields, as the service's union has it."""

    session_start: SessionStart | None = None
    prompt_start: PromptStart | None = None
    content_start: ContentStart | None = None
    text_input: Content | None = None
    audio_input: Content | None = None
    tool_result: Content | None = None
    content_end: ContentEnd | None = None
    prompt_end: PromptEnd | None = None
    session_end: SessionEnd | None = None


class Envelope(_Strict):
    event: Event


class Chunk(_Strict):
    """The payload of an event-stream message."""

    bytes: str
