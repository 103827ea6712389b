"""Which messages an agent holds, asked after each turn, however long the conversation is.

Apart from the recorder because it is about being quick only: without it, the answer would be the same.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import Any

from strands.agent.agent import Agent

from segue.messages import tracking_id_of
from segue.weak import WeakAgent

_UNSETTLED = 64
"""Newest messages of a voice agent, among which transcripts are still being completed."""


class HeldMessages:
    """An agent's messages. Of those that were there before, it is only seen that they are the very same.

    The messages of an ``Agent`` may be changed in place, and are all looked at.
    """

    def __init__(self, agent: WeakAgent) -> None:
        """Look at an agent."""
        self._agent = agent
        self._settled: tuple[list[Any], list[str]] = [], []

    def ids(self, refused: AbstractSet[str]) -> list[str]:
        """Return the ids of all messages with content, those that were refused left out."""
        agent = self._agent.agent
        messages: list[Any] = agent.messages
        settled, ids = self._settled
        if messages[: len(settled)] != settled:
            settled, ids = [], []
        if not (refused or isinstance(agent, Agent)) and len(messages) > len(settled) + 2 * _UNSETTLED:
            older = messages[:-_UNSETTLED]
            settled, ids = self._settled = older, ids + _ids_of(older[len(settled) :], refused)
        return ids + _ids_of(messages[len(settled) :], refused)


def _ids_of(messages: list[Any], refused: AbstractSet[str]) -> list[str]:
    return [known for message in messages if message["content"] and (known := tracking_id_of(message)) not in refused]
