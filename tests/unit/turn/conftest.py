"""Text workers as processes that a test can end anywhere, on storage in memory, with a client of the protocol."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from strands import Agent, tool

from segue import LeaseSettings
from segue.client.conversation import Conversation
from segue.client.settings import ClientSettings
from segue.errors import StorageUnavailable
from segue.testing.offline.text_model import OfflineTextModel
from segue.wire.claims import ClientAddress
from segue.wire.delivery import Delivery
from segue.wire.frames import AnswerInput, Hello, ServerFrame, TextInput, decode_server_frame
from tests.support.crash import certainly_dead, crash
from tests.support.memory_manager import MemorySessionManager, MemoryStorage
from tests.support.steady_clock import steady_clock  # noqa: F401 - a fixture
from tests.support.waiting import eventually
from turn.post import MessageOutcome
from turn.sessions import TurnSessions
from turn.turn import Attempt, TurnSettings
from turn.turn_runner import TurnRunner

KEY = "alice/talk"
LEASE = LeaseSettings(duration=5.0, heartbeat=1.0, margin=0.5)
HOUR = 3600.0
APPROVAL_SECONDS = 300.0


class Ended(StorageUnavailable):
    """Error of a process that has ended: none of its requests arrives any more."""


@dataclass
class World:
    """State that outlives a process: storage, posted frames, addresses of clients, effects of tools, agents' code."""

    storage: MemoryStorage = field(default_factory=MemoryStorage)
    posted: list[tuple[str, ServerFrame]] = field(default_factory=list)
    addresses: dict[str, ClientAddress] = field(default_factory=dict)
    noted: list[str] = field(default_factory=list)
    refuse: Callable[[str], MessageOutcome] = lambda _: MessageOutcome.DELIVERED
    tools: list[Any] = field(default_factory=list)
    interventions: list[Any] = field(default_factory=list)
    prepare: Callable[[Agent], None] = lambda _: None
    later: float = 0.0

    def wall_clock(self) -> float:
        return time.time() + self.later

    def clients(self, session_key: str) -> list[ClientAddress]:
        assert session_key == KEY
        return list(self.addresses.values())

    def frames(self, connection_id: str = "c-1") -> list[ServerFrame]:
        return [frame for to, frame in self.posted if to == connection_id]


@dataclass
class InvocationTime:
    """Time of an invocation, which passes when a test says so.

    Attributes:
        left: Seconds that the invocation may still take.
        reserves: Seconds that are kept by each wait for the agent that has begun.
    """

    left: float = HOUR
    reserves: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class TimedAttempt(Attempt):
    """An attempt whose waits end by that time."""

    time: InvocationTime

    async def wait_for(self, running: asyncio.Task[object], reserve: float) -> bool:
        self.time.reserves.append(reserve)
        await eventually(lambda: running.done() or self.time.left <= reserve)
        return running.done()


class Model(OfflineTextModel):
    """The offline model, with a step before it answers."""

    def __init__(self, process: Process) -> None:
        super().__init__()
        self._process = process

    async def stream(self, *args: Any, **kwargs: Any) -> Any:
        await self._process.think()
        async for event in super().stream(*args, **kwargs):
            yield event
        await self._process.think()


class Process:
    """One process of the text function."""

    def __init__(
        self, world: World, dies_at: int | None = None, times: Mapping[str, float] | None = None, **options: Any
    ) -> None:
        self.world = world
        self.storage = MemoryStorage()
        self.storage.guard, self.storage.objects = world.storage.guard, world.storage.objects
        self.storage.before = self.storage.after = self._request
        self.managers: list[MemorySessionManager] = []
        self.models: list[Model] = []
        self.steps = 0
        self.died = asyncio.Event()
        self.think: Callable[[], Any] = self._step
        self._dies_at = dies_at
        self._loop = asyncio.get_running_loop()
        self._options = {"acquire_timeout": 0.0, "lease": LEASE, "probe": certainly_dead, **options}
        self.sessions = TurnSessions(self._manager, self._agent)
        settings = TurnSettings(APPROVAL_SECONDS, world.wall_clock, **(times or {}))
        self.turns = TurnRunner(self.sessions, world, self._post, settings, lambda: world.later)

    async def take(
        self, delivery: Delivery, *, repeated: bool = False, seconds: float = HOUR, time: InvocationTime | None = None
    ) -> None:
        """Take a turn; a process that dies meanwhile leaves everything as it is.

        Args:
            delivery: The frame, and whose it is.
            repeated: Whether there was a try before.
            seconds: How long the invocation may take.
            time: Its time, if that passes by hand.
        """
        deadline = self._loop.time() + seconds
        attempt = Attempt(delivery, repeated, lambda: deadline - self._loop.time())
        if time is not None:
            attempt = TimedAttempt(delivery, repeated, lambda: time.left, time)
        turn = asyncio.create_task(self.turns.run_turn(attempt))
        died = asyncio.create_task(self.died.wait())
        await asyncio.wait({turn, died}, return_when=asyncio.FIRST_COMPLETED)
        died.cancel()
        if not self.died.is_set():
            return await turn
        for manager in self.managers:
            crash(manager)
        turn.cancel()
        await asyncio.wait({turn})
        return None

    def crash(self) -> None:
        for manager in self.managers:
            crash(manager)

    def _manager(self, principal: str, session_id: str) -> MemorySessionManager:
        manager = MemorySessionManager(session_id, principal=principal, storage=self.storage, **self._options)
        self.managers.append(manager)
        return manager

    def _agent(self, manager: Any) -> Agent:
        noted = self.world.noted

        @tool
        def remember(note: str) -> str:
            """Write something down.

            Args:
                note: What.
            """
            noted.append(note)
            return f"noted {len(noted)}"

        self.models.append(Model(self))
        tools = [remember, *self.world.tools]
        agent = Agent(
            model=self.models[-1],
            tools=tools,
            interventions=self.world.interventions,
            session_manager=manager,
            callback_handler=None,
        )
        self.world.prepare(agent)
        return agent

    def _count(self) -> bool:
        self.steps += 1
        if self._dies_at is not None and self.steps >= self._dies_at:
            self._loop.call_soon_threadsafe(self.died.set)
            return False
        return True

    async def _step(self) -> None:
        if not self._count():
            await asyncio.Event().wait()

    async def _request(self, operation: str, what: Any) -> None:
        if not self._count():
            raise Ended("the process has ended")

    def _post(self, connection_id: str, message: bytes) -> MessageOutcome:
        if not self._count():
            return MessageOutcome.FAILED
        if (outcome := self.world.refuse(connection_id)) is not MessageOutcome.DELIVERED:
            return outcome
        frame = decode_server_frame(message)
        assert frame is not None
        self.world.posted.append((connection_id, frame))
        return MessageOutcome.DELIVERED if self._count() else MessageOutcome.FAILED


