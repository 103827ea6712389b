"""Judgement of a partition and of lost silence."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from tests.chaos.adversary import Loss
from tests.chaos.call import judge_silence
from tests.chaos.fleet import LEASE_SECONDS
from tests.chaos.wire import PATH_SECONDS, Wire

CUT_OFF_AT = 100.0
SILENT_AT = CUT_OFF_AT + LEASE_SECONDS + PATH_SECONDS


def problems(fault: str, spoken_at: list[float], readies: list[tuple[float, int]]) -> list[str]:
    """Judge a call whose holder, of epoch 7, was taken from it."""
    wire = Wire()
    for number, at in enumerate(spoken_at, 1):
        wire.heard(1, [{"type": "audio", "epoch": 7, "seq": number}], at)
    listener = SimpleNamespace(readies=[(at, SimpleNamespace(epoch=epoch)) for at, epoch in readies])
    call: Any = SimpleNamespace(session="s", wire=wire, listener=listener)
    return Loss(call, fault, CUT_OFF_AT, 7).problems


def test_a_worker_that_is_cut_off_may_speak_until_its_lease_has_run_out() -> None:
    assert problems("partition", [101.0, SILENT_AT - 0.1, SILENT_AT + 0.1], [(99.0, 7), (105.0, 8)]) == []


def test_a_worker_that_goes_on_to_speak_without_its_lease_is_found() -> None:
    found = problems("partition", [SILENT_AT + 0.1, SILENT_AT + 0.2], [(105.0, 8)])
    assert found == ["s: epoch 7 was cut off and spoke 2 times when its lease had run out"]


def test_a_session_that_no_worker_takes_over_is_found() -> None:
    assert problems("partition", [], [(99.0, 7)]) == ["s: no worker took over from epoch 7, which was cut off"]
    assert problems("stop", [], [(99.0, 7)]) == [], "one that was stopped may have gone on"


def test_silence_before_the_last_words_must_be_acknowledged_and_after_them_need_not() -> None:
    said = [SimpleNamespace(spoken=True, frames=[3, 4]), SimpleNamespace(spoken=False, frames=[7])]
    caller: Any = SimpleNamespace(said=said, microphone=SimpleNamespace(silence=[1, 2, 5, 6]))
    known = {1, 2}
    listener: Any = SimpleNamespace(acknowledged=lambda number: number in known)
    assert judge_silence(caller, listener) == []
    known.remove(2)
    assert judge_silence(caller, listener) == ["lost: silence was never acknowledged: [2]"]
