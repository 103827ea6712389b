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

A standby's model is opened in advance, before its agent starts. If the session goes on meanwhile, another agent is
built on what it has become, and goes on with the connection: the model is told what it does not know (RFC 0028).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from strands.bidi import BidiAgent
from strands.bidi.types import BidiMessage
from strands.types.content import TextBlock

from shared.agent_code import build
from shared.conversation.approvals import BY_VOICE
from shared.conversation.messages import unanswered
from shared.log import logger
from worker.conversation.session_manager import Manager
from worker.providers import ContinuousModel
from worker.telemetry.metrics import Count, metrics

START_SECONDS: Final = 20.0
"""Seconds for an agent's model to connect, normally one or two; after them the start has failed. A model that hangs
must not keep the session from others."""


class ModelStart:
    """Start of one agent, once.

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
        with self._without_the_unanswered():
            async with asyncio.timeout(START_SECONDS):
                await self.agent.start()
        self._started = True

    @property
    def takes_additions(self) -> bool:
        """True if the model, once it is open, can be told what is said until its agent starts."""
        model = self.agent.model
        return isinstance(model, ContinuousModel) and model.takes_additions

    @property
    def opened_ahead(self) -> bool:
        """True if the agent was started on a connection that was opened in advance."""
        return isinstance(self.agent.model, ContinuousModel) and self.agent.model.opened_ahead

    async def open_ahead(self) -> None:
        """Open the model's connection for an agent that is started later, while another worker holds the session.

        A model that is none of ``worker.providers`` is started with its agent.

        Raises:
            TimeoutError: It does not connect.
            Exception: Whatever it raises.
        """
        agent, model = self.agent, self.agent.model
        if not isinstance(model, ContinuousModel):
            await self.start()
            return
        model.leave_connection()
        with self._without_the_unanswered():
            async with asyncio.timeout(START_SECONDS):
                await model.open_ahead(agent.system_prompt, agent.tool_registry.get_all_tool_specs(), agent.messages)

    def go_on_from(self, earlier: ModelStart) -> None:
        """Use the connection that was opened for an earlier state of the session, if it is fit for this one."""
        if isinstance(self.agent.model, ContinuousModel) and isinstance(earlier.agent.model, ContinuousModel):
            self.agent.model.go_on_from(earlier.agent.model)

    @contextmanager
    def _without_the_unanswered(self) -> Iterator[None]:
        messages = self.agent.messages
        kept = len(messages) - self._held_back
        held_back = messages[kept:]
        del messages[kept:]
        try:
            yield
        finally:
            messages.extend(held_back)

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
