"""Providers on loopback: each speaks its real protocol to Strands' real model, and answers from a table.

    conversation       a conversation without a protocol: hears text and tones, answers as the offline model does
    fake               what all have in common: connections, what they were told, how they misbehave when asked to
    certificate        a certificate for loopback
    event_stream       AWS's event-stream framing
    http2              HTTP/2 streams
    sockets            fakes whose protocol is a WebSocket's
    schemas_gemini     what Gemini Live takes from its client, with unknown fields forbidden
    schemas_nova       the same of Nova Sonic
    schemas_openai     the same of OpenAI Realtime
    nova_conversation  a conversation in Nova Sonic's events
    nova               Nova Sonic, an HTTP/2 event stream over TLS
    gemini             Gemini Live, a WebSocket over TLS
    openai             OpenAI Realtime, a WebSocket

Each module imports only modules that stand above it here.
"""

from __future__ import annotations

from local.fakes.fake import Fake
from local.fakes.gemini import FakeGemini
from local.fakes.nova import FakeNova
from local.fakes.openai import FakeOpenAI

FAKES: dict[str, type[Fake]] = {"nova-sonic": FakeNova, "openai-realtime": FakeOpenAI, "gemini-live": FakeGemini}
"""By what SEGUE_PROVIDER is set to."""

__all__ = ["FAKES", "Fake", "FakeGemini", "FakeNova", "FakeOpenAI"]
