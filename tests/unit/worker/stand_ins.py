"""Stand-ins of worker tests: the management API and its clients, a model with a handle, the queue of claims."""

from __future__ import annotations

import asyncio
import base64
from collections import defaultdict, deque
from collections.abc import Callable
from typing import Any

from strands.bidi.types.events import BidiAudioDeltaEvent

from segue.wire.claims import Claim, ClientAddress
from segue.wire.delivery import Delivery
from segue.wire.frames import AudioInput, ClientFrame, Hello, ServerFrame, TextInput, Transcript, decode_server_message
from tests.support.memory_manager import MemorySessionManager
from tests.support.scripted_model import ScriptedModel
from worker.aws.claims_queue import QueuedClaim
from worker.aws.poster import PostOutcome

PIECE_SAMPLES = 320
"""20 ms at the model's 16 kHz, the shortest piece that may be followed by another."""


class FakeConnections:
    """The management API's side: keeps what was posted, answers as told.

    Attributes:
        posted: Frames by connection, in order, each attempt counted.
        messages: The same, by the messages that they came in.
        numbers: The numbers of those messages.
        answers: Outcomes by connection, used up one by one; then DELIVERED.
        gone: Connections that do not exist.
        closed: Connections that were disconnected.
        under_way: POSTs under way by connection.
        most_at_once: The most POSTs that were ever under way on one connection.
        on_delivered: Called with each frame that was delivered.
    """

    def __init__(self) -> None:
        self.posted: defaultdict[str, list[ServerFrame]] = defaultdict(list)
        self.messages: defaultdict[str, list[list[ServerFrame]]] = defaultdict(list)
        self.numbers: defaultdict[str, list[int | None]] = defaultdict(list)
        self.answers: defaultdict[str, deque[PostOutcome]] = defaultdict(deque)
        self.gone: set[str] = set()
        self.closed: list[str] = []
        self.most_at_once = 0
        self.under_way: defaultdict[str, int] = defaultdict(int)
        self.on_delivered: Callable[[ServerFrame], None] = lambda _: None
        self._slow: dict[str, asyncio.Event] = {}

    def hold(self, connection_id: str) -> asyncio.Event:
        """Let POSTs to a connection take until the event is set."""
        self._slow[connection_id] = asyncio.Event()
        return self._slow[connection_id]

    def of_session(self, _session_key: str, _epoch: int | None = None) -> FakeConnections:
        return self

    async def post(self, address: ClientAddress, message: bytes, number: int | None = None) -> PostOutcome:
        connection_id = address.connection_id
        self.numbers[connection_id].append(number)
        frames = decode_server_message(message)
        assert frames, message
        if connection_id in self.gone:
            return PostOutcome.GONE
        self.posted[connection_id] += frames
        self.messages[connection_id].append(frames)
        self.under_way[connection_id] += 1
        self.most_at_once = max(self.most_at_once, self.under_way[connection_id])
        try:
            if (slow := self._slow.get(connection_id)) is not None:
                await slow.wait()
            else:
                await asyncio.sleep(0)
        finally:
            self.under_way[connection_id] -= 1
        answers = self.answers[connection_id]
        if answers:
            return answers.popleft()
        for frame in frames:
            self.on_delivered(frame)
        return PostOutcome.DELIVERED

    async def is_connected(self, address: ClientAddress) -> PostOutcome:
        return PostOutcome.GONE if address.connection_id in self.gone else PostOutcome.DELIVERED

    async def disconnect(self, address: ClientAddress) -> PostOutcome:
        self.closed.append(address.connection_id)
        return PostOutcome.DELIVERED

    def kinds(self, connection_id: str) -> list[str]:
        return [type(frame).__name__ for frame in self.posted[connection_id]]

    def of(self, connection_id: str, kind: type[Any]) -> list[Any]:
        return [frame for frame in self.posted[connection_id] if isinstance(frame, kind)]


class HandledModel(ScriptedModel):
    """A scripted model whose ``send`` a test can hold up or let fail."""

    def __init__(self) -> None:
        super().__init__()
        self.free = asyncio.Event()
        self.free.set()
        self.refusal: Exception | None = None
        self.start_failure: Exception | None = None
        self.running = False
        self.stops = 0

    async def start(self, *args: Any, **kwargs: Any) -> None:
        await super().start(*args, **kwargs)
        if self.start_failure is not None:
            raise self.start_failure
        self.running = True

    def get_audio_config(self) -> Any:
        stream = {"sample_rate": 16000, "channels": 1, "format": "pcm"}
        return {"input": stream, "output": {**stream, "sample_rate": 24000}}

    async def stop(self) -> None:
        self.running = False
        self.stops += 1

    async def send(self, content: Any) -> None:
        await self.free.wait()
        if self.refusal is not None:
            raise self.refusal
        await super().send(content)

    @property
    def texts(self) -> list[str]:
        """Texts that it was sent."""
        return [
            block.text for content in self.sent for block in getattr(content, "content", ()) if hasattr(block, "text")
        ]

    @property
    def audio(self) -> list[bytes]:
        """Audio that it was sent."""
        return [content.source["bytes"] for content in self.sent if hasattr(content, "source")]


