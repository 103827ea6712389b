"""Gemini Live on loopback: a WebSocket over TLS, as its API reference describes it."""

from __future__ import annotations

import base64
import contextlib
import http
import itertools
import json
import re
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request
from websockets.protocol import State

from local.fakes import certificate
from local.fakes.conversation import FakeConversation, result_text, spec_of
from local.fakes.fake import LOOPBACK
from local.fakes.schemas_gemini import ClientContent, ClientMessage, Setup, ToolResponse
from local.fakes.sockets import SocketFake
from segue.testing.offline.history import SpokenTurn

KEY = "fake-gemini-key"


class FakeGemini(SocketFake):
    """The service.

    Attributes:
        sessions: What each handle stands for: the turns so far.
        holders: Which connection gave each handle.
        merges: Whether who speaks over the answer is added to the transcript before, as the service does at times.
        updates: Whether handles are given.
        transcribes: Whether what the user said is transcribed; the service leaves it out at times.
        contested: How often a handle was shown while the connection that it was given to was open.
    """

    def __init__(self, *, pace: float = 0.0) -> None:
        super().__init__(pace=pace)
        self.sessions: dict[str, list[SpokenTurn]] = {}
        self.holders: dict[str, GeminiConversation] = {}
        self.merges = True
        self.updates = True
        self.transcribes = True
        self.contested = 0
        self.numbers = itertools.count(1)
        self._folder = tempfile.TemporaryDirectory()
        self._certificate = certificate.make(Path(self._folder.name))
        self.tls = self._certificate.context

    async def stop(self) -> None:
        """End."""
        await super().stop()
        self._folder.cleanup()

    def environment(self) -> dict[str, str]:
        """The worker's variables."""
        return {
            "SEGUE_PROVIDER": "gemini-live",
            "SEGUE_PROVIDER_ENDPOINT": f"https://{LOOPBACK}:{self.port}",
            "GEMINI_API_KEY": KEY,
            "SSL_CERT_FILE": str(self._certificate.authority),
        }

    def refusal_of(self, request: Request) -> tuple[http.HTTPStatus, str] | None:
        """Refuse a wrong key."""
        key = request.headers.get("x-goog-api-key") or parse_qs(urlsplit(request.path).query).get("key", [""])[0]
        return None if key == KEY else (http.HTTPStatus.UNAUTHORIZED, "{}")

    def new_conversation(self, socket: ServerConnection) -> GeminiConversation:
        """Begin a conversation."""
        return GeminiConversation(self, socket)


