"""The trace that a frame belongs to: a W3C traceparent in the field ``trace``.

    00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01
    │  trace id                         parent id        flags
    version

Of a later version, these four parts come first (Trace Context, section 3.2.4).
"""

from __future__ import annotations


def trace_id(trace: str | None) -> str | None:
    """The trace id of a frame's ``trace``, by which log lines and spans are found.

    Args:
        trace: as a decoded frame has it, which was checked.
    """
    return None if trace is None else trace.split("-")[1]
