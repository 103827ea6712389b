"""One connection of the offline model, from start to stop.

    typed text ─────────────────────▶ interrupt ─▶ turn ─▶ answer ─▶ a response, a tool use, or the line drops
    audio ─▶ ear ─ speech begins ───▶ interrupt, user's transcript starts
                 └ speech ends ─────▶ user's transcript stops ─▶ turn ─▶ answer ─▶ ...
    tool result ─▶ waits until nothing is being said ─▶ a response

For development and tests.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections import deque
from collections.abc import AsyncIterator, Iterable

from strands.bidi.models import ConnectionTimeoutError
from strands.bidi.types.events import (
    BidiBargeInEvent,
    BidiOutputEvent,
    BidiToolUseBlocksEvent,
    BidiTranscriptDeltaEvent,
    BidiTranscriptStartEvent,
    BidiTranscriptStopEvent,
)
from strands.types.tools import ToolResultBlock, ToolResultContent

from segue.testing.offline.answers import (
    INAUDIBLE,
    SORRY,
    Answer,
    DropConnection,
    KnownConversation,
    Say,
    UseTool,
    answer,
    answer_tool,
)
from segue.testing.offline.history import SpokenTurn
from segue.testing.offline.ledger import Ledger
from segue.testing.offline.output_queue import OutputQueue
from segue.testing.offline.response import OfflineResponse, Voice
from segue.testing.offline.tones import Ear, Heard, words_in_time


class OfflineConnection:
    """One connection: the state that a provider keeps of a conversation while it lasts.

    Attributes:
        id: Names the connection.
    """

    def __init__(
        self, known: KnownConversation, tool_names: dict[str, str], ear: Ear, voice: Voice, ledger: Ledger
    ) -> None:
        """Open a connection.

        Args:
            known: The conversation so far, the tools and the instructions.
            tool_names: Tool uses that a result may come for, names by id.
            ear: Listens to the audio that comes in.
            voice: Speaks.
            ledger: Keeps what was heard and said.
        """
        self.id = uuid.uuid4().hex
        self._known = known
        self._tool_names = tool_names
        self._ear = ear
        self._voice = voice
        self._ledger = ledger
        self._outbox = OutputQueue()
        self._answers: deque[Answer] = deque()
        self._response: OfflineResponse | None = None
        self._speaking: asyncio.Task[None] | None = None
        self._transcript_id: str | None = None  # of the user's speech under way

    async def receive(self) -> AsyncIterator[BidiOutputEvent]:
        """Yield events until the connection is closed.

        Raises:
            ConnectionTimeoutError: The line was dropped.
        """
        while (event := await self._outbox.next_event()) is not None:
            yield event

    def add(self, turns: Iterable[SpokenTurn], tool_names: dict[str, str]) -> None:
        """Take turns that were taken elsewhere, and answer none of them.

        Args:
            turns: What was said.
            tool_names: Tool uses among them, names by id.
        """
        self._known.turns.extend(turns)
        self._tool_names.update(tool_names)

    def hear_text(self, text: str) -> None:
        """Take typed words, and answer them at once. What is being said is cut off."""
        if self._outbox.ended:
            return
        self._ledger.hear("text", text)
        self._interrupt()
        self._take_turn(text)

    def hear_audio(self, pcm: bytes) -> None:
        """Listen to a piece of audio; answer what ends in it, fall silent for what begins in it."""
        if self._outbox.ended:
            return
        for heard in self._ear.feed(pcm):
            self._open_transcript()
            self._understand(heard)
        if self._ear.hearing:
            self._open_transcript()

    def hear_tool_result(self, block: ToolResultBlock) -> None:
        """Take what a tool returned, and answer with it when nothing else is being said.

        Raises:
            ValueError: The model never asked for this, or the result has neither text nor JSON.
        """
        if self._outbox.ended:
            return
        name = self._tool_names.pop(block.tool_use_id, None)
        if name is None:
            raise ValueError(f"tool_use_id={block.tool_use_id}: no such tool use on this connection or in its history")
        text = "\n".join(_tool_text(content) for content in block.content)
        self._ledger.hear("tool_result", text)
        self._answers.append(answer_tool(name, succeeded=block.status == "success", text=text))
        self._go_on()

    def drop(self, reason: str) -> None:
        """Break the connection as a provider does at its limit: receive raises, and what comes in is lost."""
        if self._outbox.ended:
            return
        self._silence()
        self._outbox.end(ConnectionTimeoutError(reason))
        self._ledger.write_line("dropped", connection=self.id, reason=reason)

    async def close(self) -> None:
        """Stop speaking and let receive end."""
        speaking = self._speaking
        self._silence()
        self._outbox.end()
        if speaking is not None:
            await asyncio.wait({speaking})

    def _open_transcript(self) -> None:
        if self._transcript_id is None:
            self._interrupt()
            self._transcript_id = uuid.uuid4().hex
            self._outbox.put(BidiTranscriptStartEvent("user", self._transcript_id))

    def _understand(self, heard: Heard) -> None:
        """Close the user's transcript with what was understood, and answer."""
        # Blank speech is no transcript: providers do not take a blank text back as history.
        text = heard.text if heard.text and heard.text.strip() else None
        self._ledger.hear("garbled" if text is None else "speech", text)
        content_id, self._transcript_id = str(self._transcript_id), None
        for word, _ in words_in_time(text or INAUDIBLE):
            self._outbox.put(BidiTranscriptDeltaEvent(word, "user", content_id))
        self._outbox.put(BidiTranscriptStopEvent("user", content_id))
        self._take_turn(text)

    def _take_turn(self, text: str | None) -> None:
        self._known.turns.append(SpokenTurn("user", text or INAUDIBLE))
        # Before the tool results that may be waiting: a person expects an answer to the last thing said.
        self._answers.appendleft(answer(self._known) if text else Say(SORRY))
        self._go_on()

    def _go_on(self) -> None:
        """Give the answers that are due, until one of them takes time."""
        while self._answers and self._response is None and not self._outbox.ended:
            match self._answers.popleft():
                case Say(text):
                    self._response = self._respond()
                    self._speaking = asyncio.create_task(self._speak(self._response, text))
                case UseTool(name, arguments):
                    response = self._respond()
                    tool_use_id = uuid.uuid4().hex
                    self._tool_names[tool_use_id] = name
                    self._outbox.put(
                        BidiToolUseBlocksEvent([{"toolUseId": tool_use_id, "name": name, "input": arguments}])
                    )
                    response.close()
                case DropConnection():
                    self.drop("the connection was dropped on request")

    def _respond(self) -> OfflineResponse:
        return OfflineResponse(self._outbox, asked=self._known.turns[-1].text if self._known.turns else "")

    async def _speak(self, response: OfflineResponse, text: str) -> None:
        try:
            await response.speak(text, self._voice)
        except Exception as error:
            # The reader of events must learn of it: no other code waits for this task.
            self._outbox.end(error)
            raise
        self._close_response(response)
        self._go_on()

    def _interrupt(self) -> None:
        """Cut off what is being said, because the user began to say something."""
        if (response := self._response) is not None:
            self._silence()
            self._outbox.put(BidiBargeInEvent())
            self._close_response(response)

    def _silence(self) -> None:
        if self._speaking is not None:
            self._speaking.cancel()
        self._response = self._speaking = None

    def _close_response(self, response: OfflineResponse) -> None:
        response.close()
        self._response = self._speaking = None
        if response.said:
            self._known.turns.append(SpokenTurn("assistant", response.said))
            self._ledger.write_line("said", text=response.said)


def _tool_text(content: ToolResultContent) -> str:
    if "text" in content:
        return content["text"]
    if "json" in content:
        return json.dumps(content["json"], ensure_ascii=False)
    raise ValueError(f"a tool returned {', '.join(content)}: only text and JSON are understood")
