"""Ends of turns."""

from __future__ import annotations

import pytest
from strands.bidi.types.events import (
    BidiAudioStartEvent,
    BidiBargeInEvent,
    BidiConnectionRestartEvent,
    BidiResponseStartEvent,
    BidiResponseStopEvent,
    BidiToolUseBlocksEvent,
    BidiTranscriptStartEvent,
)
from strands.types._events import ToolResultMessageEvent

from worker.conversation.turn_boundary import TurnBoundary

START, STOP = BidiResponseStartEvent("r"), BidiResponseStopEvent("r")
USER, AGENT = BidiTranscriptStartEvent("user", "u"), BidiTranscriptStartEvent("assistant", "a")
CALL, RESULT = BidiToolUseBlocksEvent([]), ToolResultMessageEvent({})
RESTART, BARGE_IN = BidiConnectionRestartEvent("timeout"), BidiBargeInEvent()


def in_words(value):
    if not isinstance(value, list):
        return "over" if value else "not over"
    names = (each if isinstance(each, str) else type(each).__name__ for each in value)
    return " ".join(name.removeprefix("Bidi").removesuffix("Event") for name in names) or "nothing"


@pytest.mark.parametrize(
    ("events", "at_boundary"),
    [
        ([], True),
        (["typed"], False),
        (["typed", START], False),
        (["typed", START, AGENT, STOP], True),
        ([USER], False),
        ([USER, START, STOP], True),
        ([START, STOP, BidiAudioStartEvent("x")], True),
        ([START, CALL], False),
        ([START, CALL, STOP], False),
        ([START, CALL, STOP, RESULT], False),
        ([START, CALL, STOP, RESULT, START, STOP], True),
        ([START, CALL, CALL, STOP, RESULT, START, STOP], False),
        ([START, BARGE_IN], True),
        ([START, BARGE_IN, USER], False),
        ([USER, RESTART], True),
        ([START, STOP, USER, STOP], True),
    ],
    ids=in_words,
)
async def test_a_turn_is_over_when_nothing_is_owed_or_said(events, at_boundary):
    turn = TurnBoundary()
    for event in events:
        if event == "typed":
            turn.asked()
        else:
            turn.saw(event)
    assert turn.at_boundary is at_boundary
