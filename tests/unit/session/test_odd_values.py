"""Values that JSON has no form for, or another one: what a session makes of them, and that none stops an agent."""

from __future__ import annotations

import math
import warnings
from typing import Any
from unittest.mock import AsyncMock, MagicMock

import pytest
from strands.bidi import BidiAgent
from strands.bidi.models import BidiModel
from strands.hooks import AfterToolCallEvent

from segue import JournalCorrupt, ValueRefused
from segue.lease import item
from segue.lease.item import GuardItem
from tests.support.fake_model import tool_call
from tests.support.memory_manager import MemoryStorage
from tests.support.scripted_model import ScriptedModel, calling
from tests.unit.session.odd_values import Sessions, results, returning, text_agent, used, voice_agent

LOOKS_LIKE_BYTES = [
    {"__bytes_encoded__": True, "data": 5},
    {"__bytes_encoded__": True, "data": "not base64"},
    {"__bytes_encoded__": True, "data": "AAE="},
    {"__bytes_encoded__": True, "data": "AAE=", "more": 1},
]


ODD = {"tuple": (1, (2,)), "inf": [math.inf, -math.inf], "keys": {1: "a", None: "b", 1.5: "c"}, "half": "\ud800"}


def schema_of(storage: MemoryStorage) -> int:
    return GuardItem.parse(storage.guard.items["default/talk"]).schema


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
    assert commits[-1][1] is None, "the schema is raised once"
    await manager.close()

    monkeypatch.setattr(item, "SCHEMA", 2)
    before = storage.guard.items["default/talk"]
    with pytest.raises(JournalCorrupt, match="newer Segue"):
        await memory_sessions().open()
    assert storage.guard.items["default/talk"] == before


@pytest.mark.slow
@pytest.mark.parametrize(
    "value", [b"\x00\x01", 2**80, -0.0, {"__bytes_encoded__": 1, "data": "AAE="}, {"$tuple": []}], ids=repr
)
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


# Models.


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "make", [lambda: AsyncMock(spec=BidiModel), lambda: MagicMock(spec=BidiModel)], ids=["AsyncMock", "MagicMock"]
)
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


async def test_an_odd_value_that_a_hook_puts_into_a_result_is_refused_once(memory_sessions: Sessions) -> None:
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
