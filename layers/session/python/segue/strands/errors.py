"""Errors of a session manager that are Strands' own as well, for code that expects those of any session manager.

Apart from ``segue.errors`` because that must not import Strands: gateway functions use it.
"""

from __future__ import annotations

from strands.types.exceptions import SessionException

from segue.errors import StorageRefused


class SessionStorageRefused(StorageRefused, SessionException):
    """A refusal of storage, for users of a session manager. Its attributes are those of ``StorageRefused``."""

    def __init__(self, refused: StorageRefused) -> None:
        """Name the refused request."""
        Exception.__init__(self, *refused.args)
        vars(self).update(vars(refused))


class AgentIdUsedTwice(ValueError, SessionException):  # noqa: N818 - reads as the others do
    """Raised when two agents of one session manager have the same id. Give each its own ``agent_id``.

    Attributes:
        agent_id: The id.
        session_id: The session.
    """

    def __init__(self, agent_id: str, session_id: str) -> None:
        """Name the id and the session."""
        super().__init__(f"agent id {agent_id!r} is used twice in session {session_id!r}: give each agent its own")
        self.agent_id = agent_id
        self.session_id = session_id

    def __reduce__(self) -> tuple[type[AgentIdUsedTwice], tuple[str, str]]:
        """Pickle what it is made of: its constructor does not take the sentence."""
        return type(self), (self.agent_id, self.session_id)


class MultiAgentIdUsedTwice(ValueError, SessionException):  # noqa: N818 - reads as the others do
    """Two Graphs or Swarms that live in one session have the same id, and are not the same. Give each its own id.

    Attributes:
        multi_agent_id: The id.
        session_key: The session.
    """

    def __init__(self, multi_agent_id: str, session_key: str) -> None:
        """Name the id and the session."""
        super().__init__(
            f"id {multi_agent_id!r} is used by two Graphs or Swarms with different nodes in session {session_key!r}, "
            "and each would go on with the other's task: give each its own (set_graph_id, Swarm(id=…)), or drop the "
            "first before the second is built"
        )
        self.multi_agent_id = multi_agent_id
        self.session_key = session_key

    def __reduce__(self) -> tuple[type[MultiAgentIdUsedTwice], tuple[str, str]]:
        """Pickle what it is made of: its constructor does not take the sentence."""
        return type(self), (self.multi_agent_id, self.session_key)


class VoiceCannotPause(ValueError, SessionException):  # noqa: N818 - reads as the others do
    """Raised when a ``BidiAgent`` has a hook or tool that interrupts: Strands has no support for it. Build it without.

    Attributes:
        agent_id: The agent.
        names: The hooks and tools.
    """

    def __init__(self, agent_id: str, names: tuple[str, ...]) -> None:
        """Name the agent, and the hooks and tools that interrupt it."""
        super().__init__(
            f"BidiAgent {agent_id!r} cannot be paused (Strands: tool interrupts are not supported in bidi), but "
            f"{', '.join(names)} would interrupt it: build the voice agent without, or have a hook return early "
            "for a BidiAgent"
        )
        self.agent_id = agent_id
        self.names = names

    def __reduce__(self) -> tuple[type[VoiceCannotPause], tuple[str, tuple[str, ...]]]:
        """Pickle what it is made of: its constructor does not take the sentence."""
        return type(self), (self.agent_id, self.names)
