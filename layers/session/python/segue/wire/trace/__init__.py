"""Former path of ``segue.wire.fields.trace_id``."""

from __future__ import annotations

from segue.wire.fields import trace_id

__all__ = ["trace_id"]
