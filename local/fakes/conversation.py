"""A conversation without a protocol: what a fake provider hears, and what it answers."""

from __future__ import annotations

import abc
import asyncio
import contextlib
import json
import uuid
from dataclasses import dataclass, field
from typing import Any

from segue.testing.offline.answers import Answer, DropConnection, KnownConversation, Say, UseTool, answer, answer_tool
from segue.testing.offline.history import SpokenTurn
from segue.testing.offline.tones import Ear, speak, words_in_time

SAMPLE_BYTES = 2
IDLE_STEP_SECONDS = 0.1


@dataclass
class ConnectionSetup:
    """Context that a connection was given before the first word: the provider's side of a restore.

    Attributes:
        model: The model that was asked for.
        prompt: The system prompt.
        tools: The tools, by name.
        history: Who said what.
        calls: Tool calls of the history: id, name and what came back.
        handle: The resumption handle that was shown.
        config: Everything else of the configuration, as it came.
    """

    model: str = ""
    prompt: str = ""
    tools: dict[str, Any] = field(default_factory=dict)
    history: list[tuple[str, str]] = field(default_factory=list)
    calls: list[tuple[str, str, str | None]] = field(default_factory=list)
    handle: str | None = None
    config: dict[str, Any] = field(default_factory=dict)


class FakeConversation(abc.ABC):
    """One connection's conversation. Protocols say what happens in it.

    Attributes:
        told: What it was told at its start.
        turns: What was said, history included.
        live: What was typed or spoken on this connection.
        spoken: What it has said on this connection.
        closed: Set when the connection has ended.
        idle: Set when it was without audio for too long, and was ended for that.
        words_generated: Words after which an answer waits to be interrupted; None if it is generated to its end.
    """

    def __init__(self, pace: float, filters: list[str]) -> None:
        self._filters = filters
        self.setup = ConnectionSetup()
        self.turns: list[SpokenTurn] = []
        self.live: list[str] = []
        self.spoken: list[str] = []
        self.results: list[tuple[str, str]] = []
        self.closed = asyncio.Event()
        self.idle = asyncio.Event()
        self.audio_bytes = 0
        self.words_generated: int | None = None
        self._idle_watch: asyncio.Task[None] | None = None
        self._pace = pace
        self._ear: Ear | None = None
        self._output_rate = 24000
        self._hearing = False
        self._speaking: asyncio.Task[None] | None = None
        self._said = ""
        self._words: list[tuple[str, float]] = []
        self._began = 0.0
        self._cut_off = False
        self._tools_asked: dict[str, str] = {}

    @property
    def heard(self) -> str:
        """The words of the newest answer that have begun to sound by now, played in real time from its first on."""
        since = asyncio.get_running_loop().time() - self._began
        return "".join(word for word, second in self._words if second < since)

    @property
    def is_still_playing(self) -> bool:
        """True if the newest answer is taken to be still playing."""
        return False

    def listen(self, input_rate: int, output_rate: int) -> None:
        """Set the audio formats."""
        self._ear, self._output_rate = Ear(input_rate), output_rate

    def watch(self, seconds: float) -> None:
        """End the connection once no audio came for so long, counted in steps that a busy machine makes longer."""
        self._idle_watch = asyncio.create_task(self._watch_audio(round(seconds / IDLE_STEP_SECONDS)))

    async def _watch_audio(self, step_limit: int) -> None:
        bytes_before = steps = 0
        while steps < step_limit:
            await asyncio.sleep(IDLE_STEP_SECONDS)
            bytes_before, steps = self.audio_bytes, steps + 1 if bytes_before == self.audio_bytes else 0
        self.idle.set()
        await self.drop()

    async def heard_text(self, text: str) -> None:
        """Take typed words, and answer them."""
        await self._interrupt()
        self.live.append(text)
        await self._answer_text(text)

    async def heard_audio(self, pcm: bytes) -> None:
        """Take audio; answer the utterances that end in it, fall silent for one that begins."""
        self.audio_bytes += len(pcm)
        if self._ear is None:
            raise ValueError("audio before its format")
        for heard in self._ear.feed(pcm):
            await self._begin_speech()
            text = heard.text or "[inaudible]"
            self._hearing = False
            self.live.append(text)
            await self.user_said(text)
            await self._answer_text(text)
        if self._ear.hearing:
            await self._begin_speech()

    async def heard_result(self, tool_use_id: str, text: str, *, succeeded: bool = True) -> None:
        """Take what a tool returned, and answer with it."""
        self.results.append((tool_use_id, text))
        name = self._tools_asked.pop(tool_use_id, "tool")
        await self._perform(answer_tool(name, succeeded=succeeded, text=text))

    async def finish(self) -> None:
        """Stop talking: the connection has ended."""
        if self._idle_watch is not None:
            self._idle_watch.cancel()
        await self._stop_speaking()
        self.closed.set()

    @abc.abstractmethod
    async def user_began(self) -> None:
        """Tell that the user begins to speak."""

    @abc.abstractmethod
    async def user_said(self, text: str) -> None:
        """Tell what the user has said."""

    @abc.abstractmethod
    async def begin(self) -> None:
        """Begin a response."""

    @abc.abstractmethod
    async def say(self, word: str, pcm: bytes) -> None:
        """A piece of a response."""

    @abc.abstractmethod
    async def end(self, text: str) -> None:
        """Complete a response."""

    @abc.abstractmethod
    async def interrupted(self, text: str) -> None:
        """Tell that the user has interrupted a response."""

    @abc.abstractmethod
    async def filtered(self, reason: str) -> None:
        """End an answer as the provider's filter does."""

    @abc.abstractmethod
    async def use_tool(self, tool_use_id: str, name: str, arguments: dict[str, Any]) -> None:
        """Ask for a tool."""

    @abc.abstractmethod
    async def reach_limit(self) -> None:
        """End the connection as the provider does at its time limit."""

    @abc.abstractmethod
    async def drop(self) -> None:
        """Lose the connection without a word."""

    async def _begin_speech(self) -> None:
        if not self._hearing:
            self._hearing = True
            await self._interrupt()
            await self.user_began()

    async def _answer_text(self, text: str) -> None:
        if self._filters:
            await self.filtered(self._filters.pop(0))
            return
        self.turns.append(SpokenTurn("user", text))
        conversation = KnownConversation(self.turns, self.setup.tools, self.setup.prompt)
        await self._perform(answer(conversation))

    async def _perform(self, reply: Answer) -> None:
        await self._stop_speaking()
        match reply:
            case Say(text):
                self._speaking = asyncio.create_task(self._speak(text))
            case UseTool(name, arguments):
                tool_use_id = uuid.uuid4().hex[:24]
                self._tools_asked[tool_use_id] = name
                await self.use_tool(tool_use_id, name, arguments)
            case DropConnection():
                await self.reach_limit()

    async def _speak(self, text: str) -> None:
        pcm, start = speak(text, self._output_rate), 0
        self._said, self._words, self._cut_off = "", [], False
        self._began = asyncio.get_running_loop().time()
        await self.begin()
        words = words_in_time(text)
        for number, (word, second) in enumerate(words):
            if number == self.words_generated:
                await asyncio.Event().wait()
            end = len(pcm) if number == len(words) - 1 else int(second * self._output_rate) * SAMPLE_BYTES
            self._said += word
            self._words.append((word, start / SAMPLE_BYTES / self._output_rate))
            await self.say(word, pcm[start:end])
            await asyncio.sleep(self._pace * (end - start) / SAMPLE_BYTES / self._output_rate)
            start = end
        self._speaking = None
        self._remember_answer(text)
        await self.end(text)

    async def _interrupt(self) -> None:
        if self._speaking is not None:
            await self._stop_speaking()
            self._remember_answer(self._said)
            await self.interrupted(self._said)
        elif self.is_still_playing and not self._cut_off:
            await self.interrupted(self._said)
        self._cut_off = True

    def forget_unheard(self, said: str, heard: str) -> None:
        """Remember of an answer only what was heard."""
        index = max(number for number, turn in enumerate(self.turns) if turn == SpokenTurn("assistant", said))
        self.turns[index] = SpokenTurn("assistant", heard)

    async def _stop_speaking(self) -> None:
        task, self._speaking = self._speaking, None
        if task is not None and task is not asyncio.current_task():
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def _remember_answer(self, text: str) -> None:
        if text:
            self.turns.append(SpokenTurn("assistant", text))
            self.spoken.append(text)


def spec_of(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    """A tool as the table of answers reads it."""
    return {"name": name, "description": description, "inputSchema": {"json": schema}}


def result_text(content: Any) -> str:
    """The text in a tool's result, in whichever form it was sent."""
    match content:
        case {"text": str(text)}:
            return text
        case {"json": value}:
            return json.dumps(value)
        case {"content": parts} | {"result": parts}:
            return result_text(parts)
        case list():
            return "\n".join(map(result_text, content))
        case _:
            return str(content)
