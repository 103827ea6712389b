"""The state that the user's own hooks see, and an agent's state besides its messages."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from strands import Agent, tool
from strands.bidi import BidiAgent
from strands.bidi.hooks.events import BidiAgentStopEvent, BidiBeforeConnectionRestartEvent, BidiResponseStopEvent
from strands.bidi.models import ConnectionTimeoutError
from strands.hooks import (
    AfterInvocationEvent,
    AfterToolCallEvent,
    AgentInitializedEvent,
    BeforeToolCallEvent,
    HookOrder,
    HookRegistry,
    MessageAddedEvent,
    MessageUpdatedEvent,
)

from segue.lease.item import GuardItem
from tests.support.crash import certainly_dead, crash
from tests.support.fake_model import FakeModel, tool_call
from tests.support.memory_manager import MemoryStorage
from tests.support.scripted_model import ScriptedModel, answered, until
from tests.support.sessions import KEPT
from tests.support.waiting import eventually

Sessions = Callable[..., Any]


class Watcher:
    """A user's hooks, given as ``hooks=[...]`` and so registered before the session manager's."""

    def __init__(self, manager: Any, order: float = HookOrder.DEFAULT) -> None:
        self.manager = manager
        self.order = order
        self.saved: list[tuple[str, bool]] = []

    def register_hooks(self, registry: HookRegistry, **kwargs: Any) -> None:
        for event_type in (MessageAddedEvent, MessageUpdatedEvent, BidiAgentStopEvent):
            registry.add_callback(event_type, self.look, order=self.order)

    def look(self, event: Any) -> None:
        known = True
        if isinstance(event, MessageAddedEvent | MessageUpdatedEvent) and event.message["content"]:
            number = self.manager.record_of(event.message["tracking_id"])
            known = number is not None and number < self.manager.head
        self.saved.append((type(event).__name__, known and self.manager.head == self.manager.position))


async def restored(sessions: Sessions, **options: Any) -> tuple[BidiAgent, Any]:
    manager = sessions(**{"probe": certainly_dead, **options})
    await manager.open()
    agent = BidiAgent(model=ScriptedModel(), session_manager=manager)
    return agent, manager


async def test_hooks_see_saved_state(memory_sessions: Sessions) -> None:
    for order in (HookOrder.DEFAULT, HookOrder.SDK_FIRST):
        manager = memory_sessions()
        await manager.open()
        watcher = Watcher(manager, order)
        agent = BidiAgent(model=ScriptedModel(), session_manager=manager, hooks=[watcher], agent_id=f"a{order}")
        watcher.manager = _For(manager, agent.agent_id)
        await agent.start()
        await agent.send("Hi")
        agent.model.emit(answered("Hello"))
        await until(agent, "bidi_response_stop")
        await agent.stop()

        assert watcher.saved == [
            ("MessageAddedEvent", True),
            ("MessageAddedEvent", True),
            ("MessageUpdatedEvent", True),
            ("BidiAgentStopEvent", True),
        ]


class _For:
    """A manager's view of one agent."""

    def __init__(self, manager: Any, agent_id: str) -> None:
        self._manager, self._agent_id = manager, agent_id

    def record_of(self, tracking_id: str) -> int | None:
        return self._manager.record_of(tracking_id, self._agent_id)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._manager, name)


