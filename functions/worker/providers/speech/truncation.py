"""The part of an answer that was heard before a barge-in.

Providers speak faster than real time: most of an answer has been recorded long before it is heard. So a barge-in
corrects the record, to what the provider says was spoken, or else to the words that came before the sound that has
been played by then:

    answer   [1, ][2, ][3, ][4, ][5, ][6. ]   words and sound as they came; the record has them all
    told     ├─────────┤                      what the provider says was spoken, where it does
    played   ├──────────────┤                 if a client has played everything as soon as it came
    heard    [1, ][2, ]                       "told" if there is any, else the words that began within "played"

``played`` is the most that can have been heard: clients hear everything a little later than it is sent. A client that
says how much it really was corrects once more, to less (``shorten``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from strands.bidi.types.events import (
    BidiAudioDeltaEvent,
    BidiBargeInEvent,
    BidiTranscriptDeltaEvent,
    BidiTranscriptStartEvent,
)
from strands.types.events import TypedEvent

NOTHING: Final = "…"
"""Stands for an answer of which no word was heard: providers refuse a blank text in a history."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """The provider's own account: these words of its answer have been spoken."""

    text: str


@dataclass(frozen=True, slots=True)
class SpeechBegan:
    """Event: a caller begins to speak, and the provider does not say whether an answer is still being played."""


def milliseconds(seconds: float) -> float:
    """Return the milliseconds of a span of sound, to a billionth of a second.

    Spans are differences of sums of floats: 100 ms of them may be a little less, and a provider that counts an answer
    from its own beginning would take the words there for not heard, or would be told of a millisecond too few.
    """
    return round(seconds * 1000, 6)


class AnswerCut(TypedEvent):
    """Event: less of an answer was heard than its message says."""

    def __init__(self, recorded: str, heard: str, alike: int = 0) -> None:
        """Name the answer and its heard part.

        Args:
            recorded: The text of the message.
            heard: What of it was heard.
            alike: How many answers after it have a message with the same text.
        """
        super().__init__({"type": "segue_answer_cut", "recorded": recorded, "heard": heard, "alike": alike})

    @property
    def recorded(self) -> str:
        """The text of the message."""
        return str(self["recorded"])

    @property
    def heard(self) -> str:
        """The part of it that was heard."""
        return str(self["heard"])

    @property
    def alike(self) -> int:
        """The number of answers after it whose message has the same text."""
        return int(self["alike"])


@dataclass(slots=True, eq=False)
class _Answer:
    """One answer of the model.

    Attributes:
        begins: Seconds of sound before it.
        ends: Seconds of sound up to its end.
        text: Its words.
        begun: For each piece of the text the seconds of sound that came before it, and where in the text it ends.
        told: Where in the text the provider's own account ends, 0 without one.
        recorded: What its message says since it was corrected.
    """

    begins: float
    ends: float
    text: str = ""
    begun: list[tuple[float, int]] = field(default_factory=list)
    told: int = 0
    recorded: str | None = None

    def heard(self, played: float) -> str:
        # Providers are told of whole milliseconds of an answer, and keep the words that begin before: the same words.
        whole = int(milliseconds(played - self.begins))
        sounded = (end for at, end in self.begun if milliseconds(at - self.begins) < whole)
        end = self.told or max(sounded, default=0)
        return self.text[:end] or NOTHING

    def says(self, text: str) -> bool:
        return bool(self.text) and text == (self.text if self.recorded is None else self.recorded)

    def cut(self, played: float, later: list[_Answer]) -> Iterator[AnswerCut]:
        recorded = self.text if self.recorded is None else self.recorded
        self.recorded = self.heard(played)
        if self.text and self.recorded != recorded:
            yield AnswerCut(recorded, self.recorded, sum(one.says(recorded) for one in later))


@dataclass(slots=True)
class _Interrupted:
    """The answers that were being played at the last barge-in.

    Attributes:
        answers: In order.
        sound: Seconds of sound that count as played.
        dropped: Seconds after it that do not.
        over: Whether there was sound again since.
    """

    answers: list[_Answer] = field(default_factory=list)
    sound: float = 0.0
    dropped: float = 0.0
    over: bool = False


