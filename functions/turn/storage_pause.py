"""Telling the clients of a turn that it waits for storage.

Nothing of a turn is shown before it is durable. While storage hangs there is nothing to show, and no ``ready`` either.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, Protocol

from segue.wire.frames import Pause
from turn.turn_outbox import TurnOutbox

PAUSE_SECONDS: Final = 3.0
"""Seconds without a commit after which the clients are told. The same as a voice worker's."""

LOOK_SECONDS: Final = 0.5
"""Seconds between two looks at what is committed; the clients are told so much later at most."""


class CommittedJournal(Protocol):
    """The part of a session manager that is read here."""

    @property
    def head(self) -> int:
        """Records committed."""
        ...

    @property
    def position(self) -> int:
        """Records committed or queued."""
        ...


@asynccontextmanager
async def pauses_told(
    journal: CommittedJournal,
    outbox: TurnOutbox,
    pause_seconds: float = PAUSE_SECONDS,
    look_seconds: float = LOOK_SECONDS,
) -> AsyncIterator[None]:
    """Within this block, say ``pause`` to all clients when nothing becomes durable for long, and when it goes on.

    Args:
        journal: Of the turn's session.
        outbox: Of its clients.
        pause_seconds: Without a commit after which they are told.
        look_seconds: Between two looks at what is committed.
    """
    watch = _Watch(journal, outbox, pause_seconds, look_seconds)
    watching = asyncio.create_task(watch.run())
    try:
        yield
        watch.check_commits()  # else what ended it: another invocation goes on, and its ready ends the pause
    finally:
        watching.cancel()
        await asyncio.wait({watching})


class _Watch:
    def __init__(
        self, journal: CommittedJournal, outbox: TurnOutbox, pause_seconds: float, look_seconds: float
    ) -> None:
        self._pause_seconds = pause_seconds
        self._look_seconds = look_seconds
        self._journal = journal
        self._outbox = outbox
        self._clock = asyncio.get_running_loop().time
        self._head, self._moved_at, self._paused = journal.head, self._clock(), False

    async def run(self) -> None:
        while True:
            await asyncio.sleep(self._look_seconds)
            self.check_commits()

    def check_commits(self) -> None:
        journal, now = self._journal, self._clock()
        if journal.head != self._head or journal.position == journal.head:
            self._head, self._moved_at = journal.head, now
        waits = now - self._moved_at >= self._pause_seconds
        if waits != self._paused:
            self._paused = waits
            for client_id in self._outbox.client_ids:
                self._outbox.queue_frame(client_id, Pause(active=waits, reason="storage"))
