"""Going back to an earlier point, and on from there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from strands.bidi import BidiAgent

from segue.points import Point
from segue.records import unpack
from tests.support.memory_manager import MemoryStorage
from tests.support.scripted_model import ScriptedModel

Sessions = Callable[..., Any]


async def talked(manager: Any, *texts: str) -> BidiAgent:
    await manager.open()
    agent = BidiAgent(model=ScriptedModel(), session_manager=manager)
    await agent.start()
    for text in texts:
        await agent.send(text)
    return agent


def texts(agent: BidiAgent) -> list[str]:
    return [message["content"][0]["text"] for message in agent.messages]


async def test_a_session_goes_back_and_on_from_there(memory_sessions: Sessions) -> None:
    agent = await talked(memory_sessions(), "One", "Two")
    agent.state.set("mood", "good")
    manager = agent._session_manager
    earlier = (await manager.points())[-2]
    await agent.send("Three")
    agent.state.set("mood", "bad")
    await agent.stop()

    await manager.rewind(earlier)

    assert texts(agent) == ["One", "Two"]
    await agent.start()
    await agent.send("Instead")
    await agent.stop()
    heir = await talked(memory_sessions())
    assert texts(heir) == ["One", "Two", "Instead"]
    assert heir.messages == agent.messages
    assert heir.state.get() == agent.state.get()
    await heir.stop()


async def test_going_back_is_a_point_too_that_one_can_go_back_before(memory_sessions: Sessions) -> None:
    agent = await talked(memory_sessions(), "One", "Two", "Three")
    await agent.stop()
    manager = agent._session_manager
    whole = (await manager.points())[-1]
    first = (await manager.points())[-3]

    await manager.rewind(first)
    assert texts(agent) == ["One"]
    await manager.rewind(whole)

    assert texts(agent) == ["One", "Two", "Three"]


async def test_a_running_agent_is_left_alone(memory_sessions: Sessions) -> None:
    agent = await talked(memory_sessions(), "One", "Two")
    manager = agent._session_manager

    with pytest.raises(RuntimeError, match="stop it"):
        await manager.rewind((await manager.points())[0])

    assert texts(agent) == ["One", "Two"]
    await agent.stop()


async def test_a_point_that_is_none_is_refused(memory_sessions: Sessions) -> None:
    agent = await talked(memory_sessions(), "One")
    await agent.stop()

    with pytest.raises(ValueError, match="nearest points"):
        await agent._session_manager.rewind(Point(999, 1, "x", 0))


async def test_what_was_left_behind_can_still_be_redacted(memory_sessions: Sessions, storage: MemoryStorage) -> None:
    agent = await talked(memory_sessions(), "One", "the secret")
    secret = agent.messages[-1]["tracking_id"]
    manager = agent._session_manager
    await agent.stop()
    await manager.rewind((await manager.points())[-2])
    heir_manager = memory_sessions()
    await manager.close()
    heir = await talked(heir_manager)

    await heir_manager.redact(secret)

    assert not [key for key, body in storage.objects.objects.items() if b"the secret" in unpack(body)]
    await heir.stop()
