"""The sound of a question: for a real model words, for the offline model its tones.

``question.wav`` says "What is the capital of France?"; it was synthesized by eSpeak NG 1.52, PCM16 mono at 16 kHz.
"""

from __future__ import annotations

import wave
from pathlib import Path
from typing import Final

QUESTION: Final = "What is the capital of France?"
RECORDING: Final = Path(__file__).with_name("question.wav")
PIECE_SECONDS: Final = 0.1


def question(rate: int, *, offline: bool, recording: Path = RECORDING) -> bytes:
    """A question as PCM16 mono.

    Args:
        rate: Samples a second.
        offline: True for the offline model, which hears tones only (``segue.testing.offline.tones``).
        recording: A WAV file of PCM16 mono for the others.

    Raises:
        ValueError: The recording is not PCM16 mono.
    """
    if offline:
        from segue.testing.offline import speak  # imports Strands

        return speak(QUESTION, rate)
    with wave.open(str(recording)) as file:
        if (file.getnchannels(), file.getsampwidth()) != (1, 2):
            raise ValueError(f"{recording}: needed is PCM16 mono")
        return resampled(file.readframes(file.getnframes()), file.getframerate(), rate)


def resampled(pcm: bytes, rate: int, target_rate: int) -> bytes:
    """PCM16 mono at another rate."""
    if rate == target_rate:
        return pcm
    import numpy as np  # with soxr a quarter of a second, which other steps need not wait for
    import soxr  # type: ignore[import-untyped]  # it has neither stubs nor a marker

    resampled_pcm: bytes = soxr.resample(np.frombuffer(pcm, dtype="<i2"), rate, target_rate).astype("<i2").tobytes()
    return resampled_pcm


def pieces(pcm: bytes, rate: int) -> list[bytes]:
    """Pieces of a tenth of a second, the last one filled up with silence."""
    size = 2 * int(rate * PIECE_SECONDS)
    return [pcm[at : at + size].ljust(size, b"\0") for at in range(0, len(pcm), size)]
