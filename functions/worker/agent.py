"""YOUR AGENT. This is the one file to edit: the model, what it is told, and the tools it may use.

``build_agent`` is called once for every conversation that this worker takes over, and whatever it returns goes on where
the conversation was: messages, transcripts and ``agent.state`` are restored by ``session_manager``. So keep what must
survive a redeployment there, and nowhere else.

Deploy after an edit (``cdk deploy``; on one machine ``make redeploy``): conversations under way pass to the new version
at their next turn boundary, on the same connection.
"""

from __future__ import annotations

import os
from typing import Any

from strands import Agent, ToolContext, tool
from strands.agent import SlidingWindowConversationManager
from strands.bidi import BidiAgent
from strands.bidi.models import BidiModel
from strands.models import Model
from strands.session import SessionManager

from worker import providers

SYSTEM_PROMPT = """\
You are a friendly voice assistant. Answer in one or two short sentences: people are listening, not reading.
When someone asks you to remember something, use the remember tool; when they ask what you noted, use the recall tool.
"""

TEXT_SYSTEM_PROMPT = """\
You are a friendly assistant. Answer briefly and in plain text.
When someone asks you to remember something, use the remember tool; when they ask what you noted, use the recall tool;
when they ask you to forget everything, use the forget tool.
"""

DEFAULT_TEXT_MODEL_ID = "amazon.nova-lite-v1:0"


# Tools are plain functions with the tool decorator: the docstring tells the model what they do and when to use them.
# With context=True they are given the agent; what they put into agent.state is saved with the conversation.
# If a tool raises, the log has the traceback, and the model gets the error's text, which it may say to the user. Keep
# secrets out of it, or let the setting tool_errors=hidden keep the text from the model. More packages: make add
# PACKAGE=httpx. A tool that waits long has to be async and await, or a plain def: those run in a thread of their own.


@tool(context=True)
def remember(note: str, tool_context: ToolContext) -> str:
    """Write something down for later in this conversation.

    Args:
        note: What to remember, in one sentence.
    """
    state = tool_context.agent.state
    notes = [*(state.get("notes") or []), note]
    state.set("notes", notes)
    return f"Noted. There are {len(notes)} notes now."


@tool(context=True)
def recall(tool_context: ToolContext) -> str:
    """Read out everything that was written down with the remember tool."""
    notes = tool_context.agent.state.get("notes") or []
    return "\n".join(f"- {note}" for note in notes) or "Nothing was noted yet."


# A tool can ask a person before it acts: interrupt stops the turn until a client answers, and then returns the answer.
# If the client cannot answer, or no answer comes in time (the setting approval_seconds), the tool is denied. To ask
# before all tools: Agent(interventions=[HumanInTheLoop(allowed_tools=["recall"])], …), from
# strands.vended_interventions.hitl. A voice agent cannot ask: leave such tools out of build_agent.


@tool(context=True)
def forget(tool_context: ToolContext) -> str:
    """Forget everything that was written down with the remember tool."""
    if tool_context.interrupt("forget", reason="Forget all notes?") not in (True, "y", "yes"):
        return "Nothing was forgotten: the user said no."
    tool_context.agent.state.set("notes", [])
    return "Everything is forgotten."


def build_agent(session_manager: SessionManager[Any] | None) -> BidiAgent:
    """Build the agent of one conversation.

    Args:
        session_manager: Restores the conversation and saves what happens in it. Pass it on unchanged. It is None
            once, when the worker starts: that agent is thrown away, and a mistake in this file stops the deployment
            instead of a call.
    """
    return BidiAgent(
        model=build_model(),
        system_prompt=SYSTEM_PROMPT,
        tools=[remember, recall],
        session_manager=session_manager,
    )


def build_text_agent(session_manager: SessionManager[Any] | None) -> Agent:
    """Build the agent of a turn that is typed and read instead of spoken and heard.

    Used by the text workers. It goes on in the same conversation: what was said to one agent the other one knows.

    Args:
        session_manager: As in ``build_agent``. It is None once for each version that is deployed, and that agent's
            model is asked for one word.
    """
    return Agent(
        model=build_text_model(),
        system_prompt=TEXT_SYSTEM_PROMPT,
        tools=[remember, recall, forget],
        # What it leaves out of a long conversation, the voice agent does not see either.
        conversation_manager=SlidingWindowConversationManager(window_size=200),
        callback_handler=None,
        session_manager=session_manager,
    )


def build_text_model() -> Model:
    """Choose the text model: Amazon Bedrock's SEGUE_TEXT_MODEL_ID. Any model of Strands can stand here."""
    if os.environ.get("SEGUE_PROVIDER") in {"offline", "rehearsal"}:
        from segue.testing import OfflineTextModel

        return OfflineTextModel()
    from strands.models import BedrockModel

    return BedrockModel(model_id=os.environ.get("SEGUE_TEXT_MODEL_ID") or DEFAULT_TEXT_MODEL_ID)


def build_model() -> BidiModel:
    """Make the model that the deployment's settings choose; docs/providers.md says which there are.

    Any bidirectional model of Strands can stand here instead.

    Raises:
        EnvironmentProblem: The settings do not fit; the text says which.
    """
    return providers.build(providers.Settings.from_environment())
