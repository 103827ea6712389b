"""One response of the offline model: the events of a provider that speaks. For development and tests."""

from __future__ import annotations

import asyncio
import base64
import uuid
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from strands.bidi.types.events import (
    BidiAudioDeltaEvent,
    BidiAudioStartEvent,
    BidiAudioStopEvent,
    BidiResponseStartEvent,
    BidiResponseStopEvent,
    BidiTranscriptDeltaEvent,
    BidiTranscriptStartEvent,
    BidiTranscriptStopEvent,
    BidiUsageEvent,
)

from segue.testing.offline.output_queue import OutputQueue
from segue.testing.offline.tones import speak, words_in_time

CHUNK_SECONDS = 0.1
LEAD_SECONDS = 0.2
"""Audio is sent this much ahead of its time, so that a listener never runs dry between two pieces."""


@dataclass(frozen=True, slots=True)
class Voice:
    """The sound of the model's speech.

    Attributes:
        rate: Samples a second.
        pace: Seconds taken for a second of audio: 1.0 is real time, 0 as fast as it is read.
        sleep: Waits a number of seconds.
    """

    rate: int
    pace: float
    sleep: Callable[[float], Awaitable[object]]


class OfflineResponse:
    """Opened when made; then spoken, and closed once, whether all of it was said or not.

    Attributes:
        said: The words sent so far.
    """

    def __init__(self, outbox: OutputQueue, *, asked: str) -> None:
        """Open a response.

        Args:
            outbox: Where its events go.
            asked: The words that it answers, for the count of tokens.
        """
        self.said = ""
        self._id = uuid.uuid4().hex
        self._outbox = outbox
        self._asked = asked
        self._audio_open = False
        outbox.put(BidiResponseStartEvent(self._id))

    async def speak(self, text: str, voice: Voice) -> None:
        """Send audio, and each word once it has been spoken.

        Args:
            text: What to say.
            voice: How to say it.
        """
        pcm, words = speak(text, voice.rate), deque(words_in_time(text))
        chunk_bytes = 2 * int(voice.rate * CHUNK_SECONDS)
        begun = asyncio.get_running_loop().time()
        for number, offset in enumerate(range(0, len(pcm), chunk_bytes)):
            await self._wait_for(begun + (number * CHUNK_SECONDS - LEAD_SECONDS) * voice.pace, voice)
            await self._outbox.room()
            self._send_audio(pcm[offset : offset + chunk_bytes], voice.rate)
            until = (offset + chunk_bytes) / (2 * voice.rate)
            while words and words[0][1] <= until:
                self._send_word(words.popleft()[0])

    def close(self) -> None:
        """End the streams that are open, tell the usage and end the response."""
        if self._audio_open:
            self._outbox.put(BidiAudioStopEvent(f"{self._id}-audio"))
        if self.said:
            self._outbox.put(BidiTranscriptStopEvent("assistant", f"{self._id}-transcript"))
        heard, spoken = _tokens(self._asked), _tokens(self.said)
        self._outbox.put(BidiUsageEvent(heard, spoken, heard + spoken))
        self._outbox.put(BidiResponseStopEvent(self._id))

    @staticmethod
    async def _wait_for(due: float, voice: Voice) -> None:
        left = due - asyncio.get_running_loop().time()
        if voice.pace > 0 and left > 0:
            await voice.sleep(left)

    def _send_audio(self, pcm: bytes, rate: int) -> None:
        content_id = f"{self._id}-audio"
        if not self._audio_open:
            self._audio_open = True
            self._outbox.put(BidiAudioStartEvent(content_id))
        audio = base64.b64encode(pcm).decode()
        self._outbox.put(BidiAudioDeltaEvent(audio, "pcm", rate, 1, content_id))

    def _send_word(self, word: str) -> None:
        content_id = f"{self._id}-transcript"
        if not self.said:
            self._outbox.put(BidiTranscriptStartEvent("assistant", content_id))
        self.said += word
        self._outbox.put(BidiTranscriptDeltaEvent(word, "assistant", content_id))


def _tokens(text: str) -> int:
    return -(-len(text) // 4)
