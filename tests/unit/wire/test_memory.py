"""The estimated memory of a kept frame is the memory that it takes."""

from __future__ import annotations

import sys

import pytest

from segue.wire.frames import (
    AudioInput,
    AudioOutput,
    Error,
    ImageInput,
    InputAck,
    Ping,
    TextInput,
    TextOutput,
    Tool,
    Transcript,
)
from segue.wire.memory import kept_bytes


@pytest.mark.parametrize(
    ("frame", "content"),
    [
        (TextInput(text="x" * 30_000), 30_000),
        (TextInput(text="é" * 15_000), 15_000),
        (TextInput(text="x" * 30_000 + "👩"), 120_000),
        (TextOutput(text="€" * 10_000), 20_000),
        (Transcript(role="user", text="x" * 9_000, final=True), 9_000),
        (Error(code="internal", message="m" * 900, retryable=True), 900),
        (Tool(name="n" * 400, tool_use_id="t" * 400, status="started"), 800),
        (AudioInput.from_pcm(bytes(24_000)), 32_000),
        (AudioOutput(audio="A" * 32_000, rate=8000), 32_000),
        (ImageInput(image="A" * 30_000, media_type="image/png", part=1, parts=1), 30_000),
        (InputAck(upto=1, beyond=tuple(range(2**52, 2**52 + 300))), 300 * 16),
        (Ping(), 0),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, int) else str(value),
)
def test_the_content_counts_as_it_is_kept(frame, content):
    assert content <= kept_bytes(frame) <= content * 1.1 + 700
    assert kept_bytes(frame) >= sys.getsizeof(frame)
