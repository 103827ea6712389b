"""Hooks and tools that interrupt their agent, found before it runs.

Strands has no interrupts in a ``BidiAgent``: the conversation ends with an error at the first one, in the middle of a
call. So a session manager refuses such an agent when it is built. It looks into the code for a call of ``interrupt`` on
what a hook or a tool is given. What it cannot see (a call in a function that the hook calls) Strands refuses later.
"""

from __future__ import annotations

import dis
import functools
import inspect
from collections.abc import Iterator
from types import CodeType
from typing import Any

from strands.agent.agent import Agent
from strands.hooks.events import BeforeToolCallEvent, BeforeToolsEvent
from strands.types.agent import LocalAgent

from segue.strands.errors import VoiceCannotPause
from segue.strands.private import callbacks_of, function_of, interventions_of

_LOADS_ATTRIBUTE = frozenset({"LOAD_ATTR", "LOAD_METHOD"})
_KNOWS_VOICE = frozenset({"BidiAgent"})
_TELLS_AGENTS_APART = frozenset({"isinstance", "Agent"})


def refuse_interrupts(agent: LocalAgent) -> None:
    """Check that no hook or tool of a voice agent interrupts it.

    Raises:
        VoiceCannotPause: A hook or a tool does.
    """
    if not isinstance(agent, Agent) and (names := tuple(dict.fromkeys(_interrupting(agent, in_tool=False)))):
        raise VoiceCannotPause(agent.agent_id, names)


def _interrupting(agent: Any, *, in_tool: bool) -> Iterator[str]:
    """Name hooks and tools that interrupt an agent, those of agents that are its tools included."""
    kinds = [BeforeToolCallEvent, BeforeToolsEvent] if in_tool else [BeforeToolCallEvent]
    for kind in kinds:
        for callback in callbacks_of(agent, kind):
            if _interrupts(callback):
                yield f"hook {_name(callback)}"
    for handler in interventions_of(agent) if in_tool else ():
        if _mentions(handler.before_tool_call, "Confirm"):
            yield f"intervention {handler.name!r}"
    for name, tool in agent.tool_registry.registry.items():
        inner = getattr(tool, "agent", None)
        if isinstance(inner, Agent):
            yield from (f"tool {name!r} ({found})" for found in _interrupting(inner, in_tool=True))
        elif _interrupts(function_of(tool)):
            yield f"tool {name!r}"


def _name(callback: Any) -> str:
    return getattr(callback, "__qualname__", type(callback).__qualname__)


def _code_of(function: Any) -> CodeType | None:
    """Find the code behind a function, a method, a partial or an object that is called."""
    while isinstance(function, functools.partial):
        function = function.func
    if not (inspect.isroutine(function) or hasattr(function, "__code__")):
        function = type(function).__call__ if callable(function) else None
    code = getattr(inspect.unwrap(function), "__code__", None)
    return code if isinstance(code, CodeType) else None


def _mentions(function: Any, name: str) -> bool:
    code = _code_of(function)
    return code is not None and any(name in each.co_names for each in _all_code(code))


def _interrupts(function: Any) -> bool:
    """Tell whether a function calls ``interrupt`` on a parameter without checking the agent's class before."""
    code = _code_of(function)
    if code is None:
        return False
    names = {name for each in _all_code(code) for name in (*each.co_names, *each.co_freevars)}
    if names >= _KNOWS_VOICE or names >= _TELLS_AGENTS_APART:
        return False
    given = set(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount])
    return any(_calls_interrupt(each, given) for each in _all_code(code))


def _all_code(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _all_code(constant)


def _calls_interrupt(code: CodeType, given: set[str]) -> bool:
    before: Any = None
    for instruction in dis.get_instructions(code):
        if instruction.opname in _LOADS_ATTRIBUTE and instruction.argval == "interrupt":
            loaded = before.argval if before is not None else None
            owner = loaded[-1] if isinstance(loaded, tuple) and loaded else loaded
            if owner in given:
                return True
        before = instruction
    return False
