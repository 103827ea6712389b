"""Receipts for clients: what of their input has come, long before any of it is durable.

    frame ─▶ noted ─┬─ the sixteenth ──────────▶ now
                    ├─ others wait for one ────▶ in 0.3 s   the client sends those again that are missing
                    └─ else ───────────────────▶ in 1 s     the client repeats nothing of it to this holder

Audio is durable when its turn is, which may be half a minute later. Without a word until then a client would repeat it,
and could not tell a path that is slow from one that loses: see RFC 0008.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

INPUT_WINDOW: Final = 64
"""Frames that a client may have in flight, announced in ``ready``; a client waits with more. Four times what is
confirmed at a time: frames of 20 ms then keep up over a path that takes almost a second there and back."""

CONFIRMED_FRAMES: Final = 16
"""Frames after which a client is told at once what has come."""

CONFIRMED_SECONDS: Final = 1.0
"""Seconds after which it is told of fewer frames."""

CLIENTS: Final = 256
"""Clients of which is known what they were told. One that falls out is told again, which costs a message."""

OVERTAKEN_SECONDS: Final = 0.3
"""Seconds that a missing frame is waited for; after them its client is told that it is missing. API Gateway carries
each frame by itself, so that one may overtake another."""


class Receipts:
    """Receipts of one session's clients."""

    def __init__(
        self,
        progress: Callable[[str], tuple[int, tuple[int, ...]]],
        confirm: Callable[[str, int, tuple[int, ...]], None],
    ) -> None:
        """Begin with nothing to tell.

        Args:
            progress: Returns the number up to which all of a client's input has come, and those above it that have.
            confirm: Tells a client.
        """
        self._progress = progress
        self._confirm = confirm
        self._confirmed_upto: dict[str, int] = {}
        self._confirm_at: dict[str, float] = {}
        self._rescheduled = asyncio.Event()

    def note_frame(self, client_id: str) -> None:
        """Note a client's frame. A repeat counts too: what was told before may be lost."""
        upto, beyond = self._progress(client_id)
        if upto - self._confirmed_upto.get(client_id, 0) >= CONFIRMED_FRAMES:
            self._confirm_within(0.0, client_id)
        else:
            self._confirm_within(OVERTAKEN_SECONDS if beyond else CONFIRMED_SECONDS, client_id)

    def drop_client(self, client_id: str) -> None:
        """Forget a client that has left."""
        self._confirmed_upto.pop(client_id, None)
        self._confirm_at.pop(client_id, None)

    async def run(self) -> None:
        """Tell them in time, until cancelled."""
        while True:
            self._rescheduled.clear()
            try:
                async with asyncio.timeout_at(min(self._confirm_at.values(), default=None)):
                    await self._rescheduled.wait()
            except TimeoutError:
                self._confirm_due()

    def _confirm_within(self, seconds: float, client_id: str) -> None:
        at = asyncio.get_running_loop().time() + seconds
        if at < self._confirm_at.get(client_id, float("inf")):
            self._confirm_at[client_id] = at
            self._rescheduled.set()

    def _confirm_due(self) -> None:
        now = asyncio.get_running_loop().time()
        for client_id in [client_id for client_id, at in self._confirm_at.items() if at <= now]:
            del self._confirm_at[client_id]
            upto, beyond = self._progress(client_id)
            self._confirmed_upto.pop(client_id, None)
            self._confirmed_upto[client_id] = upto
            while len(self._confirmed_upto) > CLIENTS:
                del self._confirmed_upto[next(iter(self._confirmed_upto))]
            self._confirm(client_id, upto, beyond)
            if beyond:
                self._confirm_within(CONFIRMED_SECONDS, client_id)