class AnswerPlayback:
    """Playback of one conversation's answers, as they are passed on to the agent.

    It outlives connections: an answer of one may still be playing when the next hears the barge-in.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        """Begin in silence.

        Args:
            now: Seconds on a clock that only goes forward.
        """
        self._now = now
        self._sound = 0.0
        self._silent_at = 0.0
        self._answers: list[_Answer] = []
        self._dropped = 0.0  # since the last sound that came
        self._interrupted = _Interrupted(over=True)

    @property
    def unplayed(self) -> float:
        """Seconds of sound that came and cannot have been played yet."""
        return max(0.0, self._silent_at - self._now())

    def drop_unplayed(self) -> float:
        """Drop what was not played; returns its seconds."""
        unplayed = self.unplayed
        self._sound -= unplayed
        self._dropped += unplayed
        self._silent_at = self._now()
        return unplayed

    def pass_event(self, event: Any) -> Iterator[Any]:
        """Yield what to pass on instead of an event: the event itself, and corrections after a barge-in."""
        match event:
            case Spoken():
                yield from self._told(event.text)
                return
            case BidiAudioDeltaEvent():
                self._sounded((len(event.audio) * 3 // 4 - event.audio.count("=")) / 2 / event.sample_rate)
            case BidiTranscriptStartEvent(role="assistant"):
                played = self._played
                self._answers = [one for one in self._answers if one.recorded is None and one.ends > played]
                self._answers.append(_Answer(self._sound, self._sound))
            case BidiTranscriptDeltaEvent(role="assistant") if self._answers:
                answer = self._answers[-1]
                answer.text += event.delta
                answer.begun.append((self._sound, len(answer.text)))
            case _:
                pass
        yield event
        if isinstance(event, BidiBargeInEvent):
            yield from self._cut()

    def shorten(self, unplayed: float) -> tuple[list[AnswerCut], float]:
        """Correct the answers that the last barge-in cut once more, if less of them was played than was taken to be.

        Args:
            unplayed: Seconds of what had come by then that were not played.

        Returns:
            The corrections, and by how many seconds that is less.
        """
        cut = self._interrupted
        less = unplayed - cut.dropped
        if less <= 0:
            return [], 0.0
        played = cut.sound - less
        later = [*cut.answers, *(one for one in self._answers if one not in cut.answers)]
        cuts: list[AnswerCut] = []
        for number, answer in enumerate(cut.answers, 1):
            if answer.ends > played or answer is cut.answers[-1]:
                cuts += answer.cut(played, later[number:])
        cut.sound, cut.dropped = played, unplayed
        return cuts, less

    @property
    def _played(self) -> float:
        return self._sound - self.unplayed

    def _sounded(self, seconds: float) -> None:
        self._sound += seconds
        self._dropped, self._interrupted.over = 0.0, True
        self._silent_at = max(self._silent_at, self._now()) + seconds
        if self._answers:
            self._answers[-1].ends = self._sound

    def _cut(self) -> Iterator[AnswerCut]:
        self.drop_unplayed()
        if self._interrupted.over:  # else told of twice: by the caller's speech, and by the response that it cut off
            self._interrupted = _Interrupted(list(self._answers), self._sound, self._dropped)
        for number, answer in enumerate(self._answers, 1):
            # The newest also if all its sound was played: its words may go beyond that.
            if answer.recorded is None and (answer.ends > self._sound or answer is self._answers[-1]):
                yield from answer.cut(self._sound, self._answers[number:])

    def _told(self, text: str) -> Iterator[AnswerCut]:
        words = text.split()
        if not words:
            return
        pattern = re.compile(r"\s*".join(map(re.escape, words)))
        for number, answer in enumerate(self._answers, 1):
            if (found := pattern.search(answer.text, answer.told)) is not None:
                answer.told = found.end()
                if answer.recorded is not None:
                    yield from answer.cut(self._played, self._answers[number:])
                return
