"""Judgement of a partition and of lost silence."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tests.chaos.adversary import Loss
from tests.chaos.call import judge_silence
from tests.chaos.fleet import LEASE_SECONDS
from tests.chaos.wire import PATH_SECONDS, Wire

CUT_OFF_AT = 100.0
SILENT_AT = CUT_OFF_AT + LEASE_SECONDS + PATH_SECONDS


def loss(fault: str, wire: Wire, readies: list[tuple[float, int]], seconds: float = 0.0) -> Loss:
    """A call from which its holder, of epoch 7, was taken."""
    listener = SimpleNamespace(readies=[(at, SimpleNamespace(epoch=epoch)) for at, epoch in readies])
    call: Any = SimpleNamespace(session="s", wire=wire, listener=listener)
    return Loss(call, fault, CUT_OFF_AT, 7, seconds)


def problems(fault: str, spoken_at: list[float], readies: list[tuple[float, int]]) -> list[str]:
    """Judge a call whose holder was taken from it."""
    wire = Wire()
    for number, at in enumerate(spoken_at, 1):
        wire.heard(1, [{"type": "audio", "epoch": 7, "seq": number}], at)
    return loss(fault, wire, readies).problems


def test_a_worker_that_is_cut_off_may_speak_until_its_lease_has_run_out() -> None:
    assert problems("partition", [101.0, SILENT_AT - 0.1, SILENT_AT + 0.1], [(99.0, 7), (105.0, 8)]) == []


def test_a_worker_that_goes_on_to_speak_without_its_lease_is_found() -> None:
    found = problems("partition", [SILENT_AT + 0.1, SILENT_AT + 0.2], [(105.0, 8)])
    assert found == ["s: epoch 7 was cut off and spoke 2 times when its lease had run out"]


def test_a_session_that_no_worker_takes_over_is_found() -> None:
    assert problems("partition", [], [(99.0, 7)]) == ["s: no worker took over from epoch 7, which was cut off"]
    assert problems("stop", [], [(99.0, 7)]) == [], "one that was stopped may have gone on"


@pytest.mark.parametrize(
    ("hellos", "pause"), [([99.0], 4.0), ([99.0, 101.5, 102.0], 2.5), ([104.5], 4.0)], ids=["none", "some", "later"]
)
def test_a_pause_counts_from_the_first_hello_over_another_connection_if_there_was_one(
    hellos: list[float], pause: float
) -> None:
    wire = Wire()
    for connection, at in enumerate(hellos, 1):
        for again in (0.0, 0.1):
            wire.said(connection, [{"type": "hello", "client_id": "c"}], at + again)
    stopped = loss("stop", wire, [(99.0, 7), (104.0, 8)], 10.0)
    assert stopped.pause == 4.0
    assert stopped.pause_from_hello == pause
    assert loss("stop", wire, [(99.0, 7)]).pause_from_hello is None


def test_a_kill_or_stop_during_a_handoff_marks_it_disturbed() -> None:
    killed, stopped = loss("kill", Wire(), []), loss("stop", Wire(), [], 5.0)
    times = [(98.0, 99.0), (99.0, 101.0), (102.0, 103.0), (105.5, 106.0)]
    assert [killed.disturbs(*time) for time in times] == [False, True, False, False]
    assert [stopped.disturbs(*time) for time in times] == [False, True, True, False]


def test_silence_before_the_last_words_must_be_acknowledged_and_after_them_need_not() -> None:
    said = [SimpleNamespace(spoken=True, frames=[3, 4]), SimpleNamespace(spoken=False, frames=[7])]
    caller: Any = SimpleNamespace(said=said, microphone=SimpleNamespace(silence=[1, 2, 5, 6]))
    known = {1, 2}
    listener: Any = SimpleNamespace(acknowledged=lambda number: number in known)
    assert judge_silence(caller, listener) == []
    known.remove(2)
    assert judge_silence(caller, listener) == ["lost: silence was never acknowledged: [2]"]
