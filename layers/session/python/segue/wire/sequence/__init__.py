"""Former path of ``segue.wire.receiver``."""

from __future__ import annotations

from segue.wire.receiver import WINDOW, Receiver

__all__ = ["WINDOW", "Receiver"]