async def turns(count: int = 200) -> None:
    """Let everything on this loop that can go on do so."""
    for _ in range(count):
        await asyncio.sleep(0)


def address(client_id: str = "c1", connection_id: str = "k1", counter: int = 1) -> ClientAddress:
    return ClientAddress(client_id=client_id, connection_id=connection_id, counter=counter)


def claim(session_id: str = "talk", *clients: ClientAddress, reason: str = "no-holder") -> Claim:
    return Claim(
        session_key=f"default/{session_id}",
        session_id=session_id,
        principal="default",
        reason=reason,
        clients=clients or (address(),),
    )


def delivery(frame: ClientFrame, *, key: str = "default/talk", **where: Any) -> Delivery:
    at = address(**where)
    return Delivery(
        session_key=key, connection_id=at.connection_id, client_id=at.client_id, counter=at.counter, frame=frame
    )


def text(words: str, seq: int | None = None) -> TextInput:
    return TextInput(text=words, seq=seq)


def audio(seq: int | None = None, sample: int = 1) -> AudioInput:
    return AudioInput.from_pcm(sample.to_bytes(2, "little") * PIECE_SAMPLES, seq)


def hello(last_record: int | None = None, *, client_id: str = "c1", connection: int = 1) -> Hello:
    return Hello(session="talk", client_id=client_id, connection=connection, last_record=last_record)


def speech(samples: bytes = b"\1\0" * 80) -> BidiAudioDeltaEvent:
    return BidiAudioDeltaEvent(base64.b64encode(samples).decode(), "pcm", 16000, 1, "a1")


def finals(clients: Any, connection_id: str = "k1") -> list[str]:
    return [frame.text for frame in clients.of(connection_id, Transcript) if frame.final]


def said(hosting: Any, words: str) -> bool:
    """Return true if the agent's history has these words."""
    return any(block.get("text") == words for message in hosting.agent.messages for block in message["content"])


async def taken_over(storage: Any) -> MemorySessionManager:
    async def dead(_: Any) -> bool:
        return True

    other = MemorySessionManager(storage=storage, holder="other", probe=dead, acquire_timeout=5.0)
    await other.open()
    return other


class AddingModel(HandledModel):
    """The same, and it takes additions as the offline provider's model does."""

    def __init__(self) -> None:
        super().__init__()
        self._model_id = "offline"
        self.added: list[list[Any]] = []
        self.add_failure: Exception | None = None

    async def add(self, messages: Any) -> None:
        if self.add_failure is not None:
            raise self.add_failure
        self.added.append([dict(message) for message in messages])

    @property
    def told(self) -> list[str]:
        """Texts of its newest connection's history, additions too."""
        messages = [*self.started_with[-1], *(message for added in self.added for message in added)]
        return [block["text"] for message in messages for block in message["content"] if "text" in block]


class FakeQueue:
    """A queue in memory: a poll waits until there is something, or for a moment."""

    def __init__(self) -> None:
        self.waiting: asyncio.Queue[QueuedClaim] = asyncio.Queue()
        self.deleted: list[str] = []
        self.given_back: list[str] = []
        self.sent: list[Claim] = []
        self.wanted: list[int] = []
        self.failures: list[Exception] = []
        self.poll_seconds = 0.1

    def add(self, body: str, receipt: str = "r1") -> None:
        self.waiting.put_nowait(QueuedClaim(body, receipt))

    async def receive(self, most: int) -> list[QueuedClaim]:
        self.wanted.append(most)
        if self.failures:
            raise self.failures.pop(0)
        try:
            async with asyncio.timeout(self.poll_seconds):
                return [await self.waiting.get()]
        except TimeoutError:
            return []

    async def delete(self, queued: QueuedClaim) -> None:
        self.deleted.append(queued.receipt)

    async def give_back(self, queued: QueuedClaim) -> None:
        self.given_back.append(queued.receipt)

    async def send(self, sent: Claim) -> None:
        self.sent.append(sent)