@pytest.mark.parametrize("durability", ["await", "gate"])
async def test_hooks_of_a_restore_and_of_a_tool_come_when_the_guide_says(
    memory_sessions: Sessions, durability: str
) -> None:
    class Hooks:
        def __init__(self) -> None:
            self.seen: list[Any] = []

        def register_hooks(self, registry: HookRegistry, **kwargs: Any) -> None:
            registry.add_callback(AgentInitializedEvent, self.look)
            registry.add_callback(BeforeToolCallEvent, self.before)
            registry.add_callback(AfterToolCallEvent, lambda _: self.seen.append(manager.position - self.begun))

        def look(self, event: AgentInitializedEvent) -> None:
            self.seen.append(len(event.agent.messages))

        async def before(self, event: BeforeToolCallEvent) -> None:
            await manager.durable()
            self.begun = manager.position

    @tool
    def clock() -> str:
        """Tell the time."""
        hooks.seen.append((manager.position - hooks.begun, manager.head - hooks.begun))
        return "noon"

    def agent() -> Agent:
        model = FakeModel([tool_call("clock", "t1"), "Noon."])
        return Agent(model=model, session_manager=manager, hooks=[hooks], tools=[clock], callback_handler=None)

    manager, hooks = memory_sessions(durability=durability), Hooks()
    await manager.open()
    await agent().invoke_async("What time is it?")
    await manager.close()
    assert hooks.seen == [0, (1, 1), 2], "its intent is durable in the tool, and not there before; its end is queued"

    manager, hooks = memory_sessions(durability=durability), Hooks()
    await manager.open()
    agent()
    assert hooks.seen == [4], "restored already"
    await manager.close()


async def test_hooks_of_the_beginning_see_a_restored_agent(memory_sessions: Sessions) -> None:
    def agent(manager: Any) -> BidiAgent:
        return BidiAgent(model=ScriptedModel(), session_manager=manager, hooks=[Greeter()])

    class Greeter:
        def register_hooks(self, registry: HookRegistry, **kwargs: Any) -> None:
            registry.add_callback(AgentInitializedEvent, lambda event: seen.append(len(event.agent.messages)))

    seen: list[int] = []
    manager = memory_sessions()
    await manager.open()
    first = agent(manager)
    await first.start()
    await first.send("Hi")
    await first.stop()
    manager = memory_sessions()
    await manager.open()
    agent(manager)

    assert seen == [0, 1]


async def test_state_that_a_stop_hook_sets_is_kept(memory_sessions: Sessions) -> None:
    manager = memory_sessions()
    await manager.open()
    agent = BidiAgent(model=ScriptedModel(), session_manager=manager)
    agent.add_hook(lambda event: event.agent.state.set("ended", "well"), BidiAgentStopEvent)
    await agent.start()
    await agent.stop()

    assert (await restored(memory_sessions))[0].state.get("ended") == "well"


@pytest.mark.slow
async def test_state_set_with_a_message_is_durable_with_it(memory_sessions: Sessions) -> None:
    manager = memory_sessions()
    await manager.open()
    agent = BidiAgent(model=ScriptedModel(), session_manager=manager)
    await agent.start()
    agent.state.set("topic", "weather")
    await agent.send("What's the weather?")
    crash(manager)

    assert (await restored(memory_sessions))[0].state.get() == {"topic": "weather"}


async def test_state_set_without_a_message_is_kept_at_the_end_of_the_turn(memory_sessions: Sessions) -> None:
    manager = memory_sessions()
    await manager.open()
    agent = BidiAgent(model=ScriptedModel(), session_manager=manager)
    agent.add_hook(lambda event: event.agent.state.set("turns", 1), BidiResponseStopEvent)
    await agent.start()
    agent.model.emit(answered("Hello"))
    await until(agent, "bidi_response_stop")
    crash(manager)

    assert (await restored(memory_sessions))[0].state.get("turns") == 1


@pytest.mark.slow
async def test_state_set_between_two_turns_is_noticed_by_the_heartbeat(
    memory_sessions: Sessions, storage: MemoryStorage
) -> None:
    manager = memory_sessions(lease=KEPT)
    await manager.open()
    agent = BidiAgent(model=ScriptedModel(), session_manager=manager)
    await manager.flush()
    head = manager.head
    agent.state.set("mood", "good")

    await eventually(lambda: manager.head > head)
    crash(manager)

    assert (await restored(memory_sessions))[0].state.get("mood") == "good"


async def test_state_that_was_deleted_stays_deleted(memory_sessions: Sessions) -> None:
    manager = memory_sessions()
    await manager.open()
    agent = BidiAgent(model=ScriptedModel(), session_manager=manager, state={"a": 1, "b": {"c": [1, 2]}})
    await manager.flush()
    agent.state.delete("a")
    await manager.close()

    assert (await restored(memory_sessions))[0].state.get() == {"b": {"c": [1, 2]}}


