"""A caller's objects are never written to: they may be constants that other agents are built with, too."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from strands import Agent, tool
from strands.hooks import MessageAddedEvent

from segue.journal.blocks import unpack
from tests.support.fake_model import FakeModel, tool_call
from tests.support.memory_manager import MemoryStorage
from tests.support.scripted_model import calling
from tests.unit.session.edits import Build, Sessions, text_agent, voice_agent

SECRET = "the number is 4111"


def greeting(**more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": [{"text": SECRET}], **more}


async def opened(sessions: Sessions, session_id: str = "talk") -> Any:
    manager = sessions(session_id)
    await manager.open()
    return manager


async def restored(sessions: Sessions, build: Build, session_id: str = "talk") -> Any:
    return build(await opened(sessions, session_id))


@pytest.mark.parametrize("tracking_id", [None, "greeting"])
async def test_a_redaction_in_one_session_touches_no_other_and_no_constant(
    memory_sessions: Sessions, build: Build, tracking_id: str | None
) -> None:
    constant = [greeting(tracking_id=tracking_id) if tracking_id else greeting()]
    before = copy.deepcopy(constant)
    one, other = await opened(memory_sessions, "one"), await opened(memory_sessions, "other")
    redacted, kept = build(one, messages=constant), build(other, messages=constant)

    await one.redact(redacted.messages[0]["tracking_id"])
    await one.close()
    await other.close()

    assert constant == before
    assert kept.messages[0]["content"] == [{"text": SECRET}]
    assert redacted.messages[0]["content"] == [{"text": "[redacted]"}]
    assert (await restored(memory_sessions, build, "other")).messages == kept.messages
    assert (await restored(memory_sessions, build, "one")).messages == redacted.messages


async def test_objects_that_an_agent_is_built_with_are_not_written_to(memory_sessions: Sessions, build: Build) -> None:
    given: dict[str, Any] = {
        "messages": [{"role": "user", "content": [{"text": "Hi"}]}, greeting()],
        "state": {"cart": {"items": [1]}},
        "system_prompt": [{"text": "Be kind."}, {"cachePoint": {"type": "default"}}],
    }
    before = copy.deepcopy(given)
    manager = await opened(memory_sessions)
    agent = build(manager, **given)
    agent.messages.append({"role": "user", "content": [{"text": "And on"}]})
    agent.messages[0]["content"][0]["text"] = "Hello"
    await manager.close()
    await restored(memory_sessions, lambda manager: build(manager, **given))

    assert given == before


async def test_a_message_without_an_id_gets_one_in_the_agents_own_copy(memory_sessions: Sessions, build: Build) -> None:
    manager = await opened(memory_sessions)
    agent = build(manager)
    note, history = greeting(), [greeting()]
    agent.messages = history
    agent.messages.append(note)

    await manager.flush()

    assert history == [greeting(), note]
    assert note == greeting()
    assert [message["content"] for message in agent.messages] == [note["content"]] * 2
    await manager.close()
    assert (await restored(memory_sessions, build)).messages == agent.messages


async def test_a_list_that_the_program_put_there_is_not_redacted(memory_sessions: Sessions, build: Build) -> None:
    manager = await opened(memory_sessions)
    agent = build(manager)
    history = [greeting(tracking_id="g")]
    before = copy.deepcopy(history)
    agent.messages = history

    await manager.redact("g")

    assert history == before
    assert agent.messages[0]["content"] == [{"text": "[redacted]"}]


async def test_a_prompt_that_is_a_message_of_the_callers_is_not_redacted(memory_sessions: Sessions) -> None:
    manager = await opened(memory_sessions)
    agent = text_agent(manager)
    prompt = {"role": "user", "content": [{"text": SECRET}]}
    await agent.invoke_async([prompt])

    await manager.redact(agent.messages[0]["tracking_id"])

    assert prompt["content"] == [{"text": SECRET}]
    assert agent.messages[0]["content"] == [{"text": "[redacted]"}]


@pytest.mark.parametrize("voice", [False, True], ids=["text", "voice"])
async def test_a_result_that_is_a_constant_of_its_tool_is_not_redacted(memory_sessions: Sessions, voice: bool) -> None:
    content = [{"text": SECRET}]
    result = {"status": "success", "content": content}

    @tool
    def look_up() -> Any:
        """Look it up."""
        return result

    manager = await opened(memory_sessions)
    if voice:
        agent = voice_agent(manager, tools=[look_up])
        await agent.start()
        agent.model.emit(calling("look_up", "t1"))
        async for event in agent.receive():
            if "message" in event:
                break
    else:
        agent = Agent(
            model=FakeModel([tool_call("look_up", "t1"), "Done."]),
            tools=[look_up],
            session_manager=manager,
            callback_handler=None,
        )
        await agent.invoke_async("Look it up")
    for message in list(agent.messages):
        if "toolResult" in message["content"][0]:
            await manager.redact(message["tracking_id"])

    assert content == [{"text": SECRET}]
    assert SECRET not in str(agent.messages)


@pytest.mark.parametrize("tracking_id", [None, "mine"])
async def test_appended_and_replacing_messages_are_not_written_to(
    memory_sessions: Sessions, storage: MemoryStorage, build: Build, tracking_id: str | None
) -> None:
    manager = await opened(memory_sessions)
    agent = build(manager)
    said = greeting(tracking_id=tracking_id) if tracking_id else greeting()
    instead = {"role": "assistant", "content": [{"text": "nothing"}]}
    before = copy.deepcopy((said, instead))

    manager.append_message(said, agent)
    manager.redact_latest_message(instead, agent)
    await manager.close()

    assert (said, instead) == before
    assert [m["content"] for m in (await restored(memory_sessions, build)).messages] == [[{"text": "nothing"}]]
    assert not [key for key, body in storage.objects.objects.items() if SECRET.encode() in unpack(body)]


async def test_manager_history_is_unchanged_by_the_agents_edits(memory_sessions: Sessions, build: Build) -> None:
    manager = await opened(memory_sessions)
    build(manager, messages=[greeting(metadata={"custom": {"from": ["us"]}})])
    await manager.close()
    manager = await opened(memory_sessions)
    before = copy.deepcopy(manager.history.agents["default"].messages)
    agent = build(manager)

    agent.messages[0]["content"][0]["text"] = "edited"
    agent.messages[0]["metadata"]["custom"]["from"].append("them")
    await manager.redact(agent.messages[0]["tracking_id"])

    assert manager.history.agents["default"].messages == before


async def test_a_message_that_a_hook_puts_beside_the_one_it_hears_of_is_not_written_to(
    memory_sessions: Sessions,
) -> None:
    note = {"role": "assistant", "content": [{"text": "noted"}]}

    def put_note(event: MessageAddedEvent) -> None:
        if event.message["role"] == "user" and note not in event.agent.messages[:-1]:
            event.agent.messages.append(note)

    manager = await opened(memory_sessions)
    agent = voice_agent(manager)
    agent.add_hook(put_note, MessageAddedEvent)
    await agent.start()
    await agent.send("Hi")
    await agent.stop()

    assert note == {"role": "assistant", "content": [{"text": "noted"}]}
    assert [m["content"][0]["text"] for m in (await restored(memory_sessions, voice_agent)).messages] == ["Hi", "noted"]
