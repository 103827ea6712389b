"""Input that a new connection is sent again, because the one before it has not answered it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from strands.bidi.types import BidiContentDelta, BidiMessage
from strands.types.content import Messages, TextBlock

from shared.conversation.messages import bidi_metadata, unanswered

NEXT_SECONDS: Final = 15.0
"""Seconds for which input that a lost connection refused waits for the next connection; after them it fails."""


class NextConnection:
    """Input that a lost connection refused, kept until the next one is open.

    Attributes:
        waiting: The message that waits; None if there is none.
    """

    def __init__(self) -> None:
        """Begin before the first connection."""
        self.waiting: BidiMessage | None = None
        self._opened = asyncio.Event()

    @property
    def coming(self) -> asyncio.Event:
        """Set when the connection after the present one is open."""
        return self._opened

    def opened(self) -> None:
        """Note that a connection is open; what waits is sent over it."""
        self._opened.set()
        self._opened = asyncio.Event()

    async def send(
        self,
        content: BidiMessage | BidiContentDelta,
        coming: asyncio.Event,
        send: Callable[[BidiMessage | BidiContentDelta], Awaitable[None]],
        error: Exception,
    ) -> None:
        """Wait for the connection that replaces a lost one: ``receive`` has noticed, or will in a moment.

        Args:
            content: What was refused.
            coming: ``coming`` before it was.
            send: Sends it over the connection that is open then.
            error: What the lost connection raised.

        Raises:
            Exception: ``error``, if there was no other connection in time; or what that one raised.
        """
        self.waiting = content if isinstance(content, BidiMessage) else None
        try:
            async with asyncio.timeout(NEXT_SECONDS):
                await coming.wait()
            await send(content)
        except TimeoutError:
            raise error from None
        finally:
            self.waiting = None


def spoken(messages: Messages) -> BidiMessage | None:
    """Return the user's last words, if they were spoken and no answer has begun: their audio is not given again."""
    text, messages_back = unanswered(messages)
    if text is None or messages_back > 1 or bidi_metadata(messages[-1]).get("kind") != "transcript":
        return None
    return BidiMessage(content=[TextBlock(text)])


def without(messages: Messages, again: BidiMessage | None) -> Messages:
    """Take out of a history what is sent again as something new."""
    if again is None or not messages or messages[-1]["role"] != "user":
        return messages
    texts = [block["text"] for block in messages[-1]["content"] if "text" in block]
    said = [block.text for block in again.content if isinstance(block, TextBlock)]
    return messages[:-1] if said and texts == said else messages
