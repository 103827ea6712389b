"""Values without a JSON form, or nested too deeply: refused once, told, and no agent stops."""

from __future__ import annotations

import logging
from decimal import Decimal
from typing import Any

import pytest
from strands import Agent
from strands.bidi import BidiAgent
from strands.multiagent import GraphBuilder
from strands.types.exceptions import EventLoopException

from segue import ValueRefused
from segue.history.repair import INTERRUPTED
from segue.journal.values import NESTING
from tests.support.fake_model import FakeModel, tool_call
from tests.support.scripted_model import ScriptedModel, answered, calling, until
from tests.support.waiting import eventually
from tests.unit.session.odd_values import Sessions, results, returning, text_agent, used, voice_agent

# What is refused.


@pytest.mark.parametrize("value", [{1, 2}, Decimal("1.5"), object()], ids=lambda value: type(value).__name__)
async def test_a_value_without_a_json_form_is_refused_once_and_the_conversation_goes_on(
    memory_sessions: Sessions, value: Any
) -> None:
    told: list[ValueRefused] = []
    manager = memory_sessions()
    manager.on_refused(told.append)
    agent = await text_agent(
        manager, tool_call("lookup", "t1"), tool_call("lookup", "t2"), "Done.", tools=(returning({"price": value}),)
    )

    with pytest.raises(ValueRefused, match=r"message\.message\.content\[0\]\.toolResult\.content\[0\]\.json\.price"):
        await agent.invoke_async("Look it up")
    assert agent.messages[-1]["content"] == [{"text": "Done."}], "the turn is whole"
    await agent.invoke_async("Go on")
    await manager.close()

    await eventually(lambda: len(told) == 2)  # both results; only the first is raised
    restored = await text_agent(memory_sessions())
    assert [m["role"] for m in restored.messages] == [m["role"] for m in agent.messages]
    (first, second) = results(restored.messages)
    assert first == second
    assert "not recorded" in str(first)
    assert INTERRUPTED not in str(restored.messages), "the use has its result"


