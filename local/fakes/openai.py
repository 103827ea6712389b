"""OpenAI Realtime on loopback: a WebSocket, as its API reference describes it."""

from __future__ import annotations

import base64
import http
import itertools
import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request

from local.fakes.conversation import FakeConversation, result_text, spec_of
from local.fakes.fake import LOOPBACK
from local.fakes.schemas_openai import (
    AudioAppend,
    ClientEvent,
    FunctionCallItem,
    FunctionOutputItem,
    ItemCreate,
    ItemTruncate,
    MessageItem,
    SessionUpdate,
)
from local.fakes.sockets import SocketFake
from segue.testing.offline.history import SpokenTurn

KEY = "fake-openai-key"
ALLOWED = {"user": "input_text", "assistant": "output_text", "system": "input_text"}


class FakeOpenAI(SocketFake):
    """The service.

    Attributes:
        refused_items: Texts of which no item is taken; the session goes on without them.
    """

    def __init__(self, *, pace: float = 0.0) -> None:
        super().__init__(pace=pace)
        self.refused_items: set[str] = set()

    def environment(self) -> dict[str, str]:
        """The worker's variables."""
        return {
            "SEGUE_PROVIDER": "openai-realtime",
            "SEGUE_PROVIDER_ENDPOINT": f"ws://{LOOPBACK}:{self.port}/v1/realtime",
            "OPENAI_API_KEY": KEY,
        }

    def refusal_of(self, request: Request) -> tuple[http.HTTPStatus, str] | None:
        """Refuse a wrong key or model."""
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return http.HTTPStatus.UNAUTHORIZED, '{"error": {"code": "invalid_api_key"}}'
        if "realtime" not in parse_qs(urlsplit(request.path).query).get("model", [""])[0]:
            return http.HTTPStatus.NOT_FOUND, '{"error": {"code": "model_not_found"}}'
        return None

    def new_conversation(self, socket: ServerConnection) -> OpenAIConversation:
        """Begin a conversation."""
        return OpenAIConversation(self, socket)