class GeminiConversation(FakeConversation):
    """One connection."""

    def __init__(self, fake: FakeGemini, socket: ServerConnection) -> None:
        super().__init__(fake.pace, fake.filtering)
        self._fake, self._socket = fake, socket
        self._seeding = False
        self._names: dict[str, str] = {}

    async def serve(self) -> None:
        """Take messages until the client leaves."""
        first: Any = self._fake.read(ClientMessage, _camel(json.loads(await self._socket.recv())))
        if first.setup is None:
            raise self._fake.broken("the first message is no setup")
        if not await self._set_up(first.setup):
            return
        async for data in self._socket:
            message: Any = self._fake.read(ClientMessage, _camel(json.loads(data)))
            given = [name for name in message.__struct_fields__ if getattr(message, name) is not None]
            if len(given) != 1 or given == ["setup"]:
                raise self._fake.broken(f"a message with {given or 'nothing'}")
            if message.client_content is not None:
                await self._content(message.client_content)
            elif message.realtime_input is not None:
                await self._audio(message.realtime_input.audio)
            else:
                await self._results(message.tool_response)

    async def end_broken(self, problem: str) -> None:
        """End a connection whose client broke the rules."""
        await self._socket.close(1007, problem[:100])

    @property
    def connected(self) -> bool:
        """True while the connection is open."""
        return self._socket.state is State.OPEN

    async def send(self, **message: Any) -> None:
        """Send a message."""
        await self._socket.send(json.dumps(message).encode())

    async def _set_up(self, setup: Setup) -> bool:
        received = self.setup
        received.model = setup.model.removeprefix("models/")
        received.config = {"setup": setup}
        received.prompt = (
            "".join(part.text or "" for part in setup.system_instruction.parts) if setup.system_instruction else ""
        )
        for tool in setup.tools:
            for declared in tool.function_declarations:
                schema = _lower(declared.parameters or {})
                received.tools[declared.name] = spec_of(declared.name, declared.description, schema)
        received.handle = setup.session_resumption.handle if setup.session_resumption else None
        if received.handle is not None:
            if received.handle not in self._fake.sessions:
                await self._socket.close(1008, "BidiGenerateContent session not found")
                return False
            if (holder := self._fake.holders.get(received.handle)) is not None and holder.connected:
                self._fake.contested += 1
                await self._socket.close(1011, "Internal error encountered.")
                return False
            self.turns = list(self._fake.sessions[received.handle])
        self._seeding = bool(setup.history_config and setup.history_config.initial_history_in_client_content)
        if not self._seeding and await self._refused():
            return False
        await self.send(setupComplete={})
        if received.handle is not None:
            await self._update()
        return True

    async def _refused(self) -> bool:
        refusal = self._fake.refuse(self)
        if refusal is not None:
            await self._socket.close(1007, refusal)
        return refusal is not None

    async def _content(self, content: ClientContent) -> None:
        texts = [("".join(part.text or "" for part in turn.parts), turn.role) for turn in content.turns]
        if any(not text.strip() for text, _ in texts):
            raise self._fake.broken("a turn with a blank text")
        if self._seeding:
            self._seeding = False
            for text, role in texts:
                self.setup.history.append(("assistant" if role == "model" else "user", text))
                self.turns.append(SpokenTurn("assistant" if role == "model" else "user", text))
            await self._refused()
            return
        await self.heard_text(texts[-1][0])

    async def _audio(self, blob: Any) -> None:
        if blob is None or self._seeding:
            raise self._fake.broken("realtime input that is no audio, or before the history")
        if self._ear is None:
            self.listen(int(blob.mime_type.partition("rate=")[2]), 24000)
        await self.heard_audio(base64.urlsafe_b64decode(blob.data))

    async def _results(self, response: ToolResponse) -> None:
        for result in response.function_responses:
            if self._names.pop(result.id, None) != result.name:
                raise self._fake.broken(f"a response to an unknown call {result.id}")
            await self.heard_result(result.id, result_text(result.response))

    async def user_began(self) -> None:
        """Tell nothing: Gemini does not say that the user begins to speak."""

    async def user_said(self, text: str) -> None:
        """The user's words, never said to be complete."""
        for at in range(0, len(text) if self._fake.transcribes else 0, 8):
            await self.send(serverContent={"inputTranscription": {"text": text[at : at + 8]}})

    async def begin(self) -> None:
        """Send nothing: Gemini does not say that a response begins."""

    async def say(self, word: str, pcm: bytes) -> None:
        """A word and its sound."""
        await self.send(serverContent={"outputTranscription": {"text": word}})
        blob = {"data": base64.b64encode(pcm).decode(), "mimeType": "audio/pcm;rate=24000"}
        await self.send(serverContent={"modelTurn": {"role": "model", "parts": [{"inlineData": blob}]}})

    async def end(self, text: str) -> None:
        """Complete a response."""
        await self.send(serverContent={"generationComplete": True})
        usage = {"promptTokenCount": 5, "responseTokenCount": 7, "totalTokenCount": 12}
        await self.send(serverContent={"turnComplete": True}, usageMetadata=usage)
        await self._update()

    async def interrupted(self, text: str) -> None:
        """Tell that the user has interrupted."""
        await self.send(serverContent={"interrupted": True})
        if not self._fake.merges:
            await self.send(serverContent={"turnComplete": True})

    async def filtered(self, reason: str) -> None:
        """A turn without a word, and its reason."""
        await self.send(serverContent={"turnComplete": True, "turnCompleteReason": reason})

    async def use_tool(self, tool_use_id: str, name: str, arguments: dict[str, Any]) -> None:
        """Ask for a tool."""
        self._names[tool_use_id] = name
        await self.send(toolCall={"functionCalls": [{"id": tool_use_id, "name": name, "args": arguments}]})

    async def reach_limit(self) -> None:
        """End the connection's time, of about ten minutes."""
        await self.send(goAway={"timeLeft": "10s"})

    async def drop(self) -> None:
        """Abort the connection, as a failing network does."""
        self._socket.transport.abort()

    async def _update(self) -> None:
        if self._fake.updates:
            handle = f"handle-{next(self._fake.numbers)}"
            self._fake.sessions[handle], self._fake.holders[handle] = list(self.turns), self
            with contextlib.suppress(ConnectionClosed):
                await self.send(sessionResumptionUpdate={"newHandle": handle, "resumable": True})


def _camel(value: Any) -> Any:
    """Spell field names as the schema here: protocol buffers' JSON form takes both spellings."""
    match value:
        case dict():
            return {
                re.sub(r"_([a-z])", lambda found: found[1].upper(), key): inner
                if key in {"parameters", "response"}
                else _camel(inner)
                for key, inner in value.items()
            }
        case list():
            return [_camel(inner) for inner in value]
        case _:
            return value


def _lower(schema: Any) -> Any:
    """Gemini's schemas name types in capitals."""
    match schema:
        case dict():
            return {
                key: value.lower() if key == "type" and isinstance(value, str) else _lower(value)
                for key, value in schema.items()
            }
        case list():
            return [_lower(value) for value in schema]
        case _:
            return schema
