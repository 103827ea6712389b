"""Waits for a journal to become durable. Used on the storage loop."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from segue.errors import SegueError


@dataclass(frozen=True, slots=True)
class Goal:
    """The point at which a wait ends.

    Attributes:
        position: So many records are committed.
        settle_calls: So many calls of ``JournalWriter.settle`` have had their effect.
    """

    position: int
    settle_calls: int = 0

    def reached(self, progress: Goal) -> bool:
        """Tell whether a journal with this progress has reached it."""
        return self.position <= progress.position and self.settle_calls <= progress.settle_calls


class Waiters:
    """The waits of one journal."""

    def __init__(self) -> None:
        """Begin with none."""
        self._waiting: list[tuple[Goal, asyncio.Future[None]]] = []

    def add(self, goal: Goal) -> asyncio.Future[None]:
        """Return what ends when the goal is reached."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((goal, future))
        return future

    def wake(self, progress: Goal) -> None:
        """End the waits for what is reached."""
        waiting, self._waiting = self._waiting, []
        for goal, future in waiting:
            if not goal.reached(progress):
                self._waiting.append((goal, future))
            elif not future.done():
                future.set_result(None)

    def fail(self, error: SegueError) -> None:
        """Raise an error in every wait."""
        waiting, self._waiting = self._waiting, []
        for _, future in waiting:
            if not future.done():
                future.set_exception(error)
