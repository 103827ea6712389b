"""Messages that leave an agent's history and come back to it: a trimmed window, then a snapshot or a copy."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strands import Agent
from strands.bidi import BidiAgent

from segue.history.fold import fold
from segue.journal.records import Record
from segue.strands.recording.recorder import AgentRecorder
from tests.support.fake_model import FakeModel
from tests.support.scripted_model import ScriptedModel

Sessions = Callable[..., Any]


def agent_of(manager: Any) -> Agent:
    return Agent(model=FakeModel(), session_manager=manager, callback_handler=None)


async def trimmed(manager: Any) -> tuple[Agent, list[Any]]:
    """An agent whose first messages were taken out and whose session knows it, and all its messages before that."""
    await manager.open()
    agent = agent_of(manager)
    for number in range(3):
        await agent.invoke_async(f"Q{number}")
    whole = copy.deepcopy(agent.messages)
    del agent.messages[:2]
    await agent.invoke_async("Q3")
    return agent, whole


@pytest.mark.parametrize("how", ["replaced", "loaded"])
async def test_messages_that_were_taken_out_can_come_back(memory_sessions: Sessions, how: str) -> None:
    manager = memory_sessions()
    agent, whole = await trimmed(manager)

    if how == "replaced":
        agent.messages = list(whole)
    else:
        snapshot = agent.take_snapshot(include=["messages"])
        snapshot.data["messages"] = whole
        agent.load_snapshot(snapshot)
    await agent.invoke_async("Q4")
    await manager.close()

    heir_manager = memory_sessions()
    await heir_manager.open()
    assert agent_of(heir_manager).messages == agent.messages
    assert len(agent.messages) == len(whole) + 2


def message(tracking_id: str, text: str) -> dict[str, Any]:
    return {"role": "user", "content": [{"text": text}], "tracking_id": tracking_id}


def added(tracking_id: str, text: str) -> Record:
    return Record(kind="message", data={"message": message(tracking_id, text)})


def window(*keep: str) -> Record:
    return Record(kind="window", data={"keep": list(keep)})


def texts(*records: Record) -> list[str]:
    return [each["content"][0]["text"] for each in fold(records).agents["default"].messages]


def test_a_window_that_keeps_what_an_earlier_one_left_out_can_be_read() -> None:
    # Earlier versions wrote this when a message came back.
    gone = [added("a", "one"), added("b", "two"), window("b")]

    assert texts(*gone, window("a", "b")) == ["one", "two"]


@pytest.mark.parametrize("kind", ["update", "redact"])
def test_a_returning_message_has_the_changes_made_while_it_was_out(kind: str) -> None:
    changed = Record(kind=kind, data={"message": message("a", "changed")})

    assert texts(added("a", "one"), added("b", "two"), window("b"), changed, window("b", "a")) == ["two", "changed"]


def test_a_message_that_returns_after_a_rewind_is_in_the_history() -> None:
    rewound = [added("a", "one"), added("b", "two"), Record(kind="rewind", data={"to": 1})]

    assert texts(*rewound, window("b", "a")) == ["two", "one"]


_CHANGES = st.lists(
    st.tuples(st.sampled_from(["add", "remove", "return", "move", "edit"]), st.integers(0, 50), st.booleans()),
    min_size=5,
    max_size=30,
)
"""The change, its message, and whether it is noticed before the next change."""


def _change(agent: Any, recorder: AgentRecorder, away: list[Any], what: str, number: int) -> None:
    messages = agent.messages
    if what == "add":
        messages.append(message(f"m{len(messages) + len(away)}", str(number)))
        recorder.message(messages[-1], None)
    elif what == "remove" and messages:
        away.append(messages.pop(number % len(messages)))
    elif what == "return" and away:
        messages.insert(number % (len(messages) + 1), away.pop(number % len(away)))
    elif what == "move" and messages:
        messages.append(messages.pop(number % len(messages)))
    elif what == "edit" and messages and isinstance(agent, Agent):
        messages[number % len(messages)]["content"] = [{"text": f"edited {number}"}]


@pytest.mark.slow
@pytest.mark.parametrize("voice", [False, True], ids=["text", "voice"])
@settings(deadline=None)
@given(changes=_CHANGES)
def test_records_fold_to_the_agents_messages_after_any_changes(voice: bool, changes: Any) -> None:
    agent: Any = BidiAgent(model=ScriptedModel()) if voice else Agent(model=FakeModel(), callback_handler=None)
    records: list[Record] = []

    def append(*more: Record) -> int:
        records.extend(copy.deepcopy(more))
        return len(records)

    recorder = AgentRecorder(agent, None, append)
    recorder.record_new_agent()
    away: list[Any] = []
    for what, number, noticed in [*changes, ("move", 0, True)]:
        _change(agent, recorder, away, what, number)
        if noticed:
            recorder.reconcile()
            stored = fold(records).agents[agent.agent_id]
            assert stored.messages == agent.messages
            assert stored.numbers == recorder.numbers