async def test_the_sessions_state_wins_over_a_new_agents(memory_sessions: Sessions) -> None:
    manager = memory_sessions()
    await manager.open()
    BidiAgent(model=ScriptedModel(), session_manager=manager, state={"a": 1})
    await manager.close()
    second = memory_sessions()
    await second.open()

    agent = BidiAgent(model=ScriptedModel(), session_manager=second, state={"a": 2})

    assert agent.state.get() == {"a": 1}


async def test_unchanged_state_writes_nothing(memory_sessions: Sessions) -> None:
    manager = memory_sessions()
    await manager.open()
    agent = BidiAgent(model=ScriptedModel(), session_manager=manager, state={"a": 1})
    await manager.flush()
    head = manager.head
    agent.state.get("a")
    await manager.flush()

    assert manager.head == head


async def test_the_system_prompt_is_recorded_and_restored_only_on_request(memory_sessions: Sessions) -> None:
    prompt = [{"text": "Be brief."}, {"cachePoint": {"type": "default"}}]
    manager = memory_sessions()
    await manager.open()
    BidiAgent(model=ScriptedModel(), session_manager=manager, system_prompt=prompt)
    await manager.close()

    agent, manager = await restored(memory_sessions, restore_system_prompt=True)
    assert agent.system_prompt_content == prompt
    await manager.close()
    agent, manager = await restored(memory_sessions)
    assert agent.system_prompt is None, "a redeploy that changes the prompt must be able to"
    assert manager.history.agents["default"].system_prompt == prompt
    await manager.close()
    assert (await restored(memory_sessions))[1].history.agents["default"].system_prompt is None


async def test_a_prompt_that_changes_in_the_middle_is_recorded(memory_sessions: Sessions) -> None:
    manager = memory_sessions()
    await manager.open()
    agent = BidiAgent(model=ScriptedModel(), session_manager=manager, system_prompt="Be brief.")
    agent.system_prompt = "Be kind."
    await manager.close()

    agent, _ = await restored(memory_sessions, restore_system_prompt=True)
    assert agent.system_prompt == "Be kind."


async def test_everything_is_durable_before_the_model_connection_restarts(
    memory_sessions: Sessions, storage: MemoryStorage
) -> None:
    manager = memory_sessions(durability="gate")
    await manager.open()
    agent = BidiAgent(model=ScriptedModel(), session_manager=manager)
    seen: list[bool] = []

    class Look:
        def register_hooks(self, registry: HookRegistry, **kwargs: Any) -> None:
            registry.add_callback(
                BidiBeforeConnectionRestartEvent,
                lambda event: seen.append(
                    GuardItem.parse(storage.guard.items["default/talk"]).head == manager.position
                ),
                order=HookOrder.SDK_LAST + 10,
            )

    agent.hooks.add_hook(Look())
    await agent.start()
    await agent.send("Hi")
    agent.model.emit([ConnectionTimeoutError("8 minutes")])
    receiving = asyncio.ensure_future(until(agent, "never"))
    await eventually(lambda: len(agent.model.started_with) == 2)
    receiving.cancel()
    await agent.stop()

    assert seen == [True]


async def test_hooks_of_an_agent_see_saved_state_too(memory_sessions: Sessions) -> None:
    manager = memory_sessions()
    await manager.open()
    watcher = Watcher(manager)
    agent = Agent(model=FakeModel(["Hello"]), session_manager=manager, hooks=[watcher], callback_handler=None)
    agent.add_hook(lambda event: event.agent.state.set("turns", 1), AfterInvocationEvent)
    await agent.invoke_async("Hi")
    crash(manager)

    assert watcher.saved == [("MessageAddedEvent", True), ("MessageAddedEvent", True)]
    assert (await restored(memory_sessions))[0].state.get("turns") == 1
