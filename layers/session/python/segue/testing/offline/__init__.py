"""Offline models of voice and text, for development and tests: no account, no network, no cost.

    history            the history as a strict provider checks it
    answers            a table of sentences and what is answered to each
    tone_scale, tones  the tones that stand in for speech
    ledger             a log of everything heard and said
    output_queue       events on their way to the reader
    response           one spoken response
    connection         one connection, from start to stop
    voice_model        a ``BidiModel``; needs ``strands-agents[bidi]``
    text_model         a ``Model`` for an ``Agent``

The models are no assistants. They behave as a provider does: they refuse a history that a provider would refuse.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from segue.lazy import lazily
from segue.testing.offline.history import HistoryRejected
from segue.testing.offline.ledger import HeardInput
from segue.testing.offline.tones import Ear, Heard, speak

if TYPE_CHECKING:
    from segue.testing.offline.text_model import OfflineTextModel
    from segue.testing.offline.voice_model import OfflineVoiceModel

__all__ = ["Ear", "Heard", "HeardInput", "HistoryRejected", "OfflineTextModel", "OfflineVoiceModel", "speak"]

__getattr__ = lazily(
    __name__,
    {
        "OfflineTextModel": "segue.testing.offline.text_model",
        "OfflineVoiceModel": "segue.testing.offline.voice_model",
    },
)
"""Import a model when it is first asked for: the text model needs no audio packages."""
