"""Audio that the model was given and that no transcript has answered yet.

    given ─▶ [quiet][quiet][loud][loud][quiet] ─┬─ a user's transcript is recorded ─▶ all of it is answered
                                                ├─ the model's connection restarts ──▶ all of it is given again
                                                └─ time passes: what is quiet and has nothing loud before it for 3 s,
                                                   all after 10 s without anything loud, and all that is 30 s old
                                                              ─────────▶ settled: no transcript of it is expected

Clients keep audio until it is acknowledged, and a successor is given again what they keep. So an open microphone in a
silent room must not fill them, and words that are still being spoken must not be forgotten.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from segue.wire.audio import is_loud
from segue.wire.frames import AudioInput
from segue.wire.memory import kept_bytes

SILENCE_SECONDS: Final = 3.0
"""Seconds for which silence is kept; after them it is settled. Providers want a little silence before the first word,
and transcribe speech within a second or two of its end. The audio that follows it counts like time on the clock: a
successor is given at once what its predecessor received over seconds."""

ENDED_SECONDS: Final = 10.0
"""Seconds for which loud audio is kept after its end; after them it is settled. A cough, a door, or the last tenth of a
word that was transcribed already never gets a transcript."""

UNANSWERED_SECONDS: Final = 30.0
"""Seconds for which any audio is kept; after them it is settled. No caller speaks for longer without a transcript, and
more would take too long to repeat."""

UNANSWERED_BYTES: Final = 8 * 1024 * 1024
"""Bytes that are kept at most, as they came: two minutes of one voice. More comes only from clients that send faster
than people speak, or from very many at once; then the oldest is settled."""

_ROUNDING_SECONDS: Final = 1e-6
"""Seconds that sums of frames may be off: thirty frames of 0.1 s must not count as more than three seconds."""


class GivenAudio(Struct, frozen=True):
    """One frame that the model was given.

    Attributes:
        client_id: Who said it.
        frame: What.
        at: When, on the event loop's clock.
        loud: Whether it may contain speech.
        seconds: How long it is.
    """

    client_id: str
    frame: AudioInput
    at: float
    loud: bool
    seconds: float


class UnansweredAudio:
    """Unanswered audio of one conversation, in the order in which it was given."""

    def __init__(self) -> None:
        """Begin with none."""
        self._kept: deque[GivenAudio] = deque()
        self._bytes = 0
        self._crowded_out: list[tuple[str, int | None]] = []

    def add(self, client_id: str, frame: AudioInput, now: float, seconds: float, pcm: bytes | None = None) -> None:
        """Keep a frame that was given just now, on the event loop's clock, and lasts for so many seconds.

        Args:
            client_id: Who said it.
            frame: What.
            now: When.
            seconds: How long it is.
            pcm: Its samples, where they are decoded already.
        """
        loud = is_loud(frame.pcm if pcm is None else pcm)
        self._kept.append(GivenAudio(client_id, frame, now, loud, seconds))
        self._bytes += kept_bytes(frame)
        while self._bytes > UNANSWERED_BYTES:
            oldest = self._kept.popleft()
            self._bytes -= kept_bytes(oldest.frame)
            self._crowded_out.append((oldest.client_id, oldest.frame.seq))

    def answered(self) -> dict[str, list[int]]:
        """Forget all of it, because a transcript was recorded; returns the numbers by client, who said most first."""
        answered = _numbers(_with_seqs(self._kept))
        self._clear()
        return dict(sorted(answered.items(), key=lambda one: -len(one[1])))

    def settled(self, now: float) -> dict[str, list[int]]:
        """Forget audio of which no transcript is expected any more; returns the numbers by client."""
        speaking: set[str] = set()
        settled: list[GivenAudio] = []
        kept: deque[GivenAudio] = deque()
        following: defaultdict[str, float] = defaultdict(float)  # seconds of a client's audio after the present frame
        loud_at: dict[str, float] = {}  # when a client was last loud
        for given in self._kept:
            following[given.client_id] += given.seconds
            if given.loud:
                loud_at[given.client_id] = given.at
        for given in self._kept:
            client_id, age = given.client_id, now - given.at
            following[client_id] -= given.seconds
            if given.loud and age <= UNANSWERED_SECONDS and now - loud_at[client_id] <= ENDED_SECONDS:
                speaking.add(client_id)
            long_ago = max(age, following[client_id]) > SILENCE_SECONDS + _ROUNDING_SECONDS
            silence = long_ago and client_id not in speaking
            (settled if silence or age > UNANSWERED_SECONDS else kept).append(given)
        self._kept = kept
        self._bytes -= sum(kept_bytes(given.frame) for given in settled)
        crowded_out, self._crowded_out = self._crowded_out, []
        return _numbers([*crowded_out, *_with_seqs(settled)])

    def take_audio(self) -> list[GivenAudio]:
        """Take all of it, to be given to a new connection."""
        again = list(self._kept)
        self._clear()
        return again

    def _clear(self) -> None:
        self._kept.clear()
        self._bytes = 0


def _with_seqs(given: Iterable[GivenAudio]) -> Iterable[tuple[str, int | None]]:
    return ((one.client_id, one.frame.seq) for one in given)


def _numbers(spoken: Iterable[tuple[str, int | None]]) -> dict[str, list[int]]:
    numbers: dict[str, list[int]] = {}
    for client_id, seq in spoken:
        if seq is not None:
            numbers.setdefault(client_id, []).append(seq)
    return numbers
