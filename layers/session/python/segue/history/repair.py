"""Restored histories that every provider accepts.

A crash can fall between any two records, and a session can come from Strands' own managers. So a restored
history may hold placeholders of messages that never came, tool uses without results, and results without
uses; providers refuse all of these. Repairs are made on every restore and never recorded: the same records
always give the same history.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from segue.journal.encoder import json_bytes
from segue.journal.message_shape import Message, bidi_note, text_in

INTERRUPTED = "The tool call was interrupted before its result was recorded. It may or may not have run."
"""Result that the model gets for a tool that a crash cut off."""


@dataclass(frozen=True, slots=True)
class RepairReport:
    """The changes that a repair made to a history.

    Attributes:
        placeholders: Messages dropped because their content never came, or is blank.
        interrupted: Tool uses that got a synthetic result.
        orphans: Tool results dropped because no tool use came before them.
        dropped: Oldest messages dropped to fit the limits.
        paused: Tool uses left open, because their agent was stopped on purpose and is to be resumed.
    """

    placeholders: int = 0
    interrupted: tuple[str, ...] = ()
    orphans: int = 0
    dropped: int = 0
    paused: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Tell whether the repair changed anything. A use that is left open is no change."""
        return replace(self, paused=()) != RepairReport()


def repair(messages: Sequence[Message], *, paused: Sequence[str] = ()) -> tuple[list[Message], RepairReport]:
    """Return a history that is fit to use, and what was done to it. The input is left alone.

    Args:
        messages: A history.
        paused: Tool uses that stay open at its end (see ``segue.history.pauses``).
    """
    whole = [message for message in map(without_blanks, messages) if message["content"]]
    finished = finished_notes(whole)
    fixed: list[Message] = []
    cut_off: list[str] = []
    orphans = 0
    open_uses: list[str] = []
    for at, message in enumerate(whole):
        results = results_of(message)
        if open_uses and not set(results) & set(open_uses):
            fixed.append(_synthetic(open_uses))
            cut_off += open_uses
            open_uses = []
        if results:
            paired, lost = _pair(message, open_uses)
            orphans += len(_beyond(results, open_uses))
            if is_dispatch(message):
                unfinished = _beyond(open_uses, finished.get(at, ()))
                paired = _with_interrupted(paired, unfinished)
                lost = [*lost, *unfinished]
            cut_off += lost
            if paired["content"]:
                fixed.append(paired)
        else:
            fixed.append(message)
        open_uses = uses_of(message)
    if open_uses and not set(open_uses) <= set(paused):
        fixed.append(_synthetic(open_uses))
        cut_off += open_uses
    report = RepairReport(
        placeholders=len(messages) - len(whole), interrupted=tuple(dict.fromkeys(cut_off)), orphans=orphans
    )
    return fixed, report


def fit(
    messages: Sequence[Message],
    report: RepairReport,
    *,
    max_messages: int | None = None,
    max_bytes: int | None = None,
) -> tuple[list[Message], RepairReport]:
    """Drop the oldest turns until a history is within a provider's limits.

    A turn begins with something the user said; tool uses stay with their results. The newest turn is kept even if it
    alone is over the limits: without it the agent would not know the question.

    Args:
        messages: A repaired history.
        report: What the repair did.
        max_messages: Messages at most.
        max_bytes: Bytes of their JSON at most.
    """
    whole = list(turns(messages))
    sizes = [sum(len(json_bytes(message)) for message in turn) for turn in whole]
    count, size, start = len(messages), sum(sizes), 0
    while start < len(whole) - 1 and (
        (max_messages is not None and count > max_messages) or (max_bytes is not None and size > max_bytes)
    ):
        count -= len(whole[start])
        size -= sizes[start]
        start += 1
    kept = [message for turn in whole[start:] for message in turn]
    return kept, replace(report, dropped=len(messages) - len(kept))


def turns(messages: Sequence[Message]) -> Iterator[list[Message]]:
    """Yield a history's turns: each begins with something the user said."""
    turn: list[Message] = []
    for message in messages:
        if turn and message["role"] == "user" and not results_of(message):
            yield turn
            turn = []
        turn.append(message)
    if turn:
        yield turn


