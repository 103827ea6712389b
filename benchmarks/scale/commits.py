"""Load of simulated sessions: writes that settle silence, and heartbeats.

    transcript            person speaks          transcript
    ─────┼──────────────────────┼─────────────────────┼────────▶
         │ quiet audio is kept  │ it waits for a transcript
         └─ 3 s ─▶ a write every 5 s ───────── 3 s ─▶│            some in the place of heartbeats

An open microphone sends audio, or markers, to which no transcript will come. The worker settles it, so that clients may
forget it (``worker.conversation.session``). That is a write of the guard item alone, which renews the lease as a commit
does; the first of a call is a commit (docs/rfcs/0031).
"""

from __future__ import annotations

from typing import Final

import numpy as np

from infra.settings import Conversations
from segue.session.runtime import SPREAD
from segue.wire.sender import SenderSettings
from worker.conversation.input.unanswered_audio import SILENCE_SECONDS
from worker.conversation.session import SETTLE_SECONDS

HEARTBEAT_SECONDS: Final = float(Conversations.model_fields["heartbeat_seconds"].default)
AGAIN: Final = int(SenderSettings().audio_timeout < SILENCE_SECONDS + SETTLE_SECONDS)
"""Frames that a client sends again each time that silence is settled: its oldest one, if that is older than it waits
for."""
SPEAKS, _, IS_ANSWERED, SILENT_BEFORE = range(4)
"""States of a conversation: the person speaks, silence, the assistant speaks, silence."""


class Sessions:
    """Times, in seconds, of what each session does by itself."""

    def __init__(self, state: np.ndarray, random: np.random.Generator) -> None:
        """Begin in the middle of conversations.

        Args:
            state: Of each conversation.
            random: Spreads ticks and heartbeats.
        """
        count = len(state)
        self._random = random
        self._kept_since = np.where(state == SPEAKS, 0.0, -SILENCE_SECONDS)
        self._kept_until = np.where(state == SPEAKS, 0.0, np.inf)
        self._tick = random.uniform(0, SETTLE_SECONDS, count)
        self._renewed = random.uniform(-HEARTBEAT_SECONDS, 0, count)
        self._due = self._renewed + HEARTBEAT_SECONDS

    def second(self, now: float) -> tuple[int, int]:
        """Go through a second; return the writes that settle silence and the heartbeats in it."""
        edge = np.minimum(self._tick - SILENCE_SECONDS, self._kept_until)
        ticks = self._tick < now + 1
        settled = ticks & (edge > self._kept_since)
        self._kept_since = np.where(settled, edge, self._kept_since)
        committed = np.where(settled, self._tick, -np.inf)
        self._tick += SETTLE_SECONDS * ticks
        beating = self._beat(now, committed)
        self._renewed = np.maximum(self._renewed, committed)
        return int(np.count_nonzero(settled)), beating

    def _beat(self, now: float, committed: np.ndarray) -> int:
        """Call the heartbeats that are due, as ``segue.session.heartbeat`` does after a recent commit."""
        is_due = self._due < now + 1
        last_renewal = np.where(committed <= self._due, np.maximum(self._renewed, committed), self._renewed)
        since_renewal = self._due - last_renewal
        sends_beat = is_due & (since_renewal >= HEARTBEAT_SECONDS / 2)
        self._renewed = np.where(sends_beat, self._due, self._renewed)
        delay = np.where(sends_beat, HEARTBEAT_SECONDS, HEARTBEAT_SECONDS - since_renewal)
        delay *= self._random.uniform(1 - SPREAD, 1, len(delay))
        self._due = np.where(is_due, self._due + delay, self._due)
        return int(np.count_nonzero(sends_beat))

    def note_turn_ends(self, now: float, state: np.ndarray, ending: np.ndarray, commits: np.ndarray) -> None:
        """Note the end of turns.

        Args:
            now: When they end.
            state: Of each conversation until then.
            ending: Conversations whose state ends.
            commits: Conversations that commit what was said.
        """
        transcribed = ending & (state == SPEAKS)
        self._kept_since = np.where(transcribed, now, self._kept_since)
        self._kept_until = np.where(transcribed, np.inf, self._kept_until)
        self._kept_until = np.where(ending & (state == SILENT_BEFORE), now, self._kept_until)
        self._renewed = np.where(commits, now, self._renewed)
