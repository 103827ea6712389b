"""Failures of the user's code in a conversation: logged, and told to the client or to the model.

build_agent raises ──▶ log, with traceback ──▶ AgentFailed ──▶ ``agent_failed`` for the client
a tool raises ───────▶ log, with traceback ──▶ the model gets the error's text, or with SEGUE_TOOL_ERRORS=hidden
                                               one sentence without it
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

import pydantic
import strands
from aws_lambda_powertools import Logger
from strands.hooks import AfterToolCallEvent

from segue import SegueError

HIDDEN_TEXT: Final = "Error: the tool failed."
"""The result of a tool that raised, where the error's own text is hidden."""

_LIBRARIES: Final = tuple(str(Path(str(package.__file__)).parent) for package in (strands, pydantic))


class AgentFailed(Exception):  # noqa: N818 - reads as what happened
    """The user's code could not build the agent of one conversation. It is in the log, with its traceback."""


class Hooked(Protocol):
    """An agent, as far as its tools are watched."""

    hooks: Any


def hides_tool_errors(variables: Mapping[str, str] | None = None) -> bool:
    """Return true if the texts of tools' errors are kept from the model (SEGUE_TOOL_ERRORS)."""
    return (os.environ if variables is None else variables).get("SEGUE_TOOL_ERRORS") == "hidden"


def watch_tools(agent: Hooked, log: Logger, session: str) -> None:
    """Log each tool of an agent that raises, and keep the error's text from the model if that was chosen.

    Args:
        agent: Just built.
        log: Where failures are written.
        session: Key of the session, for the log.
    """
    hide = hides_tool_errors()

    def finished(event: AfterToolCallEvent[Any]) -> None:
        error = event.exception
        if error is None or event.selected_tool is None:
            return
        name = event.tool_use["name"]
        if _before_the_tool(error):  # its text has the input, which is content of the conversation
            log.error("the model's input does not fit the tool", tool=name, session=session)
        else:
            log.error("a tool raised", tool=name, session=session, kind=type(error).__name__, exc_info=error)
        if hide:
            event.result = {**event.result, "content": [{"text": HIDDEN_TEXT}]}

    agent.hooks.add_callback(AfterToolCallEvent, finished)


def _before_the_tool(error: BaseException) -> bool:
    """Tell an input that Strands refuses from a tool that raises."""
    traceback, within = error.__traceback__, True
    while traceback is not None:
        within = within and traceback.tb_frame.f_code.co_filename.startswith(_LIBRARIES)
        traceback = traceback.tb_next
    return within


def comes_of_storage(error: BaseException) -> bool:
    """Return true if the session caused a failure: Strands wraps what a hook raises."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, SegueError):
        cause = cause.__cause__ or cause.__context__
    return cause is not None


def build[Agent: Hooked](new_agent: Callable[[Any], Agent], manager: Any, log: Logger) -> Agent:
    """Let the user's code build the agent of one conversation, and watch its tools.

    Args:
        new_agent: ``build_agent`` or ``build_text_agent``.
        manager: Of the session, opened or prepared.
        log: Where failures are written.

    Raises:
        AgentFailed: The code raised, or returned no agent.
        Exception: What the session raised while it was restored.
    """
    session = str(manager.session_key)
    try:
        agent = new_agent(manager)
        watch_tools(agent, log, session)
    except Exception as error:
        if comes_of_storage(error):
            raise
        kind = type(error).__name__
        log.error("the agent could not be built", session=session, kind=kind, exc_info=error)  # noqa: TRY400 - with exc_info
        raise AgentFailed(session) from error
    return agent