class OpenAIConversation(FakeConversation):
    """One session.

    Attributes:
        truncated: For what was truncated of its speech: item and milliseconds that are left.
        items: The items of the history that it was given, in order.
    """

    def __init__(self, fake: FakeOpenAI, socket: ServerConnection) -> None:
        super().__init__(fake.pace, fake.filtering)
        self._fake, self._socket = fake, socket
        self._ids = itertools.count(1)
        self._response = self._item = self._user_item = ""
        self._calls: dict[str, str] = {}
        self._audio_bytes_of_items: dict[str, int] = {}
        self._words_of_items: dict[str, list[tuple[str, float]]] = {}
        self.truncated: list[tuple[str, int]] = []
        self.items: list[str] = []
        self._configured = self._talking = False
        self._unanswered: Any = None
        request = socket.request
        self.setup.model = parse_qs(urlsplit(request.path).query)["model"][0] if request else ""

    async def serve(self) -> None:
        """Take events until the client leaves."""
        await self.send("session.created", session={"id": "sess_1", "type": "realtime"})
        async for data in self._socket:
            event: Any = self._fake.read(ClientEvent, data)  # type: ignore[arg-type]
            match event:
                case SessionUpdate():
                    await self._configure(event)
                case ItemCreate():
                    await self._add(event.item, event.event_id)
                case ItemTruncate():
                    await self._truncate(event)
                case AudioAppend():
                    self._talking = True
                    await self.heard_audio(base64.b64decode(event.audio, validate=True))
                case _:
                    await self._answer()

    async def end_broken(self, problem: str) -> None:
        """End a session whose client broke the rules."""
        await self.send("error", error={"type": "invalid_request_error", "message": problem})
        await self._socket.close(1008, "invalid request")

    async def send(self, kind: str, **fields: Any) -> None:
        """Send an event."""
        await self._socket.send(json.dumps({"type": kind, "event_id": self._id("event"), **fields}))

    async def _configure(self, event: SessionUpdate) -> None:
        session, received = event.session, self.setup
        received.prompt = session.instructions
        received.tools = {tool.name: spec_of(tool.name, tool.description, tool.parameters) for tool in session.tools}
        received.config = {"session": session}
        self.listen(session.audio.input.format.rate, session.audio.output.format.rate)
        self._configured = True
        if (refusal := self._fake.refuse(self)) is not None:
            error = {"type": "invalid_request_error", "code": "invalid_value", "param": refusal, "message": "no"}
            await self.send("error", error=error)
            return
        await self.send("session.updated", session={"id": "sess_1", "type": "realtime"})

    async def _add(self, item: MessageItem | FunctionCallItem | FunctionOutputItem, event_id: str | None) -> None:
        if not self._configured:
            raise self._fake.broken("an item before the session was configured")
        fields: dict[str, Any] = {"id": item.id or self._id("item"), "type": item.__struct_config__.tag}
        match item:
            case MessageItem():
                wrong = [part.type for part in item.content if part.type not in {ALLOWED[item.role], "input_image"}]
                if wrong or any(part.type != "input_image" and not (part.text or "").strip() for part in item.content):
                    raise self._fake.broken(f"{item.role} message with {wrong or 'a blank text'}")
                text = "\n".join(part.text or "" for part in item.content)
                if text in self._fake.refused_items:
                    error = {"type": "invalid_request_error", "code": "invalid_value", "param": "item.content"}
                    await self.send("error", error={**error, "message": "no", "event_id": event_id})
                    return
                fields["role"] = item.role
                self._message(item.role, text, live=item.id is not None)
            case FunctionCallItem():
                if item.call_id in self._calls:
                    raise self._fake.broken(f"function call {item.call_id} twice")
                self._calls[item.call_id] = item.name
                self.items.append(f"call {item.call_id}")
                json.loads(item.arguments)
            case FunctionOutputItem():
                self._output(item)
        await self.send("conversation.item.added", item=fields)
        await self.send("conversation.item.done", item=fields)

    def _message(self, role: str, text: str, *, live: bool) -> None:
        if role == "system":
            return
        if live:
            self._unanswered, self._talking = ("text", text), True
        else:
            if self._talking:
                raise self._fake.broken("history in the middle of the conversation")
            self.setup.history.append((role, text))
            self.items.append(f"{role}: {text}")
            self.turns.append(SpokenTurn(role, text))  # type: ignore[arg-type]

    def _output(self, item: FunctionOutputItem) -> None:
        if item.call_id not in self._calls:
            raise self._fake.broken(f"the output of an unknown call {item.call_id}")
        text = result_text(json.loads(item.output))
        if item.id is None:
            self.setup.calls.append((item.call_id, self._calls[item.call_id], text))
            self.items.append(f"output {item.call_id}")
        else:
            self._unanswered = ("result", item.call_id, text)

    async def _truncate(self, event: ItemTruncate) -> None:
        if event.audio_end_ms > self._audio_bytes_of_items.get(event.item_id, -1) / 48:
            raise self._fake.broken(f"{event.item_id} is no speech, or already shorter than {event.audio_end_ms} ms")
        self.truncated.append((event.item_id, event.audio_end_ms))
        self._audio_bytes_of_items[event.item_id] = event.audio_end_ms * 48
        words = self._words_of_items[event.item_id]
        heard_words = self._words_of_items[event.item_id] = [
            (word, at) for word, at in words if at * 1000 < event.audio_end_ms
        ]
        if heard_words != words:
            self.forget_unheard("".join(word for word, _ in words), "".join(word for word, _ in heard_words))
        place = {"item_id": event.item_id, "content_index": 0, "audio_end_ms": event.audio_end_ms}
        await self.send("conversation.item.truncated", **place)

    async def _answer(self) -> None:
        question, self._unanswered = self._unanswered, None
        if question is None:
            raise self._fake.broken("a response was asked for without anything to answer")
        if self._fake.failing:
            code = self._fake.failing.pop(0)
            await self.begin()
            details = {"type": "failed", "error": {"type": "server_error", "code": code}}
            await self._done("failed", [], status_details=details)
        elif question[0] == "text":
            await self.heard_text(question[1])
        else:
            await self.heard_result(question[1], question[2])

    async def user_began(self) -> None:
        """Tell that speech was detected."""
        self._user_item = self._id("item")
        await self.send("input_audio_buffer.speech_started", item_id=self._user_item, audio_start_ms=0)

    async def user_said(self, text: str) -> None:
        """Tell that the end of speech was detected, and its transcription."""
        item_id = self._user_item
        await self.send("input_audio_buffer.speech_stopped", item_id=item_id, audio_end_ms=1)
        await self.send("input_audio_buffer.committed", item_id=item_id, previous_item_id=None)
        item = {"id": item_id, "type": "message", "role": "user", "content": [{"type": "input_audio"}]}
        await self.send("conversation.item.added", item=item)
        kind = "conversation.item.input_audio_transcription"
        await self.send(f"{kind}.delta", item_id=item_id, content_index=0, delta=text)
        await self.send(f"{kind}.completed", item_id=item_id, content_index=0, transcript=text, usage={})

    async def begin(self) -> None:
        """Begin a response."""
        self._response, self._item = self._id("resp"), self._id("item")
        await self.send("response.created", response={"id": self._response, "status": "in_progress"})

    async def say(self, word: str, pcm: bytes) -> None:
        """A word and its sound."""
        self._words_of_items[self._item] = self._words
        place = {"response_id": self._response, "item_id": self._item, "output_index": 0, "content_index": 0}
        await self.send("response.output_audio_transcript.delta", delta=word, **place)
        if pcm:
            self._audio_bytes_of_items[self._item] = self._audio_bytes_of_items.get(self._item, 0) + len(pcm)
            await self.send("response.output_audio.delta", delta=base64.b64encode(pcm).decode(), **place)

    async def end(self, text: str) -> None:
        """Complete a response."""
        place = {"response_id": self._response, "item_id": self._item, "output_index": 0, "content_index": 0}
        await self.send("response.output_audio.done", **place)
        await self.send("response.output_audio_transcript.done", transcript=text, **place)
        await self._done("completed", [_spoken(self._item, text)])

    async def interrupted(self, text: str) -> None:
        """Tell that the user has interrupted."""
        details = {"type": "cancelled", "reason": "turn_detected"}
        await self._done("cancelled", [_spoken(self._item, text)], status_details=details)

    async def filtered(self, reason: str) -> None:
        """A response that is cut off before its first word."""
        await self.begin()
        await self._done("incomplete", [], status_details={"type": "incomplete", "reason": reason})

    async def use_tool(self, tool_use_id: str, name: str, arguments: dict[str, Any]) -> None:
        """Ask for a tool."""
        await self.begin()
        self._calls[tool_use_id] = name
        item = {
            "id": self._item, "type": "function_call", "status": "completed", "call_id": tool_use_id, "name": name,
            "arguments": json.dumps(arguments),
        }  # fmt: skip
        await self.send("response.output_item.done", response_id=self._response, output_index=0, item=item)
        await self._done("completed", [item])

    async def reach_limit(self) -> None:
        """End the connection's time, of sixty minutes."""
        await self.send("error", error={"type": "invalid_request_error", "code": "session_expired", "message": "over"})
        await self._socket.close(1001)

    async def drop(self) -> None:
        """Abort the connection, as a failing network does."""
        self._socket.transport.abort()

    async def _done(self, status: str, output: list[Any], **more: Any) -> None:
        usage = {"input_tokens": 5, "output_tokens": 7, "total_tokens": 12}
        response = {"id": self._response, "status": status, "output": output, "usage": usage, **more}
        await self.send("response.done", response=response)

    def _id(self, kind: str) -> str:
        return f"{kind}_{next(self._ids)}"


def _spoken(item_id: str, text: str) -> dict[str, Any]:
    content = [{"type": "output_audio", "transcript": text}]
    return {"id": item_id, "type": "message", "role": "assistant", "status": "completed", "content": content}
