"""The conversation that the offline model is given when it starts: checked as a strict provider would, then read.

For development and tests. Real providers skip some faults and fail later on others; here every fault is named at once,
so that a session which was restored wrongly shows when it is restored.

Strands passes its live list, so a restart within a process may show what is still under way: placeholders of streams
that the old connection did not finish, and a ``toolUse`` whose result is being appended. After a restore from storage
there is no such excuse.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from strands.types.content import Message

Role = Literal["user", "assistant"]


class HistoryRejected(ValueError):  # noqa: N818 - it says what the provider did
    """Raised for messages that no provider would go on with. Repair the session; do not start again."""


@dataclass(frozen=True, slots=True)
class SpokenTurn:
    """One turn of a conversation.

    Attributes:
        role: The speaker's role.
        text: The words.
    """

    role: Role
    text: str


def check(messages: Sequence[Message], *, restarting: bool) -> None:
    """Reject a history that a provider would not accept.

    Args:
        messages: The agent's messages.
        restarting: Whether the same model was connected before, so that something may still be under way.

    Raises:
        HistoryRejected: A message is malformed, empty, a left-over placeholder or there twice, or a ``toolUse`` and its
            ``toolResult`` are not side by side.
    """
    seen: set[str] = set()
    asked: list[str] = []
    for index, message in enumerate(messages):
        where = f"message {index}"
        if _note(message).get("status") == "pending":
            if not restarting:
                raise HistoryRejected(f"{where} is the placeholder of a stream that never ended")
            continue
        _check_message(message, where)
        if (tracking_id := message.get("tracking_id")) is not None:
            if tracking_id in seen:
                raise HistoryRejected(f"{where} is there twice")
            seen.add(tracking_id)
        asked = _check_tools(message, asked, where)
    if asked and not restarting:
        raise HistoryRejected(f"the last toolUse has no toolResult: {', '.join(asked)}")


def check_for_answer(messages: Sequence[Message]) -> None:
    """Reject what a provider of text would not answer, beside what ``check`` rejects.

    Raises:
        HistoryRejected: User and assistant do not take turns, or the user has neither the first word nor the last.
    """
    check(messages, restarting=False)
    expected = ["user", "assistant"] * (len(messages) // 2) + ["user"]
    if [message["role"] for message in messages] != expected:
        raise HistoryRejected(
            f"the roles are {[message['role'] for message in messages]}: user and assistant alternate"
        )
    if len({name for message in messages for name in _uses(message)}) != sum(len(_uses(one)) for one in messages):
        raise HistoryRejected("two tool uses have the same toolUseId")


def _uses(message: Message) -> list[str]:
    return [block["toolUse"]["toolUseId"] for block in message["content"] if "toolUse" in block]


def read(messages: Iterable[Message]) -> list[SpokenTurn]:
    """Read what was said, without tool blocks, reasoning, images, and speech that was never understood."""
    turns = []
    for message in messages:
        texts = [block["text"] for block in message["content"] if "text" in block]
        if texts and _note(message).get("status") not in {"pending", "incomplete"}:
            turns.append(SpokenTurn(message["role"], "\n".join(texts)))
    return turns


def tool_names(messages: Iterable[Message]) -> dict[str, str]:
    """List the tool calls in a history: names by ``toolUseId``."""
    blocks = [block["toolUse"] for message in messages for block in message["content"] if "toolUse" in block]
    return {use["toolUseId"]: use["name"] for use in blocks}


def _note(message: Message) -> dict[str, Any]:
    """Strands' metadata of a streamed message (see ``strands.bidi.types.BidiContentMetadata``)."""
    custom = (message.get("metadata") or {}).get("custom") or {}
    return cast("dict[str, Any]", custom.get("bidi") or {})


def _check_message(message: Message, where: str) -> None:
    # What is stored may be anything, whatever the type says.
    fields = cast("dict[str, Any]", message)
    role, content = fields.get("role"), fields.get("content")
    if role not in {"user", "assistant"}:
        raise HistoryRejected(f"{where} has the role {role!r}")
    if not isinstance(content, list) or not content or not all(isinstance(block, dict) and block for block in content):
        raise HistoryRejected(f"{where} has no content")
    for block in content:
        if "text" in block and not str(block["text"]).strip() and _note(message).get("status") != "incomplete":
            raise HistoryRejected(f"{where} has a blank text")
        if ("toolUse" in block and role != "assistant") or ("toolResult" in block and role != "user"):
            raise HistoryRejected(f"{where} has a tool block that does not belong to the role {role!r}")


def _check_tools(message: Message, asked: list[str], where: str) -> list[str]:
    """Compare a message's tool results with what was asked just before; return what it asks itself."""
    content = message["content"]
    results = [block["toolResult"]["toolUseId"] for block in content if "toolResult" in block]
    uses = [block["toolUse"]["toolUseId"] for block in content if "toolUse" in block]
    if sorted(results) != sorted(asked):
        raise HistoryRejected(f"{where} has results of the tool uses {results}, the message before asked for {asked}")
    if len(set(uses)) != len(uses):
        raise HistoryRejected(f"{where} has two results of one toolUseId")
    return uses
