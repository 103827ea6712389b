"""Agents whose users edit their messages, and the edits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from strands import Agent
from strands.bidi import BidiAgent

from tests.support.crash import certainly_dead
from tests.support.fake_model import FakeModel
from tests.support.scripted_model import ScriptedModel, answered, until

Sessions = Callable[..., Any]
Build = Callable[..., Any]


def said(text: str, role: str = "user", **more: Any) -> dict[str, Any]:
    return {"role": role, "content": [{"text": text}], **more}


def text_agent(manager: Any, **options: Any) -> Any:
    return Agent(model=FakeModel(), session_manager=manager, callback_handler=None, **options)


def voice_agent(manager: Any, **options: Any) -> Any:
    return BidiAgent(model=ScriptedModel(), session_manager=manager, **options)


@pytest.fixture(params=[text_agent, voice_agent], ids=["text", "voice"])
def build(request: pytest.FixtureRequest) -> Build:
    """Builds an agent of either kind."""
    made: Build = request.param
    return made


async def turn(agent: Any, text: str) -> None:
    if isinstance(agent, Agent):
        await agent.invoke_async(text)
        return
    started = agent._started
    if not started:
        await agent.start()
    await agent.send(text)
    agent.model.emit(answered(f"You said: {text}", content_id=text, response_id=text))
    await until(agent, "bidi_response_stop")


async def restored(sessions: Sessions, build: Build, **options: Any) -> Any:
    manager = sessions(probe=certainly_dead, **options)
    await manager.open()
    return build(manager)
