"""The promises of Strands' pages on session management, kept by both managers.

Where Strands' own managers keep the promise, the same conversation is given to them, and what they restore is compared.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from strands import Agent, tool
from strands.agent.conversation_manager import SlidingWindowConversationManager, SummarizingConversationManager
from strands.bidi import BidiAgent
from strands.bidi.models import ConnectionTimeoutError
from strands.bidi.types.events import BidiConnectionRestartEvent
from strands.hooks import HookRegistry, MessageAddedEvent
from strands.session import FileSessionManager
from strands.types.exceptions import ContextWindowOverflowException

from tests.support.crash import certainly_dead, crash
from tests.support.fake_model import FakeModel, GuardrailModel, tool_call
from tests.support.scripted_model import ScriptedModel, answered, calling, until
from tests.support.sessions import Sessions, manager_of
from tests.support.waiting import eventually


@tool
def clock() -> str:
    """Tell the time."""
    return "noon"


# The page on bidirectional streaming.


@pytest.mark.slow
async def test_a_later_agent_remembers_the_name(sessions: Sessions) -> None:
    agent = BidiAgent(model=ScriptedModel(), session_manager=sessions("user_123"))
    await agent.start()
    await agent.send("My name is Alice")
    await agent.stop()

    agent = BidiAgent(model=ScriptedModel(), session_manager=sessions("user_123"))
    await agent.start()
    await agent.send("What's my name?")

    assert [m["content"] for m in agent.model.started_with[0]] == [[{"text": "My name is Alice"}]]
    await agent.stop()


@pytest.mark.slow
async def test_each_message_response_tool_and_transcript_is_saved_as_it_comes(sessions: Sessions) -> None:
    manager = sessions()
    await manager.open()
    agent = BidiAgent(model=ScriptedModel(), session_manager=manager, tools=[clock])
    await agent.start()
    await agent.send("Hello")
    agent.model.emit(answered("Hi, let me look."))
    await until(agent, "bidi_response_stop")
    agent.model.emit(calling("clock", "t1"))
    async for event in agent.receive():
        if "message" in event:
            break
    saved = [message for message in agent.messages if message["content"]]
    crash(manager)

    heir = sessions(probe=certainly_dead)
    await heir.open()
    assert BidiAgent(model=ScriptedModel(), session_manager=heir).messages == saved
    assert len(saved) == 6


@pytest.mark.slow
async def test_a_restart_finds_all_saved_and_gets_the_full_history(sessions: Sessions) -> None:
    manager = sessions(durability="gate")
    await manager.open()
    agent = BidiAgent(model=ScriptedModel(), session_manager=manager)
    await agent.start()
    for number in range(3):
        await agent.send(f"Message {number}")
    agent.model.emit([ConnectionTimeoutError("8 minutes")])
    async for event in agent.receive():
        if isinstance(event, BidiConnectionRestartEvent):
            break
    receiving = asyncio.ensure_future(until(agent, "never"))
    await eventually(lambda: len(agent.model.started_with) == 2)
    receiving.cancel()

    assert manager.record_of(agent.messages[-1]["tracking_id"]) < manager.head
    assert [m["content"] for m in agent.model.started_with[1]] == [m["content"] for m in agent.messages]
    await agent.stop()


async def test_hooks_run_after_the_message_is_persisted(sessions: Sessions) -> None:
    class SessionLogger:
        def __init__(self) -> None:
            self.persisted: list[bool] = []

        def register_hooks(self, registry: HookRegistry, **kwargs: Any) -> None:
            registry.add_callback(MessageAddedEvent, self.on_message_added)

        async def on_message_added(self, event: MessageAddedEvent) -> None:
            self.persisted.append(manager.head == manager.position)

    manager = sessions()
    await manager.open()
    logger = SessionLogger()
    agent = BidiAgent(model=ScriptedModel(), session_manager=manager, hooks=[logger])
    await agent.start()
    await agent.send("Hello")
    await agent.stop()

    assert logger.persisted == [True]


# The page on sessions of agents: the same conversation, given to FileSessionManager too.


async def short_talk(agent: Agent) -> None:
    agent.state.set("mood", "good")
    await agent.invoke_async("My name is Alice")
    await agent.invoke_async([{"text": "And this"}, {"image": {"format": "png", "source": {"bytes": b"\x00\x01"}}}])


async def tool_talk(agent: Agent) -> None:
    agent.model = FakeModel(
        [tool_call("clock", "t1"), "It is noon.", [tool_call("clock", "t2"), tool_call("clock", "t3")]]
    )
    await agent.invoke_async("What time is it?")
    await agent.invoke_async("And now, twice?")


async def long_talk(agent: Agent) -> None:
    for number in range(5):
        await agent.invoke_async(f"Question {number}")


async def overflowing_talk(agent: Agent) -> None:
    agent.model = FakeModel(["A1", "A2", "A3", ContextWindowOverflowException("too long"), "A summary.", "A4"])
    for number in range(4):
        await agent.invoke_async(f"Q{number}")


async def forbidden_talk(agent: Agent) -> None:
    agent.model = GuardrailModel()
    await agent.invoke_async("Something forbidden")
    agent.model = FakeModel()
    await agent.invoke_async("Something else")


TALKS: list[tuple[Callable[[Agent], Awaitable[None]], Callable[[], Any]]] = [
    (short_talk, SlidingWindowConversationManager),
    (tool_talk, SlidingWindowConversationManager),
    (long_talk, lambda: SlidingWindowConversationManager(window_size=4)),
    (overflowing_talk, lambda: SummarizingConversationManager(summary_ratio=0.5, preserve_recent_messages=2)),
    (forbidden_talk, SlidingWindowConversationManager),
]


def plain(messages: Any) -> list[tuple[str, Any]]:
    return [(message["role"], message["content"]) for message in messages]


@pytest.mark.slow
@pytest.mark.parametrize(("talk", "conversation_manager"), TALKS, ids=lambda each: getattr(each, "__name__", ""))
async def test_the_same_is_restored_as_from_file_session_manager(
    sessions: Sessions, tmp_path: Path, talk: Any, conversation_manager: Any
) -> None:
    async def told(make: Callable[[], Any]) -> tuple[Agent, Agent]:
        def build() -> Agent:
            return Agent(
                model=FakeModel(),
                tools=[clock],
                session_manager=make(),
                conversation_manager=conversation_manager(),
                callback_handler=None,
            )

        agent = build()
        await talk(agent)
        if hasattr(manager_of(agent), "close"):
            await manager_of(agent).close()
        return agent, build()

    theirs_then, theirs = await told(lambda: FileSessionManager("theirs", storage_dir=str(tmp_path)))
    ours_then, ours = await told(lambda: sessions("ours"))

    assert plain(ours_then.messages) == plain(theirs_then.messages), "the talk itself is the same"
    assert plain(ours.messages) == plain(ours_then.messages)
    assert plain(ours.messages) == plain(theirs.messages)
    assert ours.state.get() == theirs.state.get()
    assert _without_ids(ours.conversation_manager.get_state()) == _without_ids(theirs.conversation_manager.get_state())


def _without_ids(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_ids(content) for key, content in value.items() if key != "tracking_id"}
    return [_without_ids(element) for element in value] if isinstance(value, list) else value


BROKEN = {
    "a use in the middle": [("user", "Hi"), ("use", "t1"), ("user", "Still there?"), ("assistant", "Yes")],
    "a result in the beginning": [("result", "t1"), ("user", "Hi"), ("assistant", "Hello")],
    "a result of another use": [("user", "Hi"), ("use", "t1"), ("result", "t2"), ("assistant", "Hello")],
    "one of two results": [("user", "Hi"), ("use", "t1", "t2"), ("result", "t2"), ("assistant", "Done")],
}


@pytest.mark.slow
@pytest.mark.parametrize("case", BROKEN)
async def test_broken_tool_pairs_are_mended_as_file_session_manager_does(
    sessions: Sessions, tmp_path: Path, case: str
) -> None:
    def message(role: str, *content: str) -> Any:
        if role == "use":
            return {"role": "assistant", "content": [tool_call("clock", use_id) for use_id in content]}
        if role == "result":
            results = [
                {"toolResult": {"toolUseId": use_id, "status": "success", "content": [{"text": "noon"}]}}
                for use_id in content
            ]
            return {"role": "user", "content": results}
        return {"role": role, "content": [{"text": content[0]}]}

    async def told(make: Callable[[], Any]) -> Any:
        agent = Agent(model=FakeModel(), session_manager=make(), callback_handler=None)
        await agent._append_messages(*(message(*each) for each in BROKEN[case]))
        if hasattr(manager_of(agent), "close"):
            await manager_of(agent).close()
        return Agent(model=FakeModel(), session_manager=make(), callback_handler=None).messages

    def shape(messages: Any) -> Any:
        def block(content: Any) -> Any:
            if "toolResult" in content:
                return content["toolResult"]["toolUseId"], content["toolResult"]["status"]
            return content["toolUse"]["toolUseId"] if "toolUse" in content else content["text"]

        return [(message["role"], [block(content) for content in message["content"]]) for message in messages]

    theirs = await told(lambda: FileSessionManager("theirs", storage_dir=str(tmp_path)))
    ours = await told(lambda: sessions("ours"))

    assert shape(ours) == shape(theirs)


@pytest.mark.slow
async def test_direct_calls_of_the_session_manager_interface(sessions: Sessions) -> None:
    manager = sessions()
    await manager.open()
    agent = Agent(model=FakeModel(), session_manager=manager, callback_handler=None)
    message: Any = {"role": "user", "content": [{"text": "secret"}], "tracking_id": "t1"}
    agent.messages.append(message)
    manager.append_message(message, agent)
    agent.state.set("a", 1)
    manager.sync_agent(agent)
    message["content"] = [{"text": "[redacted]"}]
    manager.redact_latest_message(message, agent)
    await manager.flush()
    crash(manager)

    heir = sessions(probe=certainly_dead)
    await heir.open()
    restored = Agent(model=FakeModel(), session_manager=heir, callback_handler=None)
    assert restored.messages == [message]
    assert restored.state.get("a") == 1


def test_an_agent_of_another_session_is_refused(sessions: Sessions) -> None:
    manager = sessions()
    manager.open_sync()
    stranger = Agent(model=FakeModel(), callback_handler=None, agent_id="stranger")

    with pytest.raises(RuntimeError, match="stranger"):
        manager.append_message({"role": "user", "content": [{"text": "Hi"}]}, stranger)
