"""Sessions of Strands' own managers, as they are found: what cannot be read is named, file by file.

``FileSessionManager`` and ``S3SessionManager``:

    session_<session id>/session.json
    session_<session id>/agents/agent_<agent id>/agent.json
    session_<session id>/agents/agent_<agent id>/messages/message_<n>.json
    session_<session id>/multi_agents/multi_agent_<id>/multi_agent.json

``SnapshotSessionManager``:

    session/<session id>/scopes/agent/<agent id>/snapshots/snapshot_latest.json
    session/<session id>/scopes/multiAgent/<id>/snapshots/snapshot_latest.json
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, Final

from strands.session.repository_session_manager import RepositorySessionManager
from strands.types.exceptions import SessionException, SnapshotException
from strands.types.session import SessionMessage

from segue.errors import SegueError
from segue.journal.message_shape import Message

_TORN: Final = (AttributeError, LookupError, TypeError, ValueError)
"""Raised by Strands for a file that has not the shape that it ought to have. Broken JSON it names by itself."""

_MISSING_MESSAGES: Final = 1000
"""Numbers in a row without a message; after so many the one that cannot be read is not looked for any more."""


class SourceDamaged(SegueError, SessionException):  # noqa: N818 - reads as the others do
    """Raised when a file of a session of Strands' own is torn, or has another shape than Strands gives it.

    Attributes:
        file: Which one.
    """

    def __init__(self, file: str, problem: str) -> None:
        """Name the file and what is wrong with it."""
        super().__init__(f"{file}: {problem}; restore that file from a backup, or leave its agent out")
        self.file = file


@contextlib.contextmanager
def reading(file: str) -> Iterator[None]:
    """Name a file that cannot be read.

    Raises:
        SourceDamaged: It is torn.
        SessionException: It could not be got at all.
    """
    try:
        yield
    except SourceDamaged:
        raise
    except SnapshotException as error:
        raise SourceDamaged(file, str(error)) from error
    except SessionException as error:
        if not isinstance(error.__cause__, ValueError):
            raise
        raise SourceDamaged(file, str(error)) from error
    except _TORN as error:
        raise SourceDamaged(file, f"{type(error).__name__}: {error}") from error


def session_file(session_id: str) -> str:
    """The file of a session in a message layout."""
    return f"session_{session_id}/session.json"


def agent_file(source: RepositorySessionManager, agent_id: str) -> str:
    """The file of an agent in a message layout."""
    return f"session_{source.session_id}/agents/agent_{agent_id}/agent.json"


def message_file(source: RepositorySessionManager, agent_id: str, number: int) -> str:
    """The file of a message in a message layout."""
    return f"session_{source.session_id}/agents/agent_{agent_id}/messages/message_{number}.json"


def snapshot_file(session_id: str, agent_id: str, scope: str = "agent") -> str:
    """The file of the latest snapshot of an agent, or of a Graph or Swarm."""
    return f"session/{session_id}/scopes/{scope}/{agent_id}/snapshots/snapshot_latest.json"


def messages_of(source: RepositorySessionManager, agent_id: str) -> list[tuple[Message, SessionMessage]]:
    """Read the messages of an agent, each with the entry that it is from.

    Raises:
        SourceDamaged: Names the one that cannot be read.
        SessionException: They could not be got at all.
    """
    try:
        entries = source.session_repository.list_messages(source.session_id, agent_id)
    except (*_TORN, SessionException) as error:
        if not isinstance(error, SessionException) or isinstance(error.__cause__, ValueError):
            _find_torn(source, agent_id)
        raise
    found = []
    for entry in entries:
        with reading(message_file(source, agent_id, entry.message_id)):
            found.append((whole(entry.to_message()), entry))
    return found


def _find_torn(source: RepositorySessionManager, agent_id: str) -> None:
    """Read messages one by one until one cannot be read, which is named."""
    number = missing = 0
    while missing < _MISSING_MESSAGES:
        with reading(message_file(source, agent_id, number)):
            entry = source.session_repository.read_message(source.session_id, agent_id, number)
        missing = missing + 1 if entry is None else 0
        number += 1


def object_of(state: Any) -> dict[str, Any]:
    """Return a state if it is one.

    Raises:
        TypeError: It is not.
    """
    if not isinstance(state, dict):
        raise TypeError(f"its state is a {type(state).__name__}, not an object")
    return state


def whole(message: Any) -> Message:
    """Return a message as a dictionary with blocks of content: text that stands alone is one block of it.

    Raises:
        TypeError: It is no message, and nothing that could be made one.
    """
    if not isinstance(message, dict) or not isinstance(message.get("role"), str):
        raise TypeError("not a message: it has no role")
    content = _blocks(message.get("content"))
    return {**message, "content": [_with_blocks(block) for block in content]}


def _blocks(content: Any) -> list[dict[str, Any]]:
    if isinstance(content, str):
        return [{"text": content}]
    if content is None:
        return []
    if not isinstance(content, list) or not all(isinstance(block, dict) for block in content):
        raise TypeError("not a message: its content is not a list of blocks")
    return content


def _with_blocks(block: dict[str, Any]) -> dict[str, Any]:
    """Make a list of blocks of the content of a tool's result."""
    result = block.get("toolResult")
    if not isinstance(result, dict) or not isinstance(result.get("content"), str):
        return block
    return {**block, "toolResult": {**result, "content": _blocks(result["content"])}}
