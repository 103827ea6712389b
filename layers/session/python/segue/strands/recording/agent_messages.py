"""The list of messages of an agent. It may be the program's: then it is replaced before it is written to."""

from __future__ import annotations

from typing import Any

from segue.history.messages import kept_by_model
from segue.journal.message_shape import Message
from segue.session.weak_references import WeakAgent


class AgentMessages:
    """One agent's list of messages."""

    def __init__(self, agent: WeakAgent) -> None:
        """Begin with the list that the agent has. The agent is not kept alive; the list is."""
        self._agent = agent
        self._list: list[Any] = agent.agent.messages
        self._own: list[Message] | None = None

    @property
    def current(self) -> list[Any]:
        """The agent's list; that of an agent that is gone as it was last."""
        if (agent := self._agent.alive) is not None:
            self._list = agent.messages
        return self._list

    @property
    def kept_by_model(self) -> bool:
        """Tell whether the agent's model keeps the conversation itself, and Strands empties the list."""
        return kept_by_model(self._agent.alive)

    def own(self, messages: list[Message]) -> None:
        """Give the agent a list that is its own from now on, of messages that are its own."""
        self._own = self._list = messages
        if (agent := self._agent.alive) is not None:
            agent.messages = messages  # type: ignore[assignment]

    def writable(self) -> list[Message]:
        """Return the list, or a copy in its place if the program has put one of its own there."""
        current = self.current
        if current is not self._own:
            current = list(current)
            self.own(current)
        return current

    def replace(self, held: Message, message: Message) -> None:
        """Put a message in the place of another, wherever the list has it."""
        messages = self.writable()
        for index, one in enumerate(messages):
            if one is held:
                messages[index] = message
