"""Agents and tools with odd values, for the tests of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from strands import Agent, tool
from strands.bidi import BidiAgent

from tests.support.fake_model import FakeModel
from tests.support.scripted_model import ScriptedModel, result_of

Sessions = Callable[..., Any]


def returning(value: Any) -> Any:
    @tool
    def lookup() -> Any:
        """Look something up."""
        return {"status": "success", "content": [{"json": value}]}

    return lookup


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
