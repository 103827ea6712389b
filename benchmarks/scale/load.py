"""The simulated load: so many people talk, and what each second of it asks of AWS.

Callers come and go, and in each call people and the assistant take turns. What a second asks for follows from that,
from the figures in ``MEASURED``, and from the assumptions in ``ASSUMED``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from benchmarks.scale.commits import AGAIN, HEARTBEAT_SECONDS, IS_ANSWERED, SILENT_BEFORE, SPEAKS, Sessions
from segue.client.microphone import MARKER_SECONDS, TRAILING_SECONDS
from segue.session.runtime import SPREAD
from segue.wire.audio import PREROLL_SECONDS

SIZES: Final = (100, 10_000, 1_000_000)
SECONDS: Final = 120
SIMULATED: Final = 20_000
"""Sessions that are simulated at most; of larger numbers each second is multiplied."""

MEASURED: Final = {
    "commits a message": 0.61,
    "S3 PUT a commit": 1.04,
    "DynamoDB write units a commit": 1.0,
    "restore: objects of 1,000 messages": 22,
    "core for 1,000 quiet sessions": 0.66,
}
"""From docs/benchmarks.md: streamed turns and 1,000 sessions, durability "gate"."""

ASSUMED: Final = {
    "audio frame, ms": 100,
    "audio a post, ms": 200,
    "turn of a person, s": 4.0,
    "turn of the assistant, s": 6.0,
    "silence before the assistant, s": 1.0,
    "silence before the person, s": 2.0,
    "messages a turn of each": 1.0,
    "acks and transcripts a second": 0.5,
    "length of a call, min": 5.0,
    "heartbeat, s": HEARTBEAT_SECONDS,
    "message function, ms": 15.0,
    "message function, GB": 0.5,
    "voice out, KB a second": 64.0,
    "sessions a task": 28.0,
    "voice in, KB a second": 42.667,
    "frames answered by the function itself": 0.005,
    "KB of a post to the worker and its answer, beside the sound": 1.233,
    "frames to a worker in another zone": 0.5,
    "KB of log lines an hour, worker and functions": 200.0,
}
"""Assumptions about how people talk, not measured here. 28 sessions a task are 70 % of ``worker_capacity``. Of two
zones half of the frames go to the other. The function itself answers a ``ping`` now and then and what it refuses; a
frame that is passed on brings nothing back to the client, since the route has no response (RFC 0019)."""

COMMITS_A_TURN: Final = ASSUMED["messages a turn of each"] * MEASURED["commits a message"]
"""Commits of what was said in a turn."""

_BEATS: Final = 1 / (1 - SPREAD / 2)
"""Heartbeats that are sent for each that is due: they come early, at random."""


@dataclass
class Load:
    """Requests of each simulated second; names as in ``QUOTAS``."""

    seconds: dict[str, list[float]] = field(default_factory=dict)

    def add(self, **amounts: float) -> None:
        """Add a second."""
        for name, amount in amounts.items():
            self.seconds.setdefault(name, []).append(float(amount))

    def mean(self, name: str) -> float:
        """A second on average."""
        return float(np.mean(self.seconds[name]))

    def peak(self, name: str) -> float:
        """The busiest second."""
        return max(self.seconds[name])


def simulate(sessions: int, seed: int = 1, *, marks: bool = False, frame_ms: float | None = None) -> Load:
    """Let so many people talk for two minutes.

    Args:
        sessions: Conversations at once.
        seed: Of the random numbers; the same seed gives the same load.
        marks: Whether clients mark their microphones' silence instead of sending it.
        frame_ms: Sound in each frame of a client. Default: as assumed.
    """
    per_second = 1000 / (frame_ms or ASSUMED["audio frame, ms"])
    count = min(sessions, SIMULATED)
    factor = sessions / count
    random = np.random.default_rng(seed)
    names = (
        "turn of a person, s",
        "silence before the assistant, s",
        "turn of the assistant, s",
        "silence before the person, s",
    )
    lengths = np.array([ASSUMED[name] for name in names])
    state = random.choice(4, size=count, p=lengths / lengths.sum())
    quiet = np.where(state == SPEAKS, 0.0, np.inf)  # seconds since the person spoke
    held_sessions = Sessions(state, random)
    load = Load()
    for second in range(SECONDS):
        ending = random.random(count) < 1 / lengths[state]
        finished = ending & ((state == SPEAKS) | (state == IS_ANSWERED))
        speaking = int(np.count_nonzero(state == IS_ANSWERED))
        settled, beating = held_sessions.second(second)
        held_sessions.note_turn_ends(second + 1, state, ending, finished & (random.random(count) < COMMITS_A_TURN))
        joined = random.poisson(count / (60 * ASSUMED["length of a call, min"]))
        sound, markers = _sound(state, quiet, ending) if marks else (float(count), 0.0)
        commits = int(np.count_nonzero(finished)) * COMMITS_A_TURN
        requests = {
            **_frames(count, sound * per_second + markers + settled * AGAIN, speaking),
            **_storage(count, commits, settled, beating, joined),
            "sound": sound,
        }
        load.add(**{name: value * factor for name, value in requests.items()})
        state = np.where(ending, (state + 1) % 4, state)
        quiet = np.where(state == SPEAKS, 0.0, quiet + 1)
    return load


def _sound(state: np.ndarray, quiet: np.ndarray, ending: np.ndarray) -> tuple[float, float]:
    """Seconds of sound, and markers, that microphones whose silence is marked send in one second."""
    sending = int(np.count_nonzero(quiet <= TRAILING_SECONDS))
    beginning = int(np.count_nonzero(ending & (state == SILENT_BEFORE)))
    return sending + beginning * PREROLL_SECONDS, (len(state) - sending) / MARKER_SECONDS


def _frames(sessions: int, up: float, speaking: int) -> dict[str, float]:
    """Frames of one second, and the places that they need."""
    down = speaking * 1000 / ASSUMED["audio a post, ms"] + sessions * ASSUMED["acks and transcripts a second"]
    down += up * ASSUMED["frames answered by the function itself"]
    tasks = sessions / ASSUMED["sessions a task"]
    return {
        "messages": up + down,
        "up": up,
        "speaking": speaking,
        # Lambda gives an environment ten requests a second, however short they are.
        "environments": up / 10,
        "vcpus": tasks,
        "addresses": tasks,
        "streams": sessions,
    }


def _storage(sessions: int, commits: float, settled: int, beating: int, joined: int) -> dict[str, float]:
    """Requests to storage in one second."""
    every = commits + settled
    return {
        "connects": joined,
        "commits": commits,
        "settled": settled,
        "beats": beating,
        # A session that begins is acquired, and one ends for it: two writes.
        "table_writes": every * MEASURED["DynamoDB write units a commit"] + beating + 2 * joined,
        "beats_a_worker": sessions / ASSUMED["sessions a task"] / ASSUMED["heartbeat, s"] * _BEATS,
        # What settles silence is no object, but for the first of a call.
        "puts": (commits + joined) * MEASURED["S3 PUT a commit"],
        "gets": joined * MEASURED["restore: objects of 1,000 messages"],
    }
