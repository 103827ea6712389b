"""Audio between two sample rates, as a stream: what is cut into pieces sounds as if it never was.

The resampler is imported only where two rates differ: it brings 50 MB of numpy with it, which the functions that take
text turns do not have.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any, Final

from strands.bidi.types import AudioDelta
from strands.bidi.types.events import BidiAudioDeltaEvent, BidiAudioStopEvent, BidiBargeInEvent

QUALITY: Final = "HQ"
"""soxr's own recommendation for 16-bit audio; delays speech by some 10 ms."""

SAMPLE_BYTES: Final = 2
"""Bytes of one sample of PCM16."""


class Resampler:
    """Converter of PCM16 mono audio from one rate to another, piece by piece.

    The filter's state goes from piece to piece, so there is no click where they meet; what is too loud for 16 bits
    after the filter stays at the loudest value instead of wrapping around.
    """

    def __init__(self, source: int, target: int) -> None:
        """Start with silence before the first sample.

        Args:
            source: Samples a second of what is given.
            target: Samples a second of what is returned.
        """
        self._rates = source, target
        self._half_sample = b""
        self._stream = self._new()

    @property
    def idle(self) -> bool:
        """True if both rates are the same, and audio passes unchanged."""
        return self._stream is None

    def convert(self, pcm: bytes) -> bytes:
        """Convert a piece. The filter keeps some milliseconds for the next piece.

        Args:
            pcm: Little-endian samples; may end in the middle of one.
        """
        if self._stream is None:
            return pcm
        pcm = self._half_sample + pcm
        whole = len(pcm) - len(pcm) % SAMPLE_BYTES
        self._half_sample = pcm[whole:]
        return self._resample(pcm[:whole])

    def finish(self) -> bytes:
        """Return what the filter has kept, and start anew."""
        if self._stream is None:
            return b""
        rest = self._resample(b"", last=True)
        self.drop_filter()
        return rest

    def drop_filter(self) -> None:
        """Start anew without the filter's rest: after a barge-in it must not be heard."""
        self._half_sample = b""
        self._stream = self._new()

    def _resample(self, pcm: bytes, *, last: bool = False) -> bytes:
        import numpy as np  # see above

        samples = self._stream.resample_chunk(np.frombuffer(pcm, dtype="<i2"), last=last)
        return bytes(samples.astype("<i2").tobytes())

    def _new(self) -> Any:
        source, target = self._rates
        if source == target:
            return None
        import soxr  # type: ignore[import-untyped]  # it has neither stubs nor a marker

        return soxr.ResampleStream(source, target, 1, dtype="int16", quality=QUALITY)


class ClientProviderResampler:
    """Resampling of one conversation's audio, both ways between clients and provider."""

    def __init__(self, client: tuple[int, int], provider: tuple[int, int]) -> None:
        """Begin with silence.

        Args:
            client: Samples a second that clients send and are sent.
            provider: Samples a second that the provider hears and speaks.
        """
        self._to_provider = Resampler(client[0], provider[0])
        self._to_client = Resampler(provider[1], client[1])
        self._rate = client[1]
        self._last_event: BidiAudioDeltaEvent | None = None

    def reset(self) -> None:
        """Begin anew with another connection."""
        self._to_provider.drop_filter()
        self._to_client.drop_filter()

    def to_provider(self, audio: AudioDelta) -> AudioDelta | None:
        """Convert what a client says; None while the filter keeps it all."""
        pcm = self._to_provider.convert(audio.source.get("bytes") or b"")
        return AudioDelta(format="pcm", source={"bytes": pcm}) if pcm else None

    def to_client(self, event: Any) -> Iterator[Any]:
        """Yield a provider's event with its audio converted."""
        match event:
            case BidiAudioDeltaEvent() if not self._to_client.idle:
                self._last_event = event
                yield from self._spoken_as(event, self._to_client.convert(base64.b64decode(event.audio)))
                return
            case BidiAudioStopEvent() if self._last_event is not None:
                yield from self._spoken_as(self._last_event, self._to_client.finish())
                self._last_event = None
            case BidiBargeInEvent():
                self._to_client.drop_filter()
                self._last_event = None
            case _:
                pass
        yield event

    def _spoken_as(self, event: BidiAudioDeltaEvent, pcm: bytes) -> Iterator[BidiAudioDeltaEvent]:
        if pcm:
            audio = base64.b64encode(pcm).decode("ascii")
            yield BidiAudioDeltaEvent(audio, event.format, self._rate, event.channels, event.content_id)