def without_blanks(message: Message) -> Message:
    """Take out blank text: a transcript of silence. Bedrock's Converse refuses a whole history for one."""
    content = [block for block in message.get("content") or [] if not _is_blank(block)]
    return {**message, "content": content}


def _is_blank(block: dict[str, Any]) -> bool:
    return set(block) == {"text"} and isinstance(block["text"], str | None) and not text_in(block).strip()


def uses_of(message: Message) -> list[str]:
    """The ids of a message's tool uses."""
    return [block["toolUse"]["toolUseId"] for block in message["content"] if "toolUse" in block]


def results_of(message: Message) -> list[str]:
    """The ids of the tool uses that a message has results of."""
    return [block["toolResult"]["toolUseId"] for block in message["content"] if "toolResult" in block]


def is_dispatch(message: Message) -> bool:
    """Tell whether a result is BidiAgent's note that a tool was started, which stands in until the result comes."""
    return bool(bidi_note(message).get("kind") == "tool_dispatch")


def finished_notes(messages: Sequence[Message]) -> dict[int, list[str]]:
    """Say which uses of each note that a tool was started have their result later: a voice agent records both.

    A result belongs to the oldest note whose use is the same, name and input, and else to the oldest of its id.
    """
    waiting: list[tuple[int, dict[str, Any]]] = []
    finished: dict[int, list[str]] = {}
    for at, (before, message) in enumerate(pairwise(messages), start=1):
        uses = [block["toolUse"] for block in before["content"] if "toolUse" in block]
        answered = Counter(results_of(message)) if uses else Counter[str]()
        for use in uses:
            if is_dispatch(message):
                waiting.append((at, use))
            elif answered[use["toolUseId"]]:
                answered[use["toolUseId"]] -= 1
                same = [entry for entry in waiting if entry[1]["toolUseId"] == use["toolUseId"]]
                for entry in sorted(same, key=lambda entry: entry[1] != use)[:1]:
                    waiting.remove(entry)
                    finished.setdefault(entry[0], []).append(use["toolUseId"])
    return finished


def _beyond(ids: Sequence[str], others: Sequence[str]) -> list[str]:
    """The ids that are left once each of the others has taken one away."""
    left, taken = [], Counter(others)
    for each in ids:
        if taken[each]:
            taken[each] -= 1
        else:
            left.append(each)
    return left


def _pair(message: Message, uses: Sequence[str]) -> tuple[Message, list[str]]:
    """Keep the results that answer ``uses``, first and in their order, and fill in those that are missing."""
    others = [block for block in message["content"] if "toolResult" not in block]
    missing = _beyond(uses, results_of(message))
    wanted = Counter(uses)
    answers: list[dict[str, Any]] = []
    for block in message["content"]:  # tools that ran side by side end in any order
        use_id = block["toolResult"]["toolUseId"] if "toolResult" in block else ""
        if wanted[use_id]:
            wanted[use_id] -= 1
            answers.append(block)
    if missing:
        by_id: dict[str, list[dict[str, Any]]] = {}
        for block in answers:
            by_id.setdefault(block["toolResult"]["toolUseId"], []).append(block)
        answers = [by_id[use_id].pop(0) if by_id.get(use_id) else interrupted(use_id) for use_id in uses]
    return {**message, "content": [*answers, *others]}, missing


def _with_interrupted(message: Message, cut_off: Sequence[str]) -> Message:
    """Replace the last notes of those uses: earlier ones of the same id are of tools that have ended."""
    left, content = Counter(cut_off), []
    for block in reversed(message["content"]):
        use_id = block["toolResult"]["toolUseId"] if "toolResult" in block else ""
        left[use_id] -= 1
        content.append(interrupted(use_id) if left[use_id] >= 0 else block)
    return {**message, "content": content[::-1]}


def interrupted(use_id: str, text: str = INTERRUPTED) -> dict[str, Any]:
    """The result of a tool use that has none of its own."""
    return {"toolResult": {"toolUseId": use_id, "status": "error", "content": [{"text": text}]}}


def _synthetic(uses: Sequence[str]) -> Message:
    return {"role": "user", "content": [interrupted(use_id) for use_id in uses]}
