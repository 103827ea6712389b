"""A server in process: one session, behind a network that loses, doubles and reorders frames and cuts connections."""

from __future__ import annotations

import asyncio
import contextlib
import random
from http import HTTPStatus

import pytest
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

from segue.client import ClientSettings
from segue.lease.item import Known
from segue.wire.frames import (
    AnswerInput,
    Approval,
    ApprovalRequest,
    AudioInput,
    AudioOutput,
    Bye,
    FrameError,
    Hello,
    ImageInput,
    InputAck,
    OutputAck,
    Ping,
    Pong,
    Ready,
    TextInput,
    TextOutput,
    Transcript,
    WaitingTool,
    decode_client_frame,
    encode_batch,
    encode_frame,
    error_frame,
)
from segue.wire.output import OutputNumbering
from segue.wire.receiver import Receiver
from segue.wire.sender import SenderSettings
from tests.support.waiting import within

JUNK = '{"message": "Internal server error", "connectionId":"x", "requestId":"y"}'

ASKS = "Forget everything"
"""A text that the session answers with a question."""

QUICK = {
    "sender": SenderSettings(text_timeout=0.1, audio_timeout=0.1, longest_timeout=0.4, rate=2000.0, burst=50),
    "ready_timeout": 20.0,
    "hello_interval": 0.1,
    "longest_hello_interval": 0.2,
    "shortest_hello_interval": 0.01,
    "gap_patience": 0.05,
    "ack_delay": 0.02,
    "busy_pause": 0.05,
    "first_backoff": 0.01,
    "longest_backoff": 0.05,
    "close_timeout": 0.5,
}


def quick(**changes):
    return ClientSettings(**(QUICK | changes))


class Network:
    """Network whose faults a seeded die decides. With ``frequency`` 0 it has none."""

    def __init__(self, seed=0, frequency=0.0):
        self.random = random.Random(seed)
        self.frequency = frequency
        self.held = []

    def passing(self, frame):
        """The frames that come through when this one is sent."""
        if self.random.random() >= self.frequency:
            released, self.held = [frame, *self.held], []
            return released
        fate = self.random.choice(["lose", "double", "hold"])
        if fate == "hold":
            self.held.append(frame)
        return [frame, frame] if fate == "double" else []


