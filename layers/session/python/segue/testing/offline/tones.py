"""A stand-in for speech: text as a melody, and an ear that reads it back.

For development and tests. Audio that carries its own words can be checked from end to end: what comes out of a
speaker is what the model said, letter by letter, or it shows that a piece of it was lost.

An utterance is a row of notes of 25 ms each, two for a byte of UTF-8 (20 bytes a second):

    G G C C | high nibble, low nibble, high nibble, ... | CRC-32 of the text, 8 notes | C C G G
    start   | the text                                  | checksum                    | stop

All notes belong to one harmonic series and one pentatonic scale: it sounds like a music box in a hurry.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass

from segue.testing.offline.tone_scale import (
    HIGH,
    LOW,
    NIBBLES,
    NOTES_PER_SECOND,
    START,
    little_endian,
    loudest,
    note_length,
    play,
    power,
    seal,
    unseal,
)

__all__ = ["BYTES_PER_SECOND", "Ear", "Heard", "speak", "words_in_time"]

BYTES_PER_SECOND = NOTES_PER_SECOND // 2

# How many windows without any tone, half a note apart (between utterances) or a note (within one), are silence.
_SILENT_HALVES = 6
_SILENT_NOTES = 3
_LONGEST_NOTES = 1 << 17  # 55 minutes: a broken sender must not fill the memory


@dataclass(frozen=True, slots=True)
class Heard:
    """One utterance that has ended.

    Attributes:
        text: What was said, or None if pieces of it were lost, doubled or out of order.
        begin: Where it began, in samples since the ear was made.
        end: How many samples had been listened to when it was over.
    """

    text: str | None
    begin: int
    end: int

    @property
    def garbled(self) -> bool:
        """True if the audio was damaged on its way."""
        return self.text is None


def speak(text: str, rate: int = 16000) -> bytes:
    """Turn text into audio.

    Args:
        text: What to say. Lone surrogates, which UTF-8 cannot carry, become question marks.
        rate: Samples a second, a multiple of 40 and at least 8000.

    Returns:
        PCM16 mono, little-endian: 0.4 s plus 50 ms a byte of UTF-8. Empty if the text is empty.

    Raises:
        ValueError: If the rate does not fit.
    """
    length = note_length(rate)
    payload = text.encode("utf-8", "replace")
    return little_endian(play(seal(payload), length)).tobytes() if payload else b""


def words_in_time(text: str) -> list[tuple[str, float]]:
    """Tell when each word of an utterance has been spoken.

    Args:
        text: What is said.

    Returns:
        The text in pieces, each a word with the white space before it, and the second, counted from the start of
        the audio, at which its last letter ends. The pieces joined are the text.
    """
    pieces: list[str] = []
    for index, letter in enumerate(text):
        if not pieces or (letter.isspace() and not text[index - 1].isspace()):
            pieces.append("")
        pieces[-1] += letter
    timed, spoken = [], 0
    for piece in pieces:
        spoken += len(piece.encode("utf-8", "replace"))
        timed.append((piece, len(START) / NOTES_PER_SECOND + spoken / BYTES_PER_SECOND))
    return timed


class Ear:
    """Detector of the utterances in a stream of audio.

    Attributes:
        hearing: Whether an utterance is under way. It becomes true a few notes in, and once it was true, that
            utterance is reported.
    """

    def __init__(self, rate: int = 16000) -> None:
        """Get ready to listen.

        Args:
            rate: Samples a second of the audio to come, a multiple of 40 and at least 8000.

        Raises:
            ValueError: If the rate does not fit.
        """
        self._length = note_length(rate)
        self._samples = array("h")
        self._half_sample = b""
        self._dropped = 0  # samples listened to and no longer kept
        self._at = 0  # where the next window begins, in self._samples
        self._notes: list[int] | None = None  # of the utterance under way, None between utterances
        self._silent = 0
        self._begin = 0
        self._stray = 0
        self._lows = self._highs = 0
        self.hearing = False

    def feed(self, pcm: bytes | bytearray | memoryview) -> list[Heard]:
        """Listen to the next piece of audio.

        Args:
            pcm: PCM16 mono, little-endian, cut anywhere (even within a sample).

        Returns:
            The utterances that ended in it, in order.
        """
        data = self._half_sample + bytes(pcm)
        whole = len(data) & ~1
        self._half_sample = data[whole:]
        piece = array("h")
        piece.frombytes(data[:whole])
        self._samples.extend(little_endian(piece))
        heard: list[Heard] = []
        # Twice a note more than a window: the search for the beat of an utterance looks ahead.
        while len(self._samples) - self._at >= 2 * self._length:
            ended = self._listen_between() if self._notes is None else self._listen_within(self._notes)
            if ended is not None:
                heard.append(ended)
        self._forget()
        return heard

    def finish(self) -> list[Heard]:
        """Listen to a moment of silence, which ends an utterance that lost its stop.

        Returns:
            The utterance that it ended, if one was under way.
        """
        return self.feed(bytes(2 * (_SILENT_NOTES + 4) * self._length))

    def _listen_between(self) -> Heard | None:
        """Take half a note, looking for the start of an utterance and for notes that lost theirs."""
        note = loudest(self._samples[self._at : self._at + self._length].tolist())
        ended = None
        if note == HIGH and self._lows >= 2:
            self._highs += 1
        elif note == LOW:
            self._lows, self._highs = self._lows + 1, 0
        else:
            self._lows = self._highs = 0
        if note in NIBBLES:
            self._stray_note()
        elif note is None:
            self._silent += 1
        if self._highs == 2:
            ended = self._end_stray()
            self._align_to_note()
        else:
            if note in (LOW, HIGH) or self._silent >= _SILENT_HALVES:
                ended = self._end_stray()
            self._at += self._length // 2
        return ended

    def _stray_note(self) -> None:
        if self._stray == 0:
            self._begin = self._dropped + self._at
        self._stray += 1
        self._silent = 0
        self.hearing = self.hearing or self._stray >= 4

    def _end_stray(self) -> Heard | None:
        hearing, self.hearing = self.hearing, False
        self._stray = self._silent = 0
        return Heard(None, self._begin, self._dropped + self._at + self._length) if hearing else None

    def _align_to_note(self) -> None:
        """Find the edge between the two notes of the start, to a thousandth of a second, and take the beat from it."""
        length = self._length
        first = max(self._at - length, length)
        best, edge = -1.0, first
        samples = self._samples[: self._at + 2 * length].tolist()
        for place in range(first, self._at + length, max(1, length // 25)):
            low = power(samples[place - length : place], LOW)
            high = power(samples[place : place + length], HIGH)
            if low + high > best:
                best, edge = low + high, place
        self._begin = self._dropped + max(0, edge - 2 * length)
        self._at = edge + 2 * length
        self._notes = []
        self._lows = self._highs = self._silent = 0

    def _listen_within(self, notes: list[int]) -> Heard | None:
        """Take one note of an utterance; its stop, another start, silence or too great a length end it."""
        note = loudest(self._samples[self._at : self._at + self._length].tolist())
        if note is None:
            self._silent += 1
        else:
            self._silent = 0
        if note in (LOW, HIGH) or self._silent >= _SILENT_NOTES or len(notes) >= _LONGEST_NOTES:
            return self._end(notes)
        notes.append(-1 if note is None else NIBBLES[note])
        self._at += self._length
        self.hearing = self.hearing or len(notes) - self._silent >= 2
        return None

    def _end(self, notes: list[int]) -> Heard | None:
        end = self._dropped + self._at + self._length
        # If this was another start, all of it must be seen again.
        self._at = max(self._at - self._length // 2, 0)
        self._notes, self._silent = None, 0
        hearing, self.hearing = self.hearing, False
        while notes and notes[-1] < 0:
            notes.pop()
        return Heard(unseal(notes), self._begin, end) if hearing else None

    def _forget(self) -> None:
        """Drop what was listened to, but for the two notes that the search for the beat looks back on."""
        keep = max(0, self._at - 3 * self._length)
        del self._samples[:keep]
        self._dropped += keep
        self._at -= keep