class Person:
    """A client of the protocol that talks through the queue."""

    def __init__(
        self, world: World, client_id: str = "c", connection_id: str = "c-1", *, approvals: bool = False
    ) -> None:
        self.world = world
        self.approvals = approvals
        self.shown: list[ServerFrame] = []
        self.connection_id = connection_id
        self.address = ClientAddress(client_id=client_id, connection_id=connection_id, counter=1)
        world.addresses[client_id] = self.address
        self.conversation = Conversation("talk", client_id, "text", ClientSettings(), approvals=approvals)
        self._number = self.conversation.connected(0.0)
        self._heard = 0
        self._now = 0.0

    def pass_time(self, seconds: float) -> None:
        """Let time pass for this client."""
        self._now += seconds

    def outgoing(self) -> list[Delivery]:
        """Return the deliveries that go into the queue now: hello and text."""
        self._now += 10.0
        frames = self.conversation.outgoing(self._now, self._number)
        return [self.delivery(frame) for frame in frames if isinstance(frame, Hello | TextInput | AnswerInput)]

    def delivery(self, frame: Any) -> Delivery:
        address = self.address
        return Delivery(
            session_key=KEY,
            connection_id=address.connection_id,
            client_id=address.client_id,
            counter=address.counter,
            frame=frame,
            approvals=self.approvals,
        )

    def listen(self) -> None:
        """Take what was posted since the last time."""
        frames = self.world.frames(self.connection_id)
        from segue.wire.frames import encode_frame

        for frame in frames[self._heard :]:
            self.shown += self.conversation.received(encode_frame(frame), self._now, self._number)
        self._heard = len(frames)
        self.shown += self.conversation.tick(self._now + 5.0)

    @property
    def texts(self) -> list[str]:
        return [frame.text for frame in self.shown if type(frame).__name__ == "TextOutput"]

    async def settle(self, process: Process) -> None:
        """Say what has to be said, and listen, until there is nothing left."""
        for _ in range(5):
            self.listen()
            outgoing = self.outgoing()
            if not outgoing:
                return
            for delivery in outgoing:
                await process.take(delivery)
        raise AssertionError("it does not come to rest")

    async def say(self, process: Process, text: str) -> Delivery:
        """Type something, and return what the queue has of it."""
        return await self.put(process, TextInput(text=text))

    async def put(self, process: Process, frame: TextInput | AnswerInput) -> Delivery:
        """Say something, and return what the queue has of it."""
        await self.settle(process)
        self.conversation.say(frame)
        (delivery,) = self.outgoing()
        return delivery


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
async def processes(world: World) -> AsyncIterator[Callable[..., Process]]:
    """Starts processes; ends what they hold with the test."""
    started: list[Process] = []

    def start(world: World = world, **options: Any) -> Process:
        started.append(Process(world, **options))
        return started[-1]

    yield start
    for process in started:
        process.crash()


async def journal(world: World) -> list[Any]:
    """All records of the session."""
    manager = MemorySessionManager("talk", principal="alice", storage=world.storage, acquire_timeout=0.0)
    await manager.open()
    records = (await manager._runtime.run(manager._slot.require().read())).records
    await manager.close()
    return records


def messages(records: list[Any]) -> list[tuple[str, str]]:
    """Role and text of each message that was recorded, with tools by their kind."""
    return [
        (
            record.data["message"]["role"],
            "".join(block.get("text", next(iter(block))) for block in record.data["message"]["content"]),
        )
        for record in records
        if record.kind in {"message", "update"}
    ]
