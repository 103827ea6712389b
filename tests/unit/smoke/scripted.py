"""A deployment that is one small server: well by default, and wrong in the one way that a test asks for."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.server import ServerConnection, serve

from segue.lease.item import Known
from segue.wire.frames import (
    AudioFormat,
    AudioFormats,
    AudioInput,
    AudioOutput,
    BargeIn,
    Hello,
    InputAck,
    Ping,
    Pong,
    Ready,
    Received,
    Reconnect,
    TextInput,
    Transcript,
    decode_client_frame,
    encode_frame,
)

RATE = 16000
FORMAT = AudioFormat(rate=RATE, channels=1, format="pcm")


@dataclass
class Deployment:
    """The server's faults; all False is a deployment that is well.

    Attributes:
        lets_in: Without a token, and with a wrong one.
        echoes_nothing: No subprotocol.
        strays: An empty message for every frame.
        silent: Never ready.
        deaf: Hears no speech: no barge-in, no answer.
        says_twice: After a lost connection, the answer comes twice.
        forgets: No records for those who come back.
        moves: The holder's epoch grows with every text.
        mute: The session has no audio.
        direct: Connections lead to workers themselves.
        leaves: With every text, clients are asked to open their next connection.
        url: Where it listens.
    """

    lets_in: bool = False
    echoes_nothing: bool = False
    strays: bool = False
    silent: bool = False
    deaf: bool = False
    says_twice: bool = False
    forgets: bool = False
    moves: bool = False
    mute: bool = False
    direct: bool = False
    leaves: bool = False
    url: str = ""
    epoch: int = 1
    records: int = 0
    answers: list[tuple[int, str]] = field(default_factory=list)
    taken: Counter[str] = field(default_factory=Counter)
    seqs: Counter[tuple[str, int]] = field(default_factory=Counter)

    def admit(self, connection: ServerConnection, request: Any) -> Any:
        offered = request.headers.get("Sec-WebSocket-Protocol", "")
        return None if self.lets_in or "bearer.good" in offered else connection.respond(403, "")

    def choose(self, _: ServerConnection, offered: list[str]) -> str | None:
        return None if self.echoes_nothing or not offered else "segue.v1"

    async def talk(self, socket: ServerConnection) -> None:
        conversation = Conversation(self, socket)
        async for message in socket:
            if self.strays:
                await socket.send("")
            await conversation.take(message)


class Conversation:
    """One connection."""

    def __init__(self, deployment: Deployment, socket: ServerConnection) -> None:
        self._deployment = deployment
        self._socket = socket
        self._client = ""
        self._upto = 0
        self._hearing = False

    async def take(self, message: str | bytes) -> None:
        match decode_client_frame(message):
            case Ping():
                await self._socket.send(encode_frame(Pong()))
            case Hello() as hello if not self._deployment.silent:
                await self._greet(hello)
            case TextInput() as text:
                await self._answer(text.text, text.seq or 0)
            case AudioInput() as audio:
                await self._hear(audio)
            case _:
                pass

    async def _greet(self, hello: Hello) -> None:
        self._client = hello.client_id
        deployment = self._deployment
        self._upto = deployment.taken[self._client]
        ready = Ready(
            session=hello.session,
            known=Known(upto=self._upto),
            history=0,  # the holder is the same
            head=0 if deployment.forgets else deployment.records,
            since=hello.last_record,
            audio=None if deployment.mute else AudioFormats(input=FORMAT, output=FORMAT),
            features=("direct",) if deployment.direct else (),
        )
        await self._say(ready)
        if hello.last_record is not None:
            for record, text in deployment.answers:
                if record >= hello.last_record:
                    for _ in range(2 if deployment.says_twice else 1):
                        await self._say(Transcript(role="assistant", text=text, final=True, record=record))

    async def _answer(self, text: str, seq: int) -> None:
        deployment = self._deployment
        if seq <= deployment.taken[self._client]:
            return
        self._upto = deployment.taken[self._client] = seq
        if deployment.moves:
            deployment.epoch += 1
            await self._say(
                Ready(
                    session="s",
                    known=Known(upto=seq),
                    history=2,
                    head=deployment.records,
                    audio=AudioFormats(input=FORMAT, output=FORMAT),
                    features=("direct",) if deployment.direct else (),
                )
            )
        if deployment.leaves:
            await self._socket.send(encode_frame(Reconnect()))
        deployment.records += 2  # the text's, and the answer's
        answer = f"You said: {text}"
        deployment.answers.append((deployment.records, answer))
        await self._say(Received(upto=seq))
        await self._say(InputAck(upto=seq))
        await self._say(AudioOutput(audio=base64.b64encode(bytes(RATE // 5)).decode(), rate=RATE))
        await self._say(Transcript(role="assistant", text=answer, final=True, record=deployment.records))

    async def _hear(self, audio: AudioInput) -> None:
        self._upto = audio.seq or 0
        self._deployment.taken[self._client] = self._upto
        if self._upto % 16 == 0:
            await self._say(Received(upto=self._upto))
        loud = any(audio.pcm)
        if self._deployment.deaf:
            return
        if loud and not self._hearing:
            self._hearing = True
            await self._say(BargeIn())
        elif not loud and self._hearing:
            self._hearing = False
            self._deployment.records += 1
            await self._say(Transcript(role="user", text="a question", final=True, record=self._deployment.records))
            self._deployment.records += 1
            await self._say(AudioOutput(audio=base64.b64encode(bytes(RATE // 5)).decode(), rate=RATE))
            await self._say(Transcript(role="assistant", text="an answer", final=True, record=self._deployment.records))
            await self._say(InputAck(upto=self._upto))

    async def _say(self, frame: Any) -> None:
        import msgspec

        place = (self._client, self._deployment.epoch)
        self._deployment.seqs[place] += 1
        numbered = msgspec.structs.replace(frame, epoch=self._deployment.epoch, seq=self._deployment.seqs[place])
        await self._socket.send(encode_frame(numbered))


@contextlib.asynccontextmanager
async def deployed(**faults: bool) -> AsyncIterator[Deployment]:
    deployment = Deployment(**faults)
    async with serve(
        deployment.talk,
        "127.0.0.1",
        0,
        process_request=deployment.admit,
        select_subprotocol=deployment.choose,
        subprotocols=["segue.v1"],
        compression=None,
    ) as server:
        deployment.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/dev"
        yield deployment
        await asyncio.sleep(0)
