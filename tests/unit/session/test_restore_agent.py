"""The same for ``Agent``: conversation managers, guardrails, repairs and limits."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from strands import Agent, tool
from strands.agent.conversation_manager import SlidingWindowConversationManager, SummarizingConversationManager
from strands.hooks import MessageAddedEvent
from strands.types.exceptions import ContextWindowOverflowException

from tests.support.fake_model import FakeModel, GuardrailModel, tool_call
from tests.support.sessions import Sessions, built, manager_of


@pytest.mark.slow
async def test_a_conversation_is_equal_after_a_restore(s3_sessions: Sessions) -> None:
    first = s3_sessions()
    await first.open()
    agent = built(first)
    await agent.invoke_async("My name is Alice")
    await agent.invoke_async("What's my name?")
    await first.close()

    second = s3_sessions()
    await second.open()
    again = built(second, "Alice")
    assert again.messages == agent.messages

    await again.invoke_async("Say it again")
    assert [m["content"] for m in again.model.asked[0]] == [m["content"] for m in again.messages[:5]]


async def test_a_tool_turn_is_equal_after_a_restore(memory_sessions: Sessions) -> None:
    first = memory_sessions()
    await first.open()
    agent = built(first, tool_call("clock", "t1"), "It is noon.")
    await agent.invoke_async("What time is it?")
    await first.close()

    second = memory_sessions()
    await second.open()
    again = built(second)

    assert again.messages == agent.messages
    assert [next(iter(m["content"][0])) for m in again.messages] == ["text", "toolUse", "toolResult", "text"]
    assert not second.report["default"]


async def _again(sessions: Sessions, manager: Any, **options: Any) -> Agent:
    await manager.close()
    successor = sessions()
    await successor.open()
    return built(successor, **options)


async def test_a_sliding_window_is_where_it_was_after_a_restore(memory_sessions: Sessions) -> None:
    first = memory_sessions()
    await first.open()
    agent = built(first, conversation_manager=SlidingWindowConversationManager(window_size=4))
    for number in range(5):
        await agent.invoke_async(f"Question {number}")
    assert len(agent.messages) == 4

    again = await _again(memory_sessions, first, conversation_manager=SlidingWindowConversationManager(window_size=4))

    assert again.messages == agent.messages
    assert again.conversation_manager.get_state() == agent.conversation_manager.get_state()
    await again.invoke_async("Question 5")
    assert again.messages[-2]["content"] == [{"text": "Question 5"}]
    assert len(again.messages) == 4


async def test_tool_results_that_an_overflow_truncated_are_truncated_after_a_restore(
    memory_sessions: Sessions,
) -> None:
    @tool
    def report() -> str:
        """Give a long report."""
        return "x" * 5000

    first = memory_sessions()
    await first.open()
    model = FakeModel([tool_call("report", "t1"), "Done.", ContextWindowOverflowException("too long"), "Better."])
    agent = Agent(model=model, session_manager=first, tools=[report], callback_handler=None)
    await agent.invoke_async("Report, please")
    await agent.invoke_async("Shorter, please")
    truncated = agent.messages[2]["content"][0]["toolResult"]["content"][0]["text"]
    assert len(truncated) < 5000

    again = await _again(memory_sessions, first)

    assert again.messages == agent.messages


async def test_a_summary_stands_in_its_place_after_a_restore(memory_sessions: Sessions) -> None:
    def summarizing() -> SummarizingConversationManager:
        return SummarizingConversationManager(summary_ratio=0.5, preserve_recent_messages=2, pin_first=1)

    first = memory_sessions()
    await first.open()
    replies = ["A1", "A2", "A3", ContextWindowOverflowException("too long"), "Summary of it all.", "A4"]
    agent = built(first, *replies, conversation_manager=summarizing())
    for number in range(1, 5):
        await agent.invoke_async(f"Q{number}")
    assert any("Summary of it all." in str(message) for message in agent.messages)

    again = await _again(memory_sessions, first, conversation_manager=summarizing())

    assert again.messages == agent.messages
    assert again.conversation_manager.get_state() == agent.conversation_manager.get_state()


async def test_messages_that_were_taken_out_by_hand_stay_out(memory_sessions: Sessions) -> None:
    first = memory_sessions()
    await first.open()
    agent = built(first)
    await agent.invoke_async("One")
    agent.messages.clear()
    await agent.invoke_async("Two")

    again = await _again(memory_sessions, first)

    assert again.messages == agent.messages
    assert len(again.messages) == 2


async def test_a_hooks_change_to_a_message_is_restored(memory_sessions: Sessions) -> None:
    first = memory_sessions()
    await first.open()
    agent = built(first)

    def mask(event: MessageAddedEvent) -> None:
        for block in event.message["content"]:
            if "text" in block:
                block["text"] = block["text"].replace("4111 1111", "****")

    agent.add_hook(mask, MessageAddedEvent)
    await agent.invoke_async("My card is 4111 1111")
    assert "4111" not in str(agent.messages)

    assert (await _again(memory_sessions, first)).messages == agent.messages


async def test_a_guardrail_redaction_is_what_a_restore_gives(memory_sessions: Sessions) -> None:
    first = memory_sessions()
    await first.open()
    agent = built(first, model=GuardrailModel())
    await agent.invoke_async("Something forbidden")

    again = await _again(memory_sessions, first)

    assert again.messages == agent.messages
    assert again.messages[0]["content"] == [{"text": "[redacted]"}]


async def test_a_prompt_that_was_tried_again_is_redacted_in_both_places(memory_sessions: Sessions) -> None:
    first = memory_sessions()
    await first.open()
    agent = built(first, model=FakeModel(["First answer"]))
    prompt = [{"role": "user", "content": [{"text": "Something forbidden"}]}]
    await agent.invoke_async(prompt)
    agent.model = GuardrailModel()
    await agent.invoke_async(prompt)
    assert str(agent.messages).count("[redacted]") == 2

    again = await _again(memory_sessions, first)

    assert again.messages == agent.messages


async def test_input_that_was_merged_into_the_last_message_is_there_once(memory_sessions: Sessions) -> None:
    first = memory_sessions()
    await first.open()
    agent = built(first)
    # As Agent._append_continuation_messages does it: a copy with the same tracking id takes the message's place.
    await agent._append_messages({"role": "user", "content": [{"text": "One"}]})
    merged = copy.copy(agent.messages[-1])
    merged["content"] = [*merged["content"], {"text": "Two"}]
    agent.messages[-1] = merged
    await agent.hooks.invoke_callbacks_async(MessageAddedEvent(agent=agent, message=merged))

    again = await _again(memory_sessions, first)

    assert again.messages == agent.messages
    assert len(again.messages) == 1


@pytest.mark.slow
def test_a_synchronous_agent_needs_no_event_loop(s3_sessions: Sessions) -> None:
    first = s3_sessions()
    agent = built(first)
    agent("My name is Alice")
    agent.state.set("mood", "good")
    first.close_sync()

    second = s3_sessions()
    again = built(second)
    second.close_sync()

    assert again.messages == agent.messages
    assert again.state.get("mood") == "good"


def test_a_direct_tool_call_is_recorded(memory_sessions: Sessions) -> None:
    first = memory_sessions()
    agent = built(first)
    agent.tool.clock()
    first.close_sync()

    second = memory_sessions()
    again = built(second)

    assert again.messages == agent.messages
    assert len(agent.messages) == 4


async def test_repairs_are_made_on_every_restore_and_never_recorded(memory_sessions: Sessions) -> None:
    first = memory_sessions()
    await first.open()
    agent = built(first)
    await agent._append_messages(
        {"role": "user", "content": [{"text": "What time is it?"}]},
        {"role": "assistant", "content": [tool_call("clock", "t1")]},
    )
    lengths = []
    for _ in range(3):
        agent = await _again(memory_sessions, manager_of(agent))
        lengths.append(len(agent.messages))
        assert manager_of(agent).report["default"].interrupted == ("t1",)
        await agent.invoke_async("And now?")

    assert lengths == [3, 5, 7]
    kinds = [record["toolUseId"] for record in _tool_results(manager_of(agent).history.agents["default"].messages)]
    assert kinds == [], "the journal has what happened, not what was repaired"


async def test_limits_drop_from_the_restored_agent_and_not_from_the_session(memory_sessions: Sessions) -> None:
    first = memory_sessions()
    await first.open()
    agent = built(first)
    for number in range(4):
        await agent.invoke_async(f"Question {number}")
    await first.close()

    short = memory_sessions(max_messages=2)
    await short.open()
    cut = built(short)
    assert cut.messages == agent.messages[-2:]
    assert short.report["default"].dropped == 6
    await cut.invoke_async("Question 4")
    await short.close()

    whole = memory_sessions()
    await whole.open()
    assert [m["content"] for m in built(whole).messages] == [m["content"] for m in [*agent.messages, *cut.messages[2:]]]


def _tool_results(messages: Any) -> list[Any]:
    return [block["toolResult"] for message in messages for block in message["content"] if "toolResult" in block]
