"""The account of frames: what counts as lost or doubled."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest

from local.demo.frames import Frames
from local.demo.listener import Final

ASKED = ("user", "line 1")
ANSWERED = ("assistant", "You said: line 1")


def account_of(journal: list[tuple[str, str]], *, doubled: int = 0, shown: int = 1) -> Frames:
    """The account of one line that was spoken, heard, acknowledged and answered."""
    answer = Final("assistant", ANSWERED[1], 2, 7, 1.0)
    said = SimpleNamespace(text="line 1", expected=ANSWERED[1], spoken=True, frames=[1, 2], answer=answer)
    caller: Any = SimpleNamespace(
        said=[said], microphone=SimpleNamespace(silence=[3]), line=SimpleNamespace(given_up=0)
    )
    finals = [Final("user", "line 1", 1, 7, 0.5), *[answer] * shown]
    listener: Any = SimpleNamespace(
        finals=finals, acknowledged=lambda _: True, doubled=doubled, missing=0, count=Counter({"Transcript": 2})
    )
    return Frames(caller, listener, Counter({"line 1": 1}), journal)


def test_a_line_that_was_heard_and_answered_once_is_neither_lost_nor_doubled() -> None:
    frames = account_of([ASKED, ANSWERED])
    assert (frames.lost, frames.doubled) == ([], [])


def test_placeholders_of_answers_that_were_cut_off_are_no_answers() -> None:
    cut = ("assistant", "[Transcript unavailable.]")
    assert account_of([ASKED, cut, cut, ANSWERED]).doubled == []


@pytest.mark.parametrize(
    ("found", "what"),
    [
        (account_of([ASKED, ANSWERED, ANSWERED]), "'You said: line 1' was answered 2 times"),
        (account_of([ASKED, ASKED, ANSWERED]), "'line 1' is in the journal once too often"),
        (account_of([ASKED, ANSWERED], shown=2), "record 2 was shown 2 times"),
        (
            account_of([ASKED, ANSWERED], doubled=3),
            "the client let through 3 frames twice or from an epoch that was over",
        ),
    ],
)
def test_doubled_effects_and_outputs_are_found(found: Frames, what: str) -> None:
    assert found.doubled == [what]
    assert found.lost == []


def test_a_line_missing_from_the_journal_counts_as_lost() -> None:
    assert account_of([]).lost == ["'line 1' is not in the journal"]