async def test_a_running_voice_agent_is_not_ended_by_a_refusal(
    memory_sessions: Sessions, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[ValueRefused] = []
    manager = memory_sessions()
    await manager.open()
    manager.on_refused(told.append)
    agent = await voice_agent(manager, returning({"rows": {"secret"}}))

    with caplog.at_level(logging.WARNING):
        await used(agent, calling("lookup", "t1"))
    agent.model.emit(answered("Here you are"))
    await until(agent, "bidi_response_stop")
    await agent.stop()

    assert [refused.reason for refused in told] == ["a set has no JSON form"]
    assert [record.path for record in caplog.records if "not recorded" in record.message] == [told[0].path]
    assert "secret" not in caplog.text
    restored = BidiAgent(model=ScriptedModel(), session_manager=memory_sessions())
    assert restored.messages[-1]["content"] == [{"text": "Here you are"}]
    assert "not recorded" in str(results(restored.messages)[-1])


async def test_a_refused_state_keeps_the_one_that_was_recorded_last(memory_sessions: Sessions) -> None:
    manager = memory_sessions()
    agent = await text_agent(manager)
    agent.state.set("mood", "good")
    await agent.invoke_async("Hello")

    agent._model_state["session"] = object()
    with pytest.raises(ValueRefused, match=r"internal\.model_state\.session: an object has no JSON form"):
        await agent.invoke_async("Again")
    agent._model_state["turn"] = 2
    agent.state.set("mood", "better")
    await agent.invoke_async("And again")  # refused once
    assert (await text_agent(memory_sessions("elsewhere"))).messages == []
    await manager.close()

    restored = await text_agent(memory_sessions())
    assert restored._model_state == {}
    assert restored.state.get() == {"mood": "better"}
    assert len(restored.messages) == 6


async def test_a_refused_state_is_recorded_when_it_has_a_form_again(memory_sessions: Sessions) -> None:
    manager = memory_sessions()
    agent = await text_agent(manager)
    agent._model_state["session"] = object()
    with pytest.raises(ValueRefused):
        await manager.flush()
    await manager.flush()

    agent._model_state["session"] = "s1"
    await manager.close()

    assert (await text_agent(memory_sessions()))._model_state == {"session": "s1"}


async def test_a_message_refused_in_part_is_recorded_once(memory_sessions: Sessions) -> None:
    """A message that was refused in part is not recorded anew with each turn, whatever comparing it says."""

    class Odd:
        def __eq__(self, other: object) -> bool:
            raise ValueError("ambiguous")

        __hash__ = None  # type: ignore[assignment]

    manager = memory_sessions()
    agent = await text_agent(manager, tool_call("lookup", "t1"), "Done.", tools=(returning({"array": Odd()}),))
    with pytest.raises(ValueRefused):
        await agent.invoke_async("Look it up")
    position = manager.position

    await agent.invoke_async("Go on")
    await agent.invoke_async("And on")

    await manager.close()
    assert manager.position - position <= 9


@pytest.mark.slow
@pytest.mark.parametrize("levels", [NESTING, NESTING + 10, 3000])
async def test_a_value_nested_too_deeply_is_refused_and_the_session_restores(
    memory_sessions: Sessions, levels: int
) -> None:
    value: Any = {}
    for _ in range(levels):
        value = {"a": value}
    manager = memory_sessions()
    agent = await text_agent(manager)
    await agent.invoke_async("Hello")
    use = {"toolUse": {"name": "lookup", "toolUseId": "t1", "input": value}}
    result = {"toolResult": {"toolUseId": "t1", "content": [{"json": {"found": [value]}}]}}

    for role, block in (("assistant", use), ("user", result)):
        with pytest.raises(ValueRefused, match=f"{next(iter(block))}.*nested {NESTING} levels"):
            manager.append_message({"role": role, "content": [block]}, agent)
    await manager.close()

    restored = await text_agent(memory_sessions())
    assert restored.messages[-1]["content"][0]["toolResult"]["toolUseId"] == "t1"
    assert "not recorded: nested" in str(restored.messages[-1])


async def test_a_text_agent_that_strands_cannot_copy_any_more_is_told_why_when_it_is_closed(
    memory_sessions: Sessions,
) -> None:
    value: Any = {}
    for _ in range(NESTING + 10):
        value = {"a": value}
    manager = memory_sessions()
    agent = await text_agent(manager, tool_call("lookup", "t1"), "Done.", tools=(returning(value),))
    with pytest.raises(EventLoopException, match="recursion"):  # Strands copies the history for each model call
        await agent.invoke_async("Look it up")

    with pytest.raises(ValueRefused, match="nested"):
        await manager.close()

    restored = await text_agent(memory_sessions())
    await restored.invoke_async("Go on")
    assert "not recorded: nested" in str(results(restored.messages))


async def test_a_value_nested_400_levels_is_restored_to_both_kinds_of_agent(memory_sessions: Sessions) -> None:
    value: Any = {}
    for _ in range(400):
        value = {"a": value}
    manager = memory_sessions()
    agent = await text_agent(manager, tool_call("lookup", "t1"), "Done.", tools=(returning(value),))
    agent.model.stream = _without_copies(agent.model)
    await agent.invoke_async("Look it up")
    await manager.close()

    first = memory_sessions()
    assert results((await text_agent(first)).messages) == [[{"json": value}]]
    await first.close()
    second = memory_sessions()
    await second.open()
    assert results(BidiAgent(model=ScriptedModel(), session_manager=second).messages) == [[{"json": value}]]


def _without_copies(model: FakeModel) -> Any:
    stream = model.stream

    def shallow(messages: Any, *args: Any, **kwargs: Any) -> Any:
        return stream([{**message, "content": []} for message in messages], *args, **kwargs)

    return shallow


async def test_a_new_agents_own_messages_do_not_keep_it_from_being_built(memory_sessions: Sessions) -> None:
    greeting = {"role": "assistant", "content": [{"text": "Hello"}], "metadata": {"custom": {"at": {1}}}}
    manager = memory_sessions()
    agent = await text_agent(manager, messages=[greeting])
    with pytest.raises(ValueRefused, match=r"metadata\.custom\.at"):
        await agent.invoke_async("Hi")
    await agent.invoke_async("Hi again")
    await manager.close()

    assert len((await text_agent(memory_sessions())).messages) == len(agent.messages)


async def test_a_graphs_state_without_a_json_form_keeps_the_last_one(memory_sessions: Sessions) -> None:
    def graph(manager: Any) -> Any:
        builder = GraphBuilder()
        builder.add_node(Agent(model=FakeModel(), callback_handler=None, name="one"), "one")
        builder.set_graph_id("graph")
        builder.set_session_manager(manager)
        return builder.build()

    manager = memory_sessions()
    await manager.open()
    made = graph(manager)
    serialize = made.serialize_state
    made.serialize_state = lambda: {**serialize(), "odd": {1}}

    with pytest.raises(Exception, match=r"multi_agent\.state\.odd: a set has no JSON form"):
        await made.invoke_async("Go")
    made.serialize_state = serialize
    await made.invoke_async("Go")
    await manager.close()


async def test_append_message_refuses_a_value_at_once(memory_sessions: Sessions) -> None:
    manager = memory_sessions()
    agent = await text_agent(manager)

    with pytest.raises(ValueRefused, match="a set"):
        manager.append_message({"role": "user", "content": [{"text": {1}}]}, agent)
    await manager.close()


async def test_a_refusal_before_the_session_is_held_is_made_at_once(memory_sessions: Sessions) -> None:
    first = memory_sessions()
    await (await text_agent(first)).invoke_async("Hello")
    manager = memory_sessions()
    await manager.prepare()
    agent = Agent(model=FakeModel(), session_manager=manager, callback_handler=None)
    seen = {"role": "user", "content": [{"text": "x"}], "metadata": {"custom": {"tuple": (1,)}}}
    manager.append_message(seen, agent)
    seen["metadata"]["custom"]["tuple"] = (2,)  # after it was recorded
    with pytest.raises(ValueRefused):
        manager.append_message({"role": "user", "content": [{"text": "x"}], "metadata": {"custom": {"a": {1}}}}, agent)
