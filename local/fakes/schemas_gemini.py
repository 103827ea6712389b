"""Messages of Gemini Live's client that are in use, from its API reference, unknown fields forbidden."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct


class _Strict(Struct, forbid_unknown_fields=True, kw_only=True, rename="camel", omit_defaults=True):
    pass


class Blob(_Strict):
    data: str
    mime_type: Annotated[str, Meta(pattern=r"^audio/pcm;rate=\d+$|^image/")]


class Part(_Strict):
    text: str | None = None
    inline_data: Blob | None = None


class Content(_Strict):
    parts: Annotated[list[Part], Meta(min_length=1)]
    role: Literal["user", "model"] | None = None


class FunctionDeclaration(_Strict):
    name: Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_.:-]{0,127}$")]
    description: str
    parameters: dict[str, Any] | None = None


class Tool(_Strict):
    function_declarations: list[FunctionDeclaration]


class PrebuiltVoice(_Strict):
    voice_name: str


class VoiceConfig(_Strict):
    prebuilt_voice_config: PrebuiltVoice


class SpeechConfig(_Strict):
    voice_config: VoiceConfig


class GenerationConfig(_Strict):
    response_modalities: list[Literal["AUDIO", "TEXT"]]
    speech_config: SpeechConfig | None = None
    temperature: float | None = None


class SessionResumption(_Strict):
    handle: str | None = None
    transparent: bool | None = None


class Compression(_Strict):
    sliding_window: dict[str, Any]
    trigger_tokens: str | None = None


class Transcription(_Strict):
    pass


class HistoryConfig(_Strict):
    initial_history_in_client_content: bool


class Setup(_Strict):
    model: Annotated[str, Meta(pattern=r"^models/")]
    generation_config: GenerationConfig
    system_instruction: Content | None = None
    tools: list[Tool] = []
    session_resumption: SessionResumption | None = None
    context_window_compression: Compression | None = None
    input_audio_transcription: Transcription | None = None
    output_audio_transcription: Transcription | None = None
    history_config: HistoryConfig | None = None


class ClientContent(_Strict):
    turns: list[Content]
    turn_complete: bool = False


class RealtimeInput(_Strict):
    audio: Blob | None = None
    audio_stream_end: bool | None = None


class FunctionResponse(_Strict):
    id: str
    name: str
    response: dict[str, Any]


class ToolResponse(_Strict):
    function_responses: Annotated[list[FunctionResponse], Meta(min_length=1)]


class ClientMessage(_Strict):
    """A message with one of these fields, as the API's union has it."""

    setup: Setup | None = None
    client_content: ClientContent | None = None
    realtime_input: RealtimeInput | None = None
    tool_response: ToolResponse | None = None
