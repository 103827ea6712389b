"""Agents, Graphs and Swarms of a session, as its records leave them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from segue.history.approvals import RecordedApproval
from segue.journal.message_shape import Message, id_of


@dataclass(slots=True)
class AgentHistory:
    """One agent, as the records leave it.

    Attributes:
        messages: Its messages in order, as they were recorded.
        numbers: For each message's tracking id, the record that last determined it.
        authors: For the tracking id of what a client said, the client's id and the number of its last input.
        state: Its state.
        system_prompt: Its system prompt as content blocks, None if it never had one.
        internal: Further Strands state of an ``Agent``.
        tools: Every tool run by tool use id, in order of their first start: what its records say, and
            ``started_at`` and ``ended_at`` in milliseconds since 1970. One without ``status`` was under way. Uses of
            one id are called as ``segue.history.tool_uses`` says.
        uses: For each tool use id, the places of its uses in order, those of rewound records included.
        connection: The latest connection record.
        approvals: What people were asked, and what became of it, in order.
        spare: The messages once more, for an agent to keep; made where the history is read.
        earlier: While records are added up, the messages of earlier windows by tracking id. Earlier versions of Segue
            wrote windows that keep such messages without recording them again.
        stash: What a context manager keeps besides the messages, by name. None if the agent has none.
        versions: If it has one, each message as it was recorded and as it was changed since, by tracking id.
    """

    messages: list[Message] = field(default_factory=list)
    numbers: dict[str, int] = field(default_factory=dict)
    authors: dict[str, tuple[str, int]] = field(default_factory=dict)
    state: dict[str, Any] = field(default_factory=dict)
    system_prompt: list[dict[str, Any]] | None = None
    internal: dict[str, Any] = field(default_factory=dict)
    tools: dict[str, dict[str, Any]] = field(default_factory=dict)
    uses: dict[str, list[str]] = field(default_factory=dict)
    connection: dict[str, Any] = field(default_factory=dict)
    approvals: list[RecordedApproval] = field(default_factory=list)
    spare: list[Message] | None = field(default=None, repr=False)
    earlier: dict[str, Message] = field(default_factory=dict, repr=False)
    stash: dict[str, Any] | None = None
    versions: dict[str, list[Message]] = field(default_factory=dict, repr=False)

    def copy(self) -> AgentHistory:
        """Return what further records will not change. What is replaced as a whole is shared."""
        return replace(
            self,
            messages=list(self.messages),
            numbers=dict(self.numbers),
            authors=dict(self.authors),
            tools=dict(self.tools),
            uses=dict(self.uses),
            approvals=list(self.approvals),
            earlier=dict(self.earlier),
            stash=None if self.stash is None else dict(self.stash),
            versions={tracking_id: list(versions) for tracking_id, versions in self.versions.items()},
            spare=None,  # it is of the messages as they were
        )

    def note_author(self, tracking_id: str, inputs: tuple[str, tuple[int, ...]] | None) -> None:
        """Note whose input a message is the effect of, if it is of any."""
        if inputs is not None and inputs[1]:
            self.authors[tracking_id] = inputs[0], inputs[1][-1]

    def remember(self, message: Message, *, only: bool = False) -> None:
        """Keep a version of a message, if they are wanted; ``only``: and none of the earlier ones."""
        if self.stash is not None:
            tracking_id = id_of(message)
            self.versions[tracking_id] = [*([] if only else self.versions.get(tracking_id, [])), message]

    def index(self, tracking_id: str) -> int | None:
        """Find a message, newest first."""
        for index in range(len(self.messages) - 1, -1, -1):
            if id_of(self.messages[index]) == tracking_id:
                return index
        return None

    def replace(self, message: Message, *, everywhere: bool) -> bool:
        """Put a message in the place of the newest one with its tracking id, or of all; False if there is none."""
        tracking_id = id_of(message)
        known = tracking_id in self.earlier
        if known:
            self.earlier[tracking_id] = message
        newest = self.index(tracking_id)
        if newest is None:
            return known
        self.messages[newest] = message
        if everywhere:
            self.messages = [message if id_of(old) == tracking_id else old for old in self.messages]
        return True


@dataclass(slots=True)
class History:
    """A whole session, as the records leave it."""

    agents: dict[str, AgentHistory] = field(default_factory=dict)
    multi_agents: dict[str, dict[str, Any]] = field(default_factory=dict)

    def copy(self) -> History:
        """Return what further records will not change."""
        return History({name: agent.copy() for name, agent in self.agents.items()}, dict(self.multi_agents))
