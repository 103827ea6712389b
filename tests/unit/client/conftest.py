"""A server in process: one session, behind a network that loses, doubles and reorders frames and cuts connections."""

import asyncio
import contextlib
import random
from http import HTTPStatus

import pytest
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

from segue.client import ClientSettings
from segue.item import Known
from segue.wire.frames import (
    AudioInput,
    AudioOutput,
    Bye,
    FrameError,
    Hello,
    InputAck,
    OutputAck,
    Ping,
    Pong,
    Ready,
    TextInput,
    TextOutput,
    Transcript,
    decode_client_frame,
    encode_frame,
    error_frame,
)
from segue.wire.output import OutputNumbering
from segue.wire.sender import SenderSettings
from segue.wire.sequence import Receiver

JUNK = '{"message": "Internal server error", "connectionId":"x", "requestId":"y"}'

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
    """What happens to frames on the way, by a seeded die. `frequency` 0 is a kind network."""

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
    """One session and its holder. Whatever is said is committed at once and answered with two records."""

    def __init__(self):
        self.journal = []
        self.epoch = 1
        self.heard = []
        self.connections = []
        self.handshakes = []
        self.refuse_with = None
        self.answer_hello = True
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
            self._serve, "127.0.0.1", 0, compression=None, process_request=self._handshake, close_timeout=0.2
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

    def known(self):
        return Known().adding(tuple(seq for role, seq, _ in self.journal if role == "user"))

    def take_over(self, *, greet=False):
        """Another holder has the session now."""
        self.epoch += 1
        self.receiver = Receiver(self.known())
        self.numbering = OutputNumbering(self.epoch)
        self.client_id = None
        if greet and self.connections:
            self.client_id = self.heard[0].client_id
            return self.greet(self.connections[-1], None)
        return None

    def cut(self):
        """The connection ends without a word."""
        self.connections[-1].transport.abort()

    async def heard_all(self, condition):
        async with asyncio.timeout(20), self.said:
            await self.said.wait_for(lambda: condition(self))

    async def greet(self, socket, since):
        head = len(self.journal)
        await self.post(socket, Ready(session="s", known=self.known(), history=0, head=head, since=since))
        if since is not None:
            for record in range(max(since, 0), head):
                await self.post(socket, self.frame(record))

    async def post(self, socket, frame):
        stamped = encode_frame(self.numbering.stamp(self.client_id, frame))
        for message in self.outbound.passing(stamped):
            with contextlib.suppress(ConnectionClosed):
                await socket.send(message)

    def frame(self, record):
        role, _, content = self.journal[record]
        if role == "user":
            return Transcript(role="user", text=content, final=True, record=record)
        return TextOutput(text=content, record=record)

    def _handshake(self, connection, request):
        self.handshakes.append(request.headers)
        if self.refuse_with:
            return connection.respond(HTTPStatus(self.refuse_with), "no\n")
        return None

    async def _serve(self, socket):
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
                if self.client_id:
                    await socket.send(JUNK)
                    await self.post(socket, AudioOutput(audio="AAAA", rate=8000))
        except ConnectionClosed:
            pass

    async def _take(self, socket, frame):
        self.heard.append(frame)
        match frame:
            case Hello() if self.answer_hello:
                self.client_id = frame.client_id
                await self.greet(socket, frame.last_record)
            case Ping():
                await socket.send(encode_frame(Pong()))
            case TextInput() | AudioInput() if self.client_id is None:
                await socket.send(encode_frame(error_frame("hello_first")))
            case TextInput() | AudioInput():
                receiver = self.receiver
                for taken in receiver.offer(frame.seq, frame):
                    if receiver is self.receiver:  # what a holder has taken is gone with it
                        await self._commit(socket, taken)
                if receiver is self.receiver and frame.seq in self.known():
                    await self._acknowledge(socket)
            case OutputAck() | Bye() | _:
                pass
        async with self.said:
            self.said.notify_all()

    async def _acknowledge(self, socket):
        known = self.known()
        await self.post(socket, InputAck(upto=known.upto, beyond=known.beyond))

    async def _commit(self, socket, frame):
        content = frame.text if isinstance(frame, TextInput) else frame.pcm.hex()
        first = len(self.journal)
        self.journal += [("user", frame.seq, content), ("agent", frame.seq, f"you said {content}")]
        turns = len(self.journal) // 2
        if self.take_over_every and turns % self.take_over_every == 0:
            self.take_over()  # committed, and nobody was told
        elif self.cut_every and turns % self.cut_every == 0:
            self.cut()
        else:
            await self._acknowledge(socket)
            await self.post(socket, self.frame(first))
            await self.post(socket, self.frame(first + 1))


@pytest.fixture
async def server():
    started = await Server().start()
    yield started
    await started.stop()


async def events_until(client, condition):
    """The events up to the first that fits."""
    events = []
    async with asyncio.timeout(20):
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
