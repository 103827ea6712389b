"""Lambda's own trace, for frames whose client began none.

Lambda traces an invocation by itself, so nothing of OpenTelemetry is imported here: it would cost a cold start more
than a frame takes. Where an invocation is sampled, a frame that asks for something by itself is given that trace, and
the worker goes on with it.
"""

from __future__ import annotations

import os
import re
from typing import Final

import msgspec

from segue.wire.frames import AnswerInput, ClientFrame, Hello, ImageInput, TextInput

VARIABLE: Final = "_X_AMZN_TRACE_ID"
"""Set anew for each invocation
(https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html)."""

_ONE_TO_A_TURN: Final = (Hello, TextInput, ImageInput, AnswerInput)
"""Audio is not: of the fifty invocations of an utterance one is nearly always sampled, and so would be every turn. What
is spoken is left to the worker's own ratio."""

_ROOT: Final = re.compile(r"Root=1-([0-9a-f]{8})-([0-9a-f]{24})(?:;|\Z)")
_PARENT: Final = re.compile(r"Parent=([0-9a-f]{16})(?:;|\Z)")
_SAMPLED: Final = re.compile(r"Sampled=1(?:;|\Z)")


def traced[Frame: ClientFrame](frame: Frame) -> Frame:
    """The frame with a trace: its client's, else the invocation's if that is sampled and not one of many, else none."""
    if frame.trace is not None or not isinstance(frame, _ONE_TO_A_TURN):
        return frame
    trace = traceparent(os.environ.get(VARIABLE, ""))
    return msgspec.structs.replace(frame, trace=trace) if trace else frame


def traceparent(header: str) -> str | None:
    """X-Ray's tracing header as a W3C traceparent; None if it is not one of a trace that is kept.

    Args:
        header: ``Root=1-<8 digits>-<24 digits>;Parent=<16 digits>;Sampled=1``, maybe with more.
    """
    root, parent = _ROOT.search(header), _PARENT.search(header)
    if root is None or parent is None or _SAMPLED.search(header) is None:
        return None
    return f"00-{root[1]}{root[2]}-{parent[1]}-01"
