"""Correction of the history after a barge-in: of the interrupted answer it keeps what was heard.

    barge_in ─▶ at once: what can have been played, see ``worker.providers.speech.truncation``
         │
         └─▶ clients' players stop ─▶ ack played ─▶ all have reported, or a second is over ─▶ shortened once more

Of several clients' reports the one counts that played furthest. Nothing waits for a report.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final

from msgspec import Struct
from strands.bidi import BidiAgent

from segue.wire.frames import OutputAck
from shared.conversation.messages import bidi_metadata, text_of
from worker.providers.speech.truncation import AnswerCut

REPORT_SECONDS: Final = 1.0
"""Seconds after a barge-in within which a client's report counts; later ones are ignored."""

KEPT_SOUNDS: Final = 4096
"""Frames of sound that are remembered of a client at most: more than wait to be played. An older one counts as the
oldest."""


class _Sound(Struct, frozen=True):
    """A frame of sound that a client was sent.

    Attributes:
        seq: Its number.
        at: Seconds of sound before it.
        seconds: How long it is.
    """

    seq: int
    at: float
    seconds: float


class SentSound:
    """The sound that was meant for one client: sent, with a number, or dropped, in the order in which it came."""

    def __init__(self) -> None:
        """Begin with none."""
        self._sent: deque[_Sound] = deque(maxlen=KEPT_SOUNDS)
        self._end = 0.0
        self._cut_at: float | None = None
        self._cut_seq: int | None = None

    def sent(self, seq: int, seconds: float) -> None:
        """Note a frame of sound as it is sent."""
        self._sent.append(_Sound(seq, self._end, seconds))
        self._end += seconds

    def dropped(self, seconds: float) -> None:
        """Note sound that is not sent any more."""
        self._end += seconds

    def cut(self) -> None:
        """Note a barge-in that is about to be sent, after all sound that waited was dropped."""
        self._cut_at, self._cut_seq = self._end, None

    def cut_sent(self, seq: int) -> None:
        """Note the number of the barge-in."""
        self._cut_seq = seq

    def forget_barge_in(self) -> None:
        """Forget the last barge-in, and the sound before it."""
        self._cut_at = self._cut_seq = None
        self._sent.clear()

    def unplayed(self, ack: OutputAck) -> float | None:
        """Return the seconds of sound before the last barge-in that a client has not played.

        None if it does not say, or said so before it knew of the barge-in.
        """
        played = ack.played
        if played is None or self._cut_at is None or self._cut_seq is None or ack.seq < self._cut_seq:
            return None
        if played.seq > self._cut_seq:
            return 0.0  # of what came after it
        position = self._sent[0].at if self._sent else self._cut_at
        for sound in self._sent:
            if sound.seq > played.seq:
                break
            heard = played.ms / 1000 if sound.seq == played.seq else sound.seconds
            position = sound.at + min(heard, sound.seconds)
        return max(0.0, self._cut_at - position)


class PlayedReports:
    """Clients' reports after a barge-in."""

    def __init__(self, shorten: Callable[[float], None]) -> None:
        """Wait for a barge-in.

        Args:
            shorten: Told the seconds before the barge-in that no client has played.
        """
        self._shorten = shorten
        self._missing: set[str] = set()
        self._unplayed: list[float] = []
        self._deadline: asyncio.TimerHandle | None = None

    def expect_reports(self, client_ids: Iterable[str]) -> None:
        """Expect reports of these clients for a second."""
        self.use_reports()
        self._missing = set(client_ids)
        self._deadline = asyncio.get_running_loop().call_later(REPORT_SECONDS, self.use_reports)

    def take_report(self, client_id: str, unplayed: float) -> None:
        """Take a client's report, if one is expected."""
        if client_id in self._missing:
            self._missing.discard(client_id)
            self._unplayed.append(unplayed)
            if not self._missing:
                self.use_reports()

    def use_reports(self) -> None:
        """Expect no more reports, and use those that have come."""
        if self._deadline is not None:
            self._deadline.cancel()
        unplayed = min(self._unplayed, default=0.0)
        self.discard_reports()
        if unplayed:
            self._shorten(unplayed)

    def discard_reports(self) -> None:
        """Use none of them."""
        if self._deadline is not None:
            self._deadline.cancel()
        self._missing, self._unplayed, self._deadline = set(), [], None


def cut_message(agent: BidiAgent, cut: AnswerCut) -> Any | None:
    """Find the message of an answer that was cut; None if it is not in the history any more.

    Several answers may have the same transcript, above all those of which nothing was heard. ``cut.alike`` is how many
    such answers came after this one: so many are skipped from the end of the history, or as many as it has.
    """
    alike = [one for one in agent.messages if _is_transcript(one, cut.recorded)][-1 - cut.alike :]
    return alike[0] if alike else None


async def correct(agent: BidiAgent, message: Any, heard: str, replaces: int | None) -> None:
    """Put what was heard of an answer in the place of its transcript.

    It goes the way of every transcript that Strands' loop completes: in its place, under its id, past the hooks, so
    that the session manager records it. The message names the record that it replaces, so that a worker that sends it
    to a client again can name it, too.

    Args:
        agent: Whose history it is.
        message: The answer's.
        heard: What was heard of it.
        replaces: The record that it was first shown with, None if it has none.
    """
    metadata = message["metadata"]
    custom = {**metadata["custom"], "segue": {"replaces": replaces}}
    corrected: Any = {**message, "content": [{"text": heard}], "metadata": {**metadata, "custom": custom}}
    await agent._update_message(corrected, strict=False)  # noqa: SLF001 - see above


def _is_transcript(message: Any, text: str) -> bool:
    spoken = message["role"] == "assistant" and bidi_metadata(message).get("kind") == "transcript"
    return spoken and text_of(message) == text
