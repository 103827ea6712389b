"""Former import paths that users hold: each still leads to what it led to."""

from __future__ import annotations

import segue.wire.encoding as former_codec
import segue.wire.sequence as former_receiver
import segue.wire.trace as former_trace
from segue.testing import OfflineTextModel
from segue.wire import json_codec, receiver
from segue.wire.fields import trace_id
from worker.rehearsal.text import RehearsalTextModel


def test_former_paths_of_the_wire_lead_to_the_same_objects() -> None:
    for name in former_codec.__all__:
        assert getattr(former_codec, name) is getattr(json_codec, name)
    assert (former_receiver.Receiver, former_receiver.WINDOW) == (receiver.Receiver, receiver.WINDOW)
    assert former_trace.trace_id is trace_id


def test_the_former_offline_text_model_of_agents_is_the_offline_text_model() -> None:
    assert RehearsalTextModel is OfflineTextModel
