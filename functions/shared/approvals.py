"""Approvals of a text agent, as frames. A voice agent asks for none, and repeats those of earlier text turns."""

from __future__ import annotations

from typing import Any, Final

from segue.history import approvals
from segue.history.messages import well_formed
from segue.wire import frames
from segue.wire.cutting import cut_approval

BY_VOICE: Final = "The tool was not run: the conversation went on by voice, where it cannot be approved."
"""The result of a tool whose approval was open when a voice worker took the session."""


def approval_frame(approval: approvals.Approval, now: float) -> frames.Approval:
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
                    tool_use_id=tool["toolUseId"], name=tool["name"], input=well_formed(tool.get("input"))
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
    return frames.ApprovalRequest(
        id=request["id"],
        name=well_formed(request["name"]),
        reason=well_formed(request["reason"]),
        tool_use_id=request["tool_use_id"],
    )
