"""Values that JSON has no form for, or another one: what a session makes of them, and that none stops an agent."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from unittest.mock import AsyncMock, MagicMock

import pytest
from strands import Agent, tool
from strands.bidi import BidiAgent
from strands.bidi.models import BidiModel
from strands.hooks import AfterToolCallEvent
from strands.multiagent import GraphBuilder
from strands.types.exceptions import EventLoopException

from segue import JournalCorrupt, ValueRefused
from segue.history.repair import INTERRUPTED
from segue.journal.values import NESTING
from segue.lease import item
from segue.lease.item import GuardItem
from tests.support.fake_model import FakeModel, tool_call
from tests.support.memory_manager import MemoryStorage
from tests.support.scripted_model import ScriptedModel, answered, calling, result_of, until
from tests.support.waiting import eventually

Sessions = Callable[..., Any]

LOOKS_LIKE_BYTES = [
    {"__bytes_encoded__": True, "data": 5},
    {"__bytes_encoded__": True, "data": "not base64"},
    {"__bytes_encoded__": True, "data": "AAE="},
    {"__bytes_encoded__": True, "data": "AAE=", "more": 1},
]
ODD = {"tuple": (1, (2,)), "inf": [math.inf, -math.inf], "keys": {1: "a", None: "b", 1.5: "c"}, "half": "\ud800"}


def returning(value: Any) -> Any:
    @tool
    def lookup() -> Any:
        """Look something up."""
        return {"status": "success", "content": [{"json": value}]}

    return lookup


def schema_of(storage: MemoryStorage) -> int:
    return GuardItem.parse(storage.guard.items["default/talk"]).schema


async def text_agent(manager: Any, *replies: Any, tools: tuple[Any, ...] = (), **options: Any) -> Agent:
    await manager.open()
    return Agent(model=FakeModel(replies), session_manager=manager, tools=list(tools), callback_handler=None, **options)


async def voice_agent(manager: Any, *tools: Any, **options: Any) -> BidiAgent:
    await manager.open()
    agent = BidiAgent(model=ScriptedModel(), session_manager=manager, tools=list(tools), **options)
    await agent.start()
    return agent


async def used(agent: BidiAgent, events: list[Any]) -> None:
    """Let tools run, and their results come."""
    await result_of(agent, events)


def results(messages: list[Any]) -> list[Any]:
    return [block["toolResult"]["content"] for m in messages for block in m["content"] if "toolResult" in block]


# What looks like Segue's, or Strands', own forms.


@pytest.mark.parametrize("value", LOOKS_LIKE_BYTES)
async def test_a_tools_input_that_looks_like_bytes_is_a_dictionary_again(memory_sessions: Sessions, value: Any) -> None:
    agent = await voice_agent(memory_sessions(), returning(value))
    agent.state.set("kept", value)
    await used(agent, calling("lookup", "t1", **value))
    await agent.stop()

    again = memory_sessions()
    await again.open()
    restored = BidiAgent(model=ScriptedModel(), session_manager=again)

    assert restored.messages == agent.messages
    assert restored.state.get("kept") == value
    assert results(restored.messages)[-1] == [{"json": value}]


@pytest.mark.parametrize("value", [LOOKS_LIKE_BYTES[0], ODD, {"$tuple": [1]}])
async def test_a_text_agents_values_are_restored_equal_and_of_the_same_types(
    memory_sessions: Sessions, value: Any
) -> None:
    manager = memory_sessions()
    agent = await text_agent(manager, tool_call("lookup", "t1"), "Done.", tools=(returning(value),))
    agent.state.set("kept", value)
    await agent.invoke_async("Look it up")
    await manager.close()

    restored = await text_agent(memory_sessions())

    assert restored.state.get("kept") == value
    assert repr(restored.state.get("kept")) == repr(agent.state.get("kept"))
    expected = {**value, "half": "\ufffd"} if "half" in value else value  # providers take whole characters only
    assert repr(results(restored.messages)) == repr([[{"json": expected}]])


# Older releases.


async def test_the_first_record_that_is_escaped_raises_the_schema_in_its_own_commit(
    memory_sessions: Sessions, storage: MemoryStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits: list[tuple[int, Any]] = []

    async def look(operation: str, what: Any) -> None:
        if operation == "write" and "head" in what.assign:
            commits.append((what.assign["head"], what.assign.get("schema")))

    manager = memory_sessions()
    agent = await text_agent(manager)
    storage.before = look
    await agent.invoke_async("Hello")
    assert {schema for _, schema in commits} == {None}
    assert schema_of(storage) == 1

    agent.state.set("seen", (1, 2))
    await manager.flush()
    assert [schema for _, schema in commits].count(3) == 1
    assert commits[-1][1] == 3
    await agent.invoke_async("Again")
    assert commits[-1][1] is None, "it is raised once"
    await manager.close()

    monkeypatch.setattr(item, "SCHEMA", 2)
    before = storage.guard.items["default/talk"]
    with pytest.raises(JournalCorrupt, match="newer Segue"):
        await memory_sessions().open()
    assert storage.guard.items["default/talk"] == before


@pytest.mark.slow
@pytest.mark.parametrize("value", [b"\x00\x01", 2**80, -0.0, {"__bytes_encoded__": 1, "data": "AAE="}, {"$tuple": []}])
async def test_a_session_without_such_values_stays_readable_by_older_releases(
    memory_sessions: Sessions, storage: MemoryStorage, value: Any
) -> None:
    manager = memory_sessions()
    agent = await text_agent(manager, tool_call("lookup", "t1"), "Done.", tools=(returning({"value": value}),))
    await agent.invoke_async("Look it up")
    await manager.close()

    assert schema_of(storage) == 1
    restored = await text_agent(memory_sessions())
    assert repr(results(restored.messages)) == repr([[{"json": {"value": value}}]])


# What is refused.


@pytest.mark.parametrize("value", [{1, 2}, Decimal("1.5"), object()])
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


async def test_what_a_callback_with_an_odd_value_costs_is_one_record(memory_sessions: Sessions) -> None:
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
async def test_what_is_nested_too_deeply_is_refused_and_never_met_at_a_restore(
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


async def test_what_is_nested_less_deeply_is_restored_to_both_kinds_of_agent(memory_sessions: Sessions) -> None:
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


async def test_direct_callers_are_told_at_once(memory_sessions: Sessions) -> None:
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


# Models.


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("make", [lambda: AsyncMock(spec=BidiModel), lambda: MagicMock(spec=BidiModel)])
async def test_an_agent_can_be_built_on_any_stand_in_for_a_model(memory_sessions: Sessions, make: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        manager = memory_sessions()
        await manager.open()
        BidiAgent(model=make(), session_manager=manager, agent_id="one")
        await manager.close()
        again = memory_sessions()
        await again.open()
        BidiAgent(model=make(), session_manager=again, agent_id="one")
        await again.close()


async def test_a_model_whose_config_has_no_json_form_is_described_without_it(memory_sessions: Sessions) -> None:
    class Model(ScriptedModel):
        def get_config(self) -> Any:
            return {"model_id": object(), "client": object()}

        def get_audio_config(self) -> Any:
            return {"input": {"device": object(), "sample_rate": 16000}}

    manager = memory_sessions()
    await manager.open()
    agent = BidiAgent(model=Model(), session_manager=manager)
    await agent.start()
    await agent.send("Hello")
    await agent.stop()

    again = memory_sessions()
    await again.open()
    assert again.history.agents["default"].connection["audio"]["input"]["sample_rate"] == 16000


async def test_a_hook_that_puts_an_odd_value_into_a_result_is_met_too(memory_sessions: Sessions) -> None:
    manager = memory_sessions()
    agent = await text_agent(manager, tool_call("lookup", "t1"), "Done.", tools=(returning({}),))

    def spoil(event: AfterToolCallEvent) -> None:
        event.result["status"] = {1}  # type: ignore[typeddict-item]

    agent.hooks.add_callback(AfterToolCallEvent, spoil)
    with pytest.raises(ValueRefused):
        await agent.invoke_async("Look it up")
    await agent.invoke_async("Go on")
    await manager.close()


async def test_a_message_of_no_shape_does_not_keep_a_session_from_being_opened(memory_sessions: Sessions) -> None:
    manager = memory_sessions()
    agent = await text_agent(manager)
    await agent.invoke_async("Hello")
    for content in ("just text", ["a block"], [{"toolUse": {"name": "x"}}], [{"toolResult": 5}]):
        manager.append_message({"role": "user", "content": content}, agent)
    manager.append_message({"content": [{"text": "whose?"}]}, agent)
    await manager.close()

    restored = await text_agent(memory_sessions())

    assert [m["content"] for m in restored.messages][2:] == [[{"text": "just text"}]]
    await restored.invoke_async("Still there?")
