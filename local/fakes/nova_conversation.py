"""One conversation with the fake of Nova Sonic: its events, in the order in which AWS's user guide has them."""

from __future__ import annotations

import base64
import itertools
import json
import uuid
from typing import Any

from local.fakes.conversation import FakeConversation, result_text, spec_of
from local.fakes.event_stream import Decoder, encode
from local.fakes.fake import Fake
from local.fakes.http2 import Stream
from local.fakes.schemas_nova import Chunk, ContentStart, Envelope, PromptStart
from segue.testing.offline.history import SpokenTurn

TEXT_BYTES = 1024
HISTORY_BYTES = 40 * 1024


class NovaConversation(FakeConversation):
    """One connection."""

    def __init__(self, fake: Fake, stream: Stream, model: str) -> None:
        super().__init__(fake.pace, fake.filtering)
        self._fake, self._stream = fake, stream
        self.setup.model = model
        self._prompt = self._completion = self._user_content = self._audio_content = ""
        self._contents: dict[str, ContentStart] = {}
        self._texts: dict[str, str] = {}
        self._names: set[str] = set()
        self._history_bytes = 0
        self._live = self._complete = False
        self._output_bytes = 0
        self._ids = itertools.count(1)
        self._text = ""

    async def serve(self) -> None:
        """Take events until the client leaves."""
        decoder = Decoder()
        while (data := await self._stream.read()) is not None:
            for headers, payload in decoder.feed(data):
                if headers.get(":event-type") != "chunk":
                    raise self._fake.broken(f"an event of the type {headers.get(':event-type')}")
                chunk = self._fake.read(Chunk, payload)
                await self._take_event(self._fake.read(Envelope, base64.b64decode(chunk.bytes)))
                if self._complete:
                    await self._stream.write(b"", last=True)
                    return

    async def send(self, name: str, **fields: Any) -> None:
        """Send an event."""
        common = {"sessionId": "s", "promptName": self._prompt, "completionId": self._completion}
        event = {"event": {name: {**common, **fields}}}
        payload = json.dumps({"bytes": base64.b64encode(json.dumps(event).encode()).decode()}).encode()
        headers = {":event-type": "chunk", ":content-type": "application/json", ":message-type": "event"}
        await self._stream.write(encode(headers, payload))

    async def fail(self, kind: str, message: str) -> None:
        """End the stream with an exception."""
        headers = {":exception-type": kind, ":content-type": "application/json", ":message-type": "exception"}
        await self._stream.write(encode(headers, json.dumps({"message": message}).encode()), last=True)

    async def _take_event(self, envelope: Envelope) -> None:
        event = envelope.event
        given = [name for name in event.__struct_fields__ if getattr(event, name) is not None]
        if len(given) != 1:
            raise self._fake.broken(f"an event with {given}")
        await self._take_field(given[0], getattr(event, given[0]))

    async def _take_field(self, name: str, body: Any) -> None:
        if (
            (prompt := getattr(body, "prompt_name", None)) is not None
            and name != "prompt_start"
            and prompt != self._prompt
        ):
            raise self._fake.broken(f"{name} of another prompt")
        match name:
            case "session_start":
                self.setup.config = {"session_start": body}
            case "prompt_start":
                self._start_prompt(body)
            case "content_start":
                await self._start_content(body)
            case "text_input" | "tool_result":
                self._add(name, body)
            case "audio_input":
                await self._hear_audio(body)
            case "content_end":
                await self._end_content(body.content_name)
            case "prompt_end" if self._contents:
                raise self._fake.broken("the prompt ends with open contents")
            case "session_end":
                self._complete = True

    async def _hear_audio(self, audio: Any) -> None:
        self._checked_content(audio.content_name, "AUDIO")
        await self.heard_audio(base64.b64decode(audio.content, validate=True))

    def _start_prompt(self, prompt: PromptStart) -> None:
        self._prompt, self._completion = prompt.prompt_name, str(uuid.uuid4())
        self.setup.config["prompt_start"] = prompt
        for tool in prompt.tool_configuration.tools if prompt.tool_configuration else []:
            spec = tool.tool_spec
            self.setup.tools[spec.name] = spec_of(spec.name, spec.description, json.loads(spec.input_schema.json))
        self._rate = prompt.audio_output_configuration.sample_rate_hertz

    async def _start_content(self, content: ContentStart) -> None:
        if content.content_name in self._names:
            raise self._fake.broken("a content's name twice")
        if not self._prompt or (content.role != "SYSTEM" and not self._names):
            raise self._fake.broken("content before the prompt, or before the system's")
        self._names.add(content.content_name)
        self._contents[content.content_name] = content
        self._texts[content.content_name] = ""
        history = content.type == "TEXT" and not content.interactive and content.role != "SYSTEM"
        if history and self._live:
            raise self._fake.broken("history in the middle of the conversation")
        if history and not self.setup.history and content.role != "USER":
            raise self._fake.broken("a history that does not begin with the user")
        if not history and content.role != "SYSTEM" and not self._live:
            self._live = True
        if content.type == "AUDIO":
            if content.audio_input_configuration is None:
                raise self._fake.broken("audio without its format")
            self.listen(content.audio_input_configuration.sample_rate_hertz, self._rate)

    def _checked_content(self, name: str, kind: str) -> ContentStart:
        content = self._contents.get(name)
        if content is None or content.type != kind:
            raise self._fake.broken(f"input for no open content of the type {kind}")
        return content

    def _add(self, name: str, body: Any) -> None:
        self._checked_content(body.content_name, "TEXT" if name == "text_input" else "TOOL")
        if name == "text_input" and len(body.content.encode()) > TEXT_BYTES:
            raise self._fake.broken("a text input of more than 1 KB")
        self._texts[body.content_name] += body.content

    async def _end_content(self, name: str) -> None:
        content, text = self._contents.pop(name, None), self._texts.pop(name, "")
        if content is None:
            raise self._fake.broken("the end of a content that is not open")
        if content.role == "SYSTEM":
            self.setup.prompt = text
            await self._maybe_refuse("system")
        elif content.type == "TOOL":
            result = content.tool_result_input_configuration
            if result is None or result.tool_use_id not in self._tools_asked:
                raise self._fake.broken("the result of an unknown tool use")
            await self.heard_result(result.tool_use_id, result_text(json.loads(text)))
        elif content.type == "TEXT" and content.interactive:
            self._prepare()
            await self.heard_text(text)
        elif content.type == "TEXT":
            self._remember("assistant" if content.role == "ASSISTANT" else "user", text)
            await self._maybe_refuse("history")

    def _remember(self, role: Any, text: str) -> None:
        self._history_bytes += len(text.encode())
        if not text.strip() or self._history_bytes > HISTORY_BYTES:
            raise self._fake.broken("a history with a blank text, or of more than 40 KB")
        self.setup.history.append((role, text))
        self.turns.append(SpokenTurn(role, text))

    async def _maybe_refuse(self, moment: str) -> None:
        self.setup.config["at"] = moment
        if (refusal := self._fake.refuse(self)) is not None:
            await self.fail("validationException", refusal)

    def _prepare(self) -> None:
        if self._ear is None:
            self.listen(16000, self._rate)

    async def user_began(self) -> None:
        """Nova says nothing of it before the words are there."""

    async def user_said(self, text: str) -> None:
        """Speech that was heard."""
        await self._text_block("USER", "FINAL", text)

    async def begin(self) -> None:
        """Begin a response."""
        self._text, self._audio_content = "", ""

    async def say(self, word: str, pcm: bytes) -> None:
        """A word and its sound: text first, as what is going to be said."""
        self._text += word
        if not self._audio_content:
            self._speculative = self._id()
            stage = json.dumps({"generationStage": "SPECULATIVE"})
            place = {"contentId": self._speculative, "type": "TEXT", "role": "ASSISTANT"}
            await self.send("contentStart", **place, additionalModelFields=stage)
        await self.send("textOutput", contentId=self._speculative, role="ASSISTANT", content=word.strip() or word)
        if not self._audio_content:
            self._audio_content = self._id()
            await self.send("contentStart", contentId=self._audio_content, type="AUDIO", role="ASSISTANT")
        content = base64.b64encode(pcm).decode()
        await self.send("audioOutput", contentId=self._audio_content, role="ASSISTANT", content=content)

    @property
    def is_still_playing(self) -> bool:
        """True if the newest answer is taken to be still playing."""
        return self._fake.plays and self.heard != self._said

    async def end(self, text: str) -> None:
        """Complete a response; its spoken part is shown later, if it is being played."""
        place = {"contentId": self._speculative, "type": "TEXT", "stopReason": "PARTIAL_TURN"}
        await self.send("contentEnd", **place)
        await self.send("contentEnd", contentId=self._audio_content, type="AUDIO", stopReason="END_TURN")
        if not self._fake.plays:
            await self._text_block("ASSISTANT", "FINAL", text, stop="END_TURN")
        counts = {"input": {"speechTokens": 1, "textTokens": 4}, "output": {"speechTokens": 3, "textTokens": 4}}
        await self.send("usageEvent", details={"delta": counts}, totalInputTokens=5, totalOutputTokens=7)

    async def interrupted(self, text: str) -> None:
        """Tell what was spoken before the user interrupted, and a mark in the place of the rest."""
        if heard := self.heard:
            self.forget_unheard(text, heard)
            await self._text_block("ASSISTANT", "FINAL", heard)
        await self._text_block("ASSISTANT", "FINAL", '{ "interrupted" : true }', stop="INTERRUPTED")

    async def filtered(self, reason: str) -> None:
        """End the stream: no event tells of a single filtered answer."""
        await self.fail("validationException", reason)

    async def use_tool(self, tool_use_id: str, name: str, arguments: dict[str, Any]) -> None:
        """Ask for a tool."""
        content = self._id()
        await self.send("contentStart", contentId=content, type="TOOL", role="TOOL")
        body = json.dumps(arguments)
        await self.send("toolUse", contentId=content, toolName=name, toolUseId=tool_use_id, content=body)
        await self.send("contentEnd", contentId=content, type="TOOL", stopReason="TOOL_USE")

    async def reach_limit(self) -> None:
        """End the connection's time, of eight minutes."""
        await self.fail("modelTimeoutException", "Model has timed out in processing the request.")

    async def drop(self) -> None:
        """Abort the connection, as a failing network does."""
        self._stream.abort()

    async def _text_block(self, role: str, stage: str, text: str, stop: str = "PARTIAL_TURN") -> None:
        content = self._id()
        fields = json.dumps({"generationStage": stage})
        await self.send("contentStart", contentId=content, type="TEXT", role=role, additionalModelFields=fields)
        await self.send("textOutput", contentId=content, role=role, content=text)
        await self.send("contentEnd", contentId=content, type="TEXT", stopReason=stop)

    def _id(self) -> str:
        return f"content-{next(self._ids)}"
