"""Approvals: the one that a client knows to be open, and the frame that answers one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from segue.wire.frames import AnswerInput, Approval, FrameError, Response, encode_frame

OVERDUE_SECONDS: Final = 0.5
"""Seconds after the end of an approval's time when hello is said: the holder's clock may be behind."""


class OpenApproval:
    """The approval that the agent waits for, as a client was shown it.

    Attributes:
        frame: the newest of status ``asked``; ``None`` if the agent waits for nothing.
    """

    def __init__(self) -> None:
        """Begin without one."""
        self.frame: Approval | None = None
        self._overdue_at: float | None = None  # when its time is over

    def follow(self, frame: Approval, now: float) -> None:
        """Note what is waited for, and until when; said again it says the same."""
        if frame.status == "asked":
            self.frame = frame
            self._overdue_at = now + (frame.seconds or 0.0) + OVERDUE_SECONDS
        else:
            self.frame = self._overdue_at = None

    def overdue(self, now: float) -> bool:
        """Tell, once, that its time is over and no frame has said so."""
        if self._overdue_at is None or self._overdue_at > now:
            return False
        self._overdue_at = None
        return True

    def wakeup(self, now: float) -> float | None:
        """Seconds until ``overdue``; ``None`` while it cannot become true."""
        return None if self._overdue_at is None else self._overdue_at - now


def answer_to(approval: Approval, responses: Mapping[str, Any], trace: str | None) -> AnswerInput:
    """Return the frame that answers an approval.

    Args:
        approval: the event that asks.
        responses: for the id of each of its requests any JSON value but ``None``.
        trace: the W3C traceparent that it carries.

    Raises:
        ValueError: a request has no response, or a response no request.
        FrameError: ``oversize``, or ``bad_frame`` for what JSON does not have.
    """
    asked = {request.id for request in approval.requests}
    if approval.record is None or asked != responses.keys():
        raise ValueError(f"answer each request of an approval that asks: {sorted(asked)}, not {sorted(responses)}")
    try:
        answers = tuple(Response(id=name, response=response) for name, response in responses.items())
        frame = AnswerInput(approval=approval.record, responses=answers, trace=trace)
        encode_frame(frame)  # not every value has a form in JSON
    except FrameError:
        raise
    except (TypeError, ValueError) as error:
        raise FrameError("bad_frame", f"a response is no JSON that is taken: {error}") from error
    return frame
