"""States of a hosted session.

    opening ─▶ open ─▶ leaving ─▶ ended     handed over, without clients, or broken: flushed and released
       │         │        │
       └─────────┴────────┴─▶ lost ─▶ ended   another holder has the session, or may have: silent at once

Whatever the state in which it ends, its agent is stopped, and what is still held is released.
"""

from __future__ import annotations

from enum import Enum, auto


class State(Enum):
    """One session's."""

    OPENING = auto()
    OPEN = auto()
    LEAVING = auto()
    LOST = auto()
    ENDED = auto()
