"""Messages and ids that have not the shape that Strands gives them: none keeps a session from being opened."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from strands import Agent, tool
from strands.bidi import BidiAgent
from strands.multiagent import GraphBuilder

from segue import ValueRefused
from segue.history.fold import fold
from segue.journal.records import Record
from tests.support.fake_model import FakeModel, tool_call
from tests.support.memory_manager import MemoryStorage
from tests.support.scripted_model import ScriptedModel

Sessions = Callable[..., Any]

USE = {"role": "assistant", "content": [{"toolUse": {"toolUseId": "t", "name": "look", "input": {}}}]}
RESULT = {"role": "user", "content": [{"toolResult": {"toolUseId": "t", "status": "success", "content": []}}]}


def built(manager: Any, *replies: Any, **options: Any) -> Agent:
    return Agent(model=FakeModel(replies), session_manager=manager, callback_handler=None, **options)


def said(text: str, role: str = "user") -> dict[str, Any]:
    return {"role": role, "content": [{"text": text}]}


def restored_by_both(sessions: Sessions) -> list[Any]:
    """The messages that a text agent restores, after a voice agent has restored them, too."""
    with sessions() as manager:
        BidiAgent(model=ScriptedModel(), session_manager=manager, agent_id="default")
    with sessions() as manager:
        return built(manager).messages


ODD = [
    *({**RESULT, "metadata": note} for note in ("a note", {"custom": "a note"}, {"custom": {"bidi": "a note"}})),
    {**RESULT, "metadata": {"custom": {"bidi": ["a note"]}}},
    *({"role": "user", "content": [{"text": text}]} for text in (5, {"a": 1}, ["a"], True)),
]


@pytest.mark.parametrize("message", ODD)
def test_a_note_or_a_text_of_another_type_is_restored_as_it_was(memory_sessions: Sessions, message: Any) -> None:
    with memory_sessions() as manager:
        agent = built(manager)
        agent.messages += [said("Look"), *([USE] if "toolResult" in message["content"][0] else [])]
        agent.messages.append(message)

    assert restored_by_both(memory_sessions) == agent.messages


@pytest.mark.parametrize("tool_use_id", [5, 1.5, 10**30])
def test_a_tool_use_whose_id_is_a_number_is_restored(memory_sessions: Sessions, tool_use_id: Any) -> None:
    @tool
    def look() -> str:
        """Look."""
        return "There it is"

    manager = memory_sessions()
    agent = built(manager, tool_call("look", tool_use_id), "Done", tools=[look])
    agent("Look")
    manager.close_sync()

    assert len(agent.messages) == 4
    assert restored_by_both(memory_sessions) == agent.messages


def test_tools_whose_id_an_older_release_recorded_as_a_number_are_read() -> None:
    data = {"tool_use_id": 5, "name": "look", "phase": "started"}
    runs = [Record(kind="tool", data=data, agent="a", at=at) for at in (1, 2)]

    assert fold(runs).agents["a"].tools["5"]["started_at"] == 2


@pytest.mark.parametrize("graph_id", [5, None, ("a",)])
def test_a_graph_whose_id_is_no_text_is_refused_and_nothing_of_it_is_recorded(
    memory_sessions: Sessions, storage: MemoryStorage, graph_id: Any
) -> None:
    def graph(manager: Any, graph_id: Any) -> Any:
        builder = GraphBuilder()
        builder.add_node(Agent(model=FakeModel(), callback_handler=None), "one")
        builder.set_entry_point("one")
        builder.set_max_node_executions(1)
        builder.set_graph_id(graph_id)
        builder.set_session_manager(manager)
        return builder.build()

    with pytest.raises(TypeError, match="set_graph_id"):
        graph(memory_sessions(), graph_id)

    graph(memory_sessions(), "a text")("Go")


NO_MESSAGES = ["just text", None, 5, ["a list"]]


@pytest.mark.parametrize("odd", NO_MESSAGES)
def test_a_value_that_is_no_message_is_refused_once_and_others_are_recorded(
    memory_sessions: Sessions, odd: Any
) -> None:
    manager = memory_sessions()
    agent = built(manager)
    agent.messages += [said("Before"), odd, said("After", "assistant")]
    with pytest.raises(ValueRefused, match=r"messages\[1\]"):
        manager.flush_sync()
    agent.messages.append(said("Later"))
    manager.flush_sync()  # told once
    agent.messages[0]["content"][0]["text"] = "Changed"
    agent.messages.remove(odd)
    manager.close_sync()

    assert restored_by_both(memory_sessions) == agent.messages


def test_a_message_without_content_is_recorded_once_it_has_some(memory_sessions: Sessions) -> None:
    manager = memory_sessions()
    agent = built(manager)
    empty: Any = {"role": "user"}
    agent.messages += [said("Before"), empty, {}, said("After", "assistant")]
    manager.flush_sync()
    agent.messages[1]["content"] = [{"text": "Now there is"}]
    del agent.messages[0]["content"], agent.messages[2]
    manager.close_sync()

    assert restored_by_both(memory_sessions) == agent.messages[1:]


def test_an_agent_can_be_built_with_what_is_no_message(memory_sessions: Sessions) -> None:
    manager = memory_sessions()
    odd: Any = ["just text", {"role": "user"}, said("Hello")]
    agent = built(manager, messages=odd)
    assert agent.messages[0] == "just text"
    with pytest.raises(ValueRefused, match=r"messages\[0\]"):
        manager.close_sync()

    assert restored_by_both(memory_sessions) == agent.messages[2:]
