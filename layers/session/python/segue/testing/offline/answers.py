"""Answers of the offline model: a table of sentences, tried from the top.

For development and tests. It knows nothing but the conversation, so that a lost history shows in its answers.
"""

from __future__ import annotations

import json
import re
import zoneinfo
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from strands.types.tools import ToolSpec

from segue.testing.offline.history import SpokenTurn

INAUDIBLE = "[inaudible]"
"""The transcript of speech that was damaged on its way."""

SORRY = "Sorry, I did not catch that."

_LONGEST_ECHO = 400  # characters: half a minute of speech
_LONGEST_COUNT = 100


@dataclass(frozen=True, slots=True)
class Say:
    """Answer with words."""

    text: str


@dataclass(frozen=True, slots=True)
class UseTool:
    """Ask for a tool first."""

    name: str
    input: dict[str, Any]


@dataclass(frozen=True, slots=True)
class DropConnection:
    """End the connection as a provider does at its time limit."""


Answer = Say | UseTool | DropConnection


@dataclass(frozen=True, slots=True)
class KnownConversation:
    """The conversation, as the model knows it.

    Attributes:
        turns: The turns of the history and since; the last one is answered.
        tools: The tools that it may ask for, by name.
        instructions: The system prompt.
    """

    turns: list[SpokenTurn] = field(default_factory=list)
    tools: Mapping[str, ToolSpec] = field(default_factory=dict)
    instructions: str | None = None

    def last_said(self, pattern: str) -> str | None:
        """Find what the user last said in these words: the pattern's first group."""
        said = self.all_said(pattern)
        return said[-1] if said else None

    def all_said(self, pattern: str) -> list[str]:
        """Find all that the user said in these words: the pattern's first group, oldest first."""
        sentences = (_plain(turn.text) for turn in self.turns if turn.role == "user")
        return [match[1] for sentence in sentences for match in re.finditer(pattern, sentence, re.IGNORECASE)]

    def tool(self, word: str) -> ToolSpec | None:
        """Find the first tool with a word in its name."""
        return next((spec for name, spec in self.tools.items() if word in name.lower()), None)


def answer(known: KnownConversation) -> Answer:
    """Answer the last sentence of the conversation."""
    words = _plain(known.turns[-1].text)
    for pattern, reply in RULES:
        if (match := re.search(pattern, words, re.IGNORECASE)) and (found := reply(match, known)) is not None:
            return found
    return Say(_shorten(f"You said: {words}"))


def answer_tool(name: str, *, succeeded: bool, text: str) -> Say:
    """Answer with what a tool returned."""
    if not succeeded:
        return Say(_shorten(f"The tool {name} failed: {text}"))
    return Say(_shorten(text.strip() or "Done."))


def _greet(match: re.Match[str], _: KnownConversation) -> Answer:
    return Say(f"Hello {match[1]}, nice to meet you.")


def _name(_: re.Match[str], known: KnownConversation) -> Answer:
    name = known.last_said(_MY_NAME)
    return Say(f"Your name is {name}." if name else "I don't know your name.")


def _count_messages(_: re.Match[str], known: KnownConversation) -> Answer:
    count = len(known.turns) - 1  # without the question
    return Say(f"I remember {count} message{'' if count == 1 else 's'}.")


def _repeat(match: re.Match[str], _: KnownConversation) -> Answer:
    return Say(_shorten(match[1]))


def _count(match: re.Match[str], _: KnownConversation) -> Answer:
    last = min(int(match[1]), _LONGEST_COUNT)
    return Say(", ".join(str(number) for number in range(1, last + 1)) + "." if last else "There is nothing to count.")


def _remember(match: re.Match[str], known: KnownConversation) -> Answer:
    if spec := known.tool("remember"):
        return UseTool(spec["name"], _arguments(spec, match[1]))
    return Say(_shorten(f"I will remember {match[1]}."))


