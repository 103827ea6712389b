"""Keys by which a tool's outside effects can be told apart from their repeats."""

from __future__ import annotations

from strands.types.tools import ToolContext

from segue.history.tool_uses import remembered

SESSION_KEY = "segue_session_key"
"""Entry of a tool's ``invocation_state`` with the key of the session that its agent belongs to."""


def idempotency_key(tool_context: ToolContext) -> str:
    """Return ``<session_key>/<tool use id>`` inside a tool: the same for every attempt of one tool use.

    Outside effects of a tool are at least once. Give this key to what makes them, if it can tell repeats. If the
    provider uses the id again for another use, that one's key ends with ``#2``, the next one's with ``#3``.

    Args:
        tool_context: Strands' context of the tool.

    Raises:
        KeyError: The agent has none of Segue's session managers.
    """
    state = tool_context.invocation_state
    return f"{state[SESSION_KEY]}/{remembered(state, tool_context.tool_use)}"
