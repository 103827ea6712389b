"""Former path of ``segue.testing.OfflineTextModel``."""

from __future__ import annotations

from segue.testing.offline.text_model import OfflineTextModel as RehearsalTextModel

__all__ = ["RehearsalTextModel"]
