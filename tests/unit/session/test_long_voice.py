"""Long voice conversations: only the newest messages are looked at one by one, and still nothing is missed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from strands.bidi import BidiAgent

from tests.support.scripted_model import ScriptedModel, answered, until
from tests.support.sessions import manager_of

LENGTH = 300
"""More than are looked at one by one."""


def said(number: int) -> dict[str, Any]:
    return {"role": "user", "content": [{"text": f"m{number}"}], "tracking_id": f"id-{number}"}


@pytest.fixture
def restored(memory_sessions: Callable[..., Any]) -> Callable[[], Any]:
    async def restore() -> BidiAgent:
        manager = memory_sessions()
        await manager.open()
        return BidiAgent(model=ScriptedModel(), session_manager=manager)

    return restore


@pytest.fixture
async def talk(memory_sessions: Callable[..., Any], restored: Any) -> BidiAgent:
    """An agent restored with a long history, and started."""
    first = memory_sessions()
    await first.open()
    BidiAgent(model=ScriptedModel(), messages=[said(number) for number in range(LENGTH)], session_manager=first)
    await first.close()
    agent = await restored()
    await agent.start()
    await turn(agent, "first")
    return agent


async def turn(agent: BidiAgent, text: str) -> None:
    agent.model.emit(answered(text, response_id=text, content_id=text))
    await until(agent, "bidi_response_stop")


def texts(agent: BidiAgent) -> list[str]:
    return [message["content"][0]["text"] for message in agent.messages]


@pytest.mark.slow
async def test_turn_after_turn_is_there_after_a_restore(talk: BidiAgent, restored: Any) -> None:
    turns = [f"turn {number}" for number in range(2 * LENGTH)]
    for text in turns:
        await turn(talk, text)
    await talk.stop()

    again = await restored()

    assert texts(again) == [f"m{number}" for number in range(LENGTH)] + ["first", *turns]
    assert again.messages == talk.messages


async def test_an_old_message_that_is_taken_out_stays_out(talk: BidiAgent, restored: Any) -> None:
    del talk.messages[5]
    await turn(talk, "second")
    await talk.stop()

    again = await restored()

    assert texts(again) == [f"m{number}" for number in range(LENGTH) if number != 5] + ["first", "second"]


async def test_an_old_message_that_another_takes_the_place_of_is_replaced(talk: BidiAgent, restored: Any) -> None:
    talk.messages[5] = {"role": "user", "content": [{"text": "another"}], "tracking_id": "another"}
    await turn(talk, "second")
    await talk.stop()

    again = await restored()

    assert texts(again)[4:7] == ["m4", "another", "m6"]
    assert len(again.messages) == LENGTH + 2


@pytest.mark.slow
async def test_an_old_placeholder_that_is_completed_late_is_in_its_place(talk: BidiAgent, restored: Any) -> None:
    talk.model.emit(answered("kept waiting", content_id="late")[:3])  # begun, and not ended
    for number in range(LENGTH):
        await turn(talk, f"turn {number}")
    talk.model.emit(answered("kept waiting", content_id="late")[3:])
    await until(talk, "bidi_response_stop")
    await talk.stop()

    again = await restored()

    assert texts(again) == texts(talk)
    assert texts(again)[LENGTH : LENGTH + 3] == ["first", "kept waiting", "turn 0"]


async def test_a_restored_history_is_the_agents_own_list(talk: BidiAgent, restored: Any) -> None:
    await talk.stop()
    again = await restored()

    again.messages.clear()

    manager: Any = manager_of(again)
    assert len(manager.history.agents["default"].messages) == LENGTH + 1
