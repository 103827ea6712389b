"""The unheard part of interrupted answers: the agent corrects its record, and providers that remember are told.

barge-in ─▶ truncate           the provider forgets what was generated and not played
client's account, later ─▶ truncate_more, and corrections among the events, in their order
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from strands.bidi.models import BidiModel
from strands.bidi.types.events import BidiBargeInEvent

from worker.providers.speech.truncation import AnswerCut, AnswerPlayback


class UnheardAnswers:
    """Parts of one conversation's answers that were not heard.

    Attributes:
        playback: The answers as they are played.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        """Begin in silence.

        Args:
            now: Seconds on a clock that only goes forward.
        """
        self.playback = AnswerPlayback(now)
        self._shortened: deque[tuple[list[AnswerCut], float]] = deque()

    @property
    def playing(self) -> bool:
        """True while an answer came that cannot have been played to its end yet."""
        return self.playback.unplayed > 0

    def shorten(self, unplayed: float) -> None:
        """Shorten what the last barge-in cut once more, if less was played than was taken to be.

        Args:
            unplayed: Seconds of what had come by then that no client has played.
        """
        cuts, less = self.playback.shorten(unplayed)
        if less:
            self._shortened.append((cuts, less))

    async def corrections(self, inner: BidiModel) -> list[AnswerCut]:
        """Take the corrections that wait, and tell a provider that remembers."""
        cuts: list[AnswerCut] = []
        while self._shortened:
            waiting, less = self._shortened.popleft()
            cuts += waiting
            if (truncate_more := getattr(inner, "truncate_more", None)) is not None:
                with contextlib.suppress(Exception):  # of a connection that is lost: its stream ends, too
                    await truncate_more(less)
        return cuts

    async def truncate_answer(self, inner: BidiModel, event: Any) -> None:
        """Tell a provider that remembers what it generated how much was not heard before a barge-in."""
        truncate = getattr(inner, "truncate", None)
        if truncate is not None and isinstance(event, BidiBargeInEvent):
            with contextlib.suppress(Exception):  # as above
                await truncate(self.playback.drop_unplayed())

    def pass_event(self, event: Any) -> Iterator[Any]:
        """Yield what to pass on instead of an event: the event itself, and corrections after a barge-in."""
        return self.playback.pass_event(event)