class Server:
    """One session and its holder. All input is committed at once and answered with two records."""

    features = ()

    def __init__(self):
        self.journal = []
        self.epoch = 1
        self.heard = []
        self.connections = []
        self.handshakes = []
        self.refuse_with = None
        self.silent_handshakes = 0
        self.refusals = []
        self.closes = []
        self.answer_hello = True
        self.answer_ping = True
        self.bound = {}
        self.inbound = Network()
        self.outbound = Network()
        self.cut_every = None
        self.take_over_every = None
        self.said = asyncio.Condition()
        self.one_at_a_time = asyncio.Lock()
        self._server = None
        self.take_over()

    async def start(self):
        self._server = await serve(
            self._serve,
            "127.0.0.1",
            0,
            compression=None,
            process_request=self._handshake,
            select_subprotocol=lambda _, offered: offered[0] if offered else None,
            open_timeout=None,  # a handshake that is not answered is the client's to give up
            close_timeout=0.2,
        )
        return self

    async def stop(self):
        if self._server:
            self._server.close()
            await self._server.wait_closed()

    @property
    def url(self):
        return f"ws://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/stage"

    @property
    def texts(self):
        return [content for role, _, content in self.journal if role == "user"]

    def known(self, client_id):
        inputs = ((who, seq) for role, (who, seq), _ in self.journal if role in {"user", "answer"})
        return Known().adding(tuple(seq for who, seq in inputs if who == client_id))

    def take_over(self, *, greet=False):
        """Another holder has the session now."""
        self.epoch += 1
        self.receivers = {}
        self.numbering = OutputNumbering(self.epoch)
        self.listeners = {}
        if greet and self.connections:
            self.listeners[self.heard[0].client_id] = self.connections[-1]
            return self.greet(self.heard[0].client_id, None)
        return None

    def cut(self):
        """The connection ends without a word."""
        self.connections[-1].transport.abort()

    async def heard_all(self, condition):
        async with within(20), self.said:
            await self.said.wait_for(lambda: condition(self))

    async def greet(self, client_id, since):
        head = len(self.journal)
        again = [self.frame(record) for record in range(max(since, 0), head)] if since is not None else []
        known, features = self.known(client_id), self.features
        ready = Ready(session="s", known=known, history=0, head=head, since=since, features=features)
        await self.post(client_id, ready, *again)

    async def post(self, client_id, *frames):
        """One message."""
        stamped = encode_batch([self.numbering.stamp(client_id, frame) for frame in frames])
        for message in self.outbound.passing(stamped):
            with contextlib.suppress(ConnectionClosed):
                await self.listeners[client_id].send(message)

    def frame(self, record):
        role, _, content = self.journal[record]
        if role == "user":
            return Transcript(role="user", text=content, final=True, record=record)
        if role == "ask":
            request = ApprovalRequest(id="i", name="forget", tool_use_id="t")
            waiting = WaitingTool(tool_use_id="t", name="forget", input={})
            return Approval(status="asked", requests=(request,), tools=(waiting,), seconds=300.0, record=record)
        if role == "answer":
            return Approval(status="answered", of=record - 1, record=record)
        return TextOutput(text=content, record=record)

    async def _handshake(self, connection, request):
        self.handshakes.append(request.headers)
        if self.silent_handshakes:
            self.silent_handshakes -= 1
            await connection.wait_closed()
        if self.refusals:
            return connection.respond(HTTPStatus(self.refusals.pop(0)), "no\n")
        if self.refuse_with:
            return connection.respond(HTTPStatus(self.refuse_with), "no\n")
        return None

    async def _serve(self, socket):
        if self.closes:
            await socket.close(self.closes.pop(0))
            return
        self.connections.append(socket)
        noise = asyncio.create_task(self._noise(socket))
        try:
            async for message in socket:
                for passed in self.inbound.passing(message):
                    async with self.one_at_a_time:
                        await self._take(socket, decode_client_frame(passed))
        except (ConnectionClosed, FrameError):
            pass
        finally:
            noise.cancel()

    async def _noise(self, socket):
        """There is always some audio on the way, and sometimes what is no protocol at all."""
        try:
            while True:
                await asyncio.sleep(0.02)
                for client_id in [one for one, at in self.listeners.items() if at is socket]:
                    await socket.send(JUNK)
                    await self.post(client_id, AudioOutput(audio="AAAA", rate=8000))
        except ConnectionClosed:
            pass

    async def _take(self, socket, frame):
        self.heard.append(frame)
        who = next((one for one, at in self.listeners.items() if at is socket), self.bound.get(socket))
        match frame:
            case Hello() if self.answer_hello:
                self.bound[socket] = frame.client_id
                self.listeners[frame.client_id] = socket
                await self.greet(frame.client_id, frame.last_record)
            case Ping() if self.answer_ping:
                await socket.send(encode_frame(Pong()))
            case TextInput() | AudioInput() | ImageInput() | AnswerInput() if who not in self.listeners:
                await socket.send(encode_frame(error_frame("hello_first")))
            case TextInput() | AudioInput() | ImageInput() | AnswerInput() if frame.seq is None:
                await self._commit(who, frame)
            case TextInput() | AudioInput() | ImageInput() | AnswerInput():
                receiver = self.receivers.setdefault(who, Receiver(self.known(who)))
                for taken in receiver.offer(frame.seq, frame):
                    if self.receivers.get(who) is receiver:  # what a holder has taken is gone with it
                        await self._commit(who, taken)
                if self.receivers.get(who) is receiver and frame.seq in self.known(who):
                    await self._acknowledge(who)
            case OutputAck() | Bye() | _:
                pass
        async with self.said:
            self.said.notify_all()

    async def _acknowledge(self, who):
        known = self.known(who)
        await self.post(who, InputAck(upto=known.upto, beyond=known.beyond))

    async def _commit(self, who, frame):
        first = len(self.journal)
        if isinstance(frame, AnswerInput):
            content = str(frame.responses[0].response)
            said = ("answer", (who, frame.seq or 0), content), ("agent", (who, 0), f"you answered {content}")
        else:
            content = frame.text if isinstance(frame, TextInput) else getattr(frame, "pcm", b"image").hex()
            reply = ("ask", (who, 0), "") if content == ASKS else ("agent", (who, 0), f"you said {content}")
            said = ("user", (who, frame.seq or 0), content), reply
        self.journal += said
        turns = len(self.journal) // 2
        if self.take_over_every and turns % self.take_over_every == 0:
            self.take_over()  # committed, and no client was told
        elif self.cut_every and turns % self.cut_every == 0:
            self.cut()
        else:
            await self._acknowledge(who)
            for client_id in list(self.listeners):
                await self.post(client_id, self.frame(first))
                await self.post(client_id, self.frame(first + 1))


@pytest.fixture
async def server():
    started = await Server().start()
    yield started
    await started.stop()


async def events_until(client, condition):
    """The events up to the first that fits."""
    events = []
    async with within(20):
        async for event in client.events():
            events.append(event)
            if condition(event):
                return events
    raise AssertionError("the events ended")


async def records_of(client, count):
    """The records that are shown, until there are so many."""
    records = []

    def enough(event):
        if getattr(event, "record", None) is not None:
            records.append((event.record, event.text))
        return len(records) == count

    await events_until(client, enough)
    return records
