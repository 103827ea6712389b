"""Approvals of a text agent, as frames. A voice agent asks for none, and repeats those of earlier text turns."""

from __future__ import annotations

import json
from typing import Any, Final

from segue.history import approvals
from segue.history.messages import well_formed
from segue.wire import frames
from segue.wire.cutting import cut_approval

BY_VOICE: Final = "The tool was not run: the conversation went on by voice, where it cannot be approved."
"""The result of a tool whose approval was open when a voice worker took the session."""


def approval_frame(approval: approvals.RecordedApproval, now: float) -> frames.Approval:
    """Return the frame that shows an ``approval`` record.

    Args:
        approval: Not one that was refused.
        now: Seconds since 1970.
    """
    asked = approval.status == "asked"
    return cut_approval(
        frames.Approval(
            status=approval.status,  # type: ignore[arg-type]  # what is no input is one of these
            requests=tuple(_request(request) for request in approval.requests),
            tools=tuple(
                frames.WaitingTool(
                    tool_use_id=str(tool["toolUseId"]), name=tool["name"], input=_as_json(tool.get("input"))
                )
                for tool in approval.tools
            ),
            seconds=max(0.0, round(approval.until - now, 3)) if asked else None,
            of=approval.of,
            reason=approval.why,
            record=approval.number,
        )
    )


def _request(request: Any) -> frames.ApprovalRequest:
    about = request["tool_use_id"]
    return frames.ApprovalRequest(
        id=request["id"],
        name=well_formed(request["name"]),
        reason=_as_json(request["reason"]),
        tool_use_id=None if about is None else str(about),
    )


def _as_json(value: Any) -> Any:
    """A value as JSON has it, for people: a journal keeps tuples, and keys that are not texts."""
    match value:
        case str():
            return well_formed(value)
        case dict():
            return {_key(key): _as_json(inner) for key, inner in value.items()}
        case list() | tuple():
            return [_as_json(inner) for inner in value]
        case _:
            return value


def _key(key: Any) -> str:
    return str(well_formed(key)) if isinstance(key, str) else json.dumps(key)
