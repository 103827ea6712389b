"""A model's connection that is open before its agent starts: a standby's.

    opened, told 6 messages ─▶ the agent starts with the same 6: nothing is sent
                               with these and 2 more: the 2 are added, if the model takes additions
                               with anything else: the connection is closed, and another one opened

Nothing was said on the connection until then, so the provider knows what it was told and nothing else (RFC 0028).
"""

from __future__ import annotations

import asyncio
import operator
from dataclasses import dataclass
from typing import Any, Final

from strands.bidi.models import BidiModel
from strands.types.content import Messages
from strands.types.tools import ToolSpec

from segue.history.messages import copy_of, differ
from segue.history.repair import results_of
from segue.journal.message_shape import Message
from shared.log import logger
from worker.providers.connection.connector import Connector
from worker.providers.connection.event_pump import Pump
from worker.providers.counters import count

ADD_SECONDS: Final = 1.0
"""Seconds for additions to be written to the connection; they are written and not answered. After them another
connection is opened, which takes about as long. The caller may be waiting."""

type Given = tuple[str | None, list[ToolSpec] | None, Messages]
"""The system prompt, the tools and the history that a model is started with."""

type Likeness = tuple[Any, Any]
"""A model's settings and configuration: only a model with the same ones goes on with its connection."""


@dataclass(slots=True)
class OpenedConnection:
    """A connection, and what it was told.

    Attributes:
        connector: Made it.
        pump: Reads its events, so that the provider is answered meanwhile.
        likeness: Of the model that opened it.
        system_prompt: Instructions.
        tools: What the model may ask for.
        messages: The history, as the agent has it.
        told: The history, as the provider was given it.
        at: When it was opened, on its model's clock.
        refused: Whether it has not taken an addition.
    """

    connector: Connector
    pump: Pump
    likeness: Likeness
    system_prompt: str | None
    tools: list[ToolSpec] | None
    messages: list[Any]
    told: list[Message]
    at: float
    refused: bool = False

    @classmethod
    def now(cls, connector: Connector, pump: Pump, likeness: Likeness, given: Given, at: float) -> OpenedConnection:
        """Note what a connection has just been told, and begin to read it."""
        system_prompt, tools, messages = given
        pump.start_reading()
        settings, config = likeness
        told = connector.history_of_offer(messages)
        return cls(
            connector, pump, (settings, copy_of(config)), system_prompt, copy_of(tools), list(messages), told, at
        )

    @property
    def inner(self) -> BidiModel:
        """Strands' model, which is connected."""
        return self.connector.inner

    def since(self, given: Given) -> list[Message] | None:
        """Return what the provider has not been told of a history; None if it was told something else."""
        system_prompt, tools, messages = given
        if self.connector.offer.handle is not None or (system_prompt, tools) != (self.system_prompt, self.tools):
            return None
        if len(messages) == len(self.messages) and all(map(operator.is_, messages, self.messages)):
            return []  # the same agent's, which is what a caller waits for
        if not self.connector.offer.share:
            return None  # the provider took no history, and may take this one
        history = self.connector.history_of_offer(messages)
        known = len(self.told)
        if len(history) < known or any(_says_else(*pair) for pair in zip(history[:known], self.told, strict=True)):
            return None
        more = history[known:]
        return None if more and results_of(more[0]) else more  # a result without its use

    async def go_on(self, likeness: Likeness, given: Given, *, additions: bool) -> bool:
        """Tell the provider what it does not know; false if the connection must not be used, but closed.

        Args:
            likeness: Of the model that is to go on with it.
            given: What that is started with.
            additions: Whether it takes additions.
        """
        more = self.since(given) if likeness == self.likeness else None
        if more is None or (more and not additions):
            return False
        if not more:
            return True
        try:
            async with asyncio.timeout(ADD_SECONDS):
                await self.connector.add(more, tools=bool(self.tools))
        except Exception as error:  # noqa: BLE001 - models raise what they like; another connection is told everything
            logger.warning("the model does not take additions", kind=type(error).__name__, messages=len(more))
            count("ModelOfferRefused", self.connector.provider)
            self.refused = True
            return False
        return True

    async def close(self) -> None:
        """Close it without having used it."""
        try:
            await self.inner.stop()
        except Exception as error:  # noqa: BLE001 - models raise what they like, and nothing depends on this one
            logger.warning("a model that was opened in advance did not stop cleanly", reason=type(error).__name__)
        finally:
            await self.pump.stop_reading()


def _says_else(one: Message, other: Message) -> bool:
    return one["role"] != other["role"] or differ(one["content"], other["content"])
