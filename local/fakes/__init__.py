"""Providers on loopback: each speaks its real protocol to Strands' real model, and answers from a table.

fake         what all have in common: connections, what they were told, how they misbehave when asked to
mind         a conversation without a protocol: hears text and tones, answers as the offline model does
openai       OpenAI Realtime, a WebSocket
gemini       Gemini Live, a WebSocket over TLS
nova         Nova Sonic, an HTTP/2 event stream over TLS; nova_mind: a conversation on it
schemas_…    what each takes from its client, with unknown fields forbidden
"""

from __future__ import annotations

from local.fakes.fake import Fake
from local.fakes.gemini import FakeGemini
from local.fakes.nova import FakeNova
from local.fakes.openai import FakeOpenAI

FAKES: dict[str, type[Fake]] = {"nova-sonic": FakeNova, "openai-realtime": FakeOpenAI, "gemini-live": FakeGemini}
"""By what SEGUE_PROVIDER is set to."""

__all__ = ["FAKES", "Fake", "FakeGemini", "FakeNova", "FakeOpenAI"]