def _recall(_: re.Match[str], known: KnownConversation) -> Answer:
    if spec := known.tool("recall"):
        return UseTool(spec["name"], {})
    things = known.all_said(_REMEMBER)
    return Say(_shorten(f"You asked me to remember {'; '.join(things)}.") if things else "You did not ask me to.")


def _forget(_: re.Match[str], known: KnownConversation) -> Answer:
    spec = known.tool("forget")
    return Say("I forget nothing.") if spec is None else UseTool(spec["name"], {})


def _time(match: re.Match[str], known: KnownConversation) -> Answer:
    spec = known.tool("time") or known.tool("clock")
    if spec is None:
        return Say("I have no clock.")
    return UseTool(spec["name"], _arguments(spec, match[1] or ""))


def _use(match: re.Match[str], known: KnownConversation) -> Answer:
    spec = known.tools.get(match[1])
    if spec is None:
        return Say(f"I have no tool {match[1]}.")
    given = match[2] or ""
    try:
        return UseTool(spec["name"], json.loads(given) if given.startswith("{") else _arguments(spec, given))
    except ValueError:
        return Say("I do not understand these arguments.")


def _instructions(_: re.Match[str], known: KnownConversation) -> Answer:
    return Say(_shorten(f"My instructions are: {known.instructions}") if known.instructions else "I have none.")


_MY_NAME = r"\bmy name(?:'s| is) ([^.,!?;:\n]+?)(?= and | but |[.,!?;:\n]|$)"
_REMEMBER = r"^(?:please )?remember (?:that )?(.+?)[.!]*$"

RULES: tuple[tuple[str, Callable[[re.Match[str], KnownConversation], Answer | None]], ...] = (
    (r"^(?:please )?drop the line\b", lambda _, __: DropConnection()),
    (r"^(?:please )?repeat after me[:,]? (.+)", _repeat),
    (r"\bwhat (?:did I ask you|do you|should you|did you)(?: to)? (?:remember|note)\b", _recall),
    (_REMEMBER, _remember),
    (r"^(?:please )?forget (?:everything|all of it|my notes)\b", _forget),
    (r"\bwhat(?:'s| is) my name\b|\bwho am I\b|\bdo you (?:know|remember) my name\b", _name),
    (_MY_NAME, _greet),
    (r"\bhow many messages\b", _count_messages),
    (r"\bcount to (\d{1,6})\b", _count),
    (r"\bwhat(?:'s| is)? (?:the )?time\b(?: is it)?(?: now)?(?: (?:in|at) ([^?.!]+))?", _time),
    (r"^(?:please )?use the tool (\w+)(?: with (.+))?$", _use),
    (r"\bwhat are your instructions\b", _instructions),
    (r"^(?:hello|hi)\b", lambda _, __: Say("Hello.")),
    (r"^(?:please )?(?:stop|be quiet)\b", lambda _, __: Say("Okay.")),
)
"""Patterns, and what to answer; None: try the next. A match is anywhere in the sentence unless it says ``^``."""


def _arguments(spec: ToolSpec, words: str) -> dict[str, Any]:
    """Fill a tool's text parameters from the words, a parameter about a time zone with the zone of a place."""
    schema = spec["inputSchema"].get("json", spec["inputSchema"])
    required = schema.get("required", [])
    filled = {}
    for name, kind in schema.get("properties", {}).items():
        if kind.get("type", "string") == "string" and (words or name in required):
            filled[name] = _zone(words) if "zone" in name.lower() else words
    return filled


def _zone(place: str) -> str:
    """Find the IANA time zone that is named after a place, UTC if there is none."""
    city = re.sub(r"[^\w-]+", "_", place.strip().title())
    for region in ("Europe", "America", "Asia", "Africa", "Australia", "Pacific", "Atlantic") if city else ():
        try:
            return zoneinfo.ZoneInfo(f"{region}/{city}").key
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
            continue
    return "UTC"


def _plain(text: str) -> str:
    return text.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'").strip()


def _shorten(text: str) -> str:
    return text if len(text) <= _LONGEST_ECHO else text[: _LONGEST_ECHO - 1].rstrip() + "…"
