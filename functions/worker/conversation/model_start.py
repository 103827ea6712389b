"""Model start: a model's connection opens with the history, and then hears the last text that has no answer.

A text is acknowledged when the journal has it. If its holder then dies, or is cut short, before the answer, the journal
ends with the text, and no client will send it again. So the successor sends it to the model:

    journal      … user, assistant, user, assistant, user
    model.start( … user, assistant, user, assistant )        as if it had not been said yet
    model.send ( user )                                      not recorded: the journal has it

One record, one answer, and the model hears it once: providers read the history that they start with and answer what is
sent after it. The same holds for a user's last transcript, whose audio was acknowledged with it.

An answer that was cut with its holder is in the journal as far as it went, marked incomplete. It is no answer: the text
before it is asked again, for as long as few answers to it were cut.

A turn that was cut after it had asked for a tool is not asked again, because the tool may have run: its result, or that
it was interrupted, is in the history, and the user decides.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from strands.bidi import BidiAgent
from strands.bidi.types import BidiMessage
from strands.types.content import TextBlock

from shared.agent_code import build
from shared.approvals import BY_VOICE
from shared.log import logger
from shared.messages import unanswered
from worker.conversation.session_manager import Manager
from worker.telemetry.metrics import Count, metrics

START_SECONDS: Final = 20.0
"""For an agent's model to connect: normally a second or two. One that hangs must not keep the session from others."""


class ModelStart:
    """Starts one agent, once.

    Attributes:
        agent: The agent.
        unanswered: The user's last words, if they have no answer.
    """

    def __init__(self, agent: BidiAgent) -> None:
        """Look at the history of an agent that was just restored."""
        self.agent = agent
        self.unanswered, self._held_back = unanswered(agent.messages)
        self._started = False

    @classmethod
    async def build(cls, manager: Manager, new_agent: Callable[[Any], BidiAgent]) -> ModelStart:
        """Build the agent of a session that was read.

        Raises:
            AgentFailed: The user's ``build_agent`` raised, or returned no agent.
            Exception: What the session raised while it was restored.
        """
        manager.deny_approvals(BY_VOICE)
        # In a thread: a long history, a model's client or a user's own code must not hold up the other sessions.
        return cls(await asyncio.to_thread(build, new_agent, manager, logger))

    async def start(self) -> None:
        """Start the agent, unless that was done.

        Raises:
            TimeoutError: Its model does not connect.
            Exception: Whatever its model raises.
        """
        if self._started:
            return
        messages = self.agent.messages
        kept = len(messages) - self._held_back
        held_back = messages[kept:]
        del messages[kept:]
        try:
            async with asyncio.timeout(START_SECONDS):
                await self.agent.start()
        finally:
            messages.extend(held_back)
        self._started = True

    async def ask(self) -> None:
        """Give the model the text that has no answer."""
        text, self.unanswered = self.unanswered, None
        if text is None:
            return
        metrics.count(Count.UNANSWERED)
        try:
            await self.agent.model.send(BidiMessage(content=[TextBlock(text)]))
        except Exception as error:  # noqa: BLE001 - models raise what they like
            # Text that no model can be sent would end every holder that takes the session, one after the other. The
            # user can say something else; a model that is broken altogether says so when its answers are read.
            logger.warning("the model does not take the last text again", reason=type(error).__name__)
