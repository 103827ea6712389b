"""A voice agent that would be interrupted is refused when it is built."""

from __future__ import annotations

import functools
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from strands import Agent, ToolContext, tool
from strands.bidi import BidiAgent
from strands.hooks import BeforeToolCallEvent, HookProvider, HookRegistry
from strands.interventions import Confirm, InterventionHandler
from strands.types.exceptions import SessionException
from strands.vended_tools.handoff_to_user import handoff_to_user

from segue.strands.errors import VoiceCannotPause
from tests.support.fake_model import FakeModel
from tests.support.scripted_model import ScriptedModel, calling, until

Sessions = Callable[..., Any]


def approve(event: BeforeToolCallEvent) -> None:
    if event.tool_use["name"] == "delete" and event.interrupt("approve", reason="sure?") != "yes":
        event.cancel_tool = "no"


async def approve_later(event: BeforeToolCallEvent) -> None:
    def ask() -> Any:
        return event.interrupt("approve")

    ask()


def approve_for(names: list[str], event: BeforeToolCallEvent) -> None:
    if event.tool_use["name"] in names:
        event.interrupt("approve")


class Approval:
    def __call__(self, event: BeforeToolCallEvent) -> None:
        event.interrupt("approve")

    def approve(self, call: BeforeToolCallEvent) -> None:
        call.interrupt("approve")


def approve_text_only(event: BeforeToolCallEvent) -> None:
    if not isinstance(event.agent, BidiAgent):
        event.interrupt("approve")


def stop_the_music(event: BeforeToolCallEvent, player: Any = None) -> None:
    if player is not None:
        event.agent.state.get("player").interrupt()


class Hook(HookProvider):
    def __init__(self, callback: Any) -> None:
        self._callback = callback

    def register_hooks(self, registry: HookRegistry, **kwargs: Any) -> None:
        registry.add_callback(BeforeToolCallEvent, self._callback)


@tool(context=True)
def ask(question: str, tool_context: ToolContext) -> str:
    """Ask a person."""
    return str(tool_context.interrupt("ask", reason=question))


@tool
def clock() -> str:
    """The time."""
    return "noon"


class Sure(InterventionHandler):
    name = "sure"

    def before_tool_call(self, event: Any) -> Any:
        return Confirm(prompt="Sure?")


def an_inner_agent(**options: Any) -> Any:
    return Agent(model=FakeModel(), callback_handler=None, **options).as_tool(name="inner", description="Works")


@pytest.mark.parametrize(
    "callback", [approve, approve_later, functools.partial(approve_for, ["delete"]), Approval(), Approval().approve]
)
def test_a_hook_that_interrupts_is_named(callback: Any, memory_sessions: Sessions) -> None:
    with pytest.raises(VoiceCannotPause, match="build the voice agent without") as refused:
        BidiAgent(model=ScriptedModel(), session_manager=memory_sessions(), hooks=[Hook(callback)])

    assert "hook" in refused.value.names[0]
    assert isinstance(refused.value, (ValueError, SessionException))
    again = pickle.loads(pickle.dumps(refused.value))
    assert (str(again), again.names) == (str(refused.value), refused.value.names)


@pytest.mark.parametrize(
    "name", ["ask", "handoff_to_user", "inner with a hook", "inner with a tool", "inner with an intervention"]
)
def test_a_tool_that_interrupts_is_named(name: str, memory_sessions: Sessions) -> None:
    tools = {
        "ask": ask,
        "handoff_to_user": handoff_to_user,
        "inner with a hook": an_inner_agent(hooks=[approve]),
        "inner with a tool": an_inner_agent(tools=[ask]),
        "inner with an intervention": an_inner_agent(interventions=[Sure()]),
    }

    with pytest.raises(VoiceCannotPause, match=f"tool '{name.split(maxsplit=1)[0]}"):
        BidiAgent(model=ScriptedModel(), session_manager=memory_sessions(), tools=[clock, tools[name]])


@pytest.mark.parametrize("callback", [approve_text_only, stop_the_music, print])
def test_hooks_that_raise_no_interrupt_are_accepted_for_a_voice_agent(callback: Any, memory_sessions: Sessions) -> None:
    BidiAgent(
        model=ScriptedModel(),
        session_manager=memory_sessions(),
        hooks=[Hook(callback)],
        tools=[clock, an_inner_agent(tools=[clock])],
    )


def test_a_text_agent_may_be_interrupted(memory_sessions: Sessions) -> None:
    Agent(model=FakeModel(), session_manager=memory_sessions(), hooks=[approve], tools=[ask], callback_handler=None)


async def test_strands_ends_a_conversation_at_an_interrupt() -> None:
    """The reason for all this; once Strands has interrupts in voice agents, they are to be allowed."""
    agent = BidiAgent(model=(model := ScriptedModel()), tools=[ask])
    await agent.start()
    model.emit(calling("ask", "a", question="Why?"))

    with pytest.raises(RuntimeError, match="interrupts are not supported in bidi"):
        await until(agent, "bidi_response_stop")

    await agent.stop()
