"""Answers that a handoff cuts: the successor gives them."""

from __future__ import annotations

from typing import Any

import pytest
from strands.bidi.types.events import BidiResponseStartEvent, BidiResponseStopEvent

from segue.wire import frames
from segue.wire.frames import InputAck
from shared.conversation.messages import unanswered
from tests.support.scripted_model import spoken
from tests.support.waiting import eventually
from tests.unit.worker.handoffs import conversation, drain
from tests.unit.worker.stand_ins import claim, delivery, text, turns
from worker.hosting.drain import DrainTimes


@pytest.mark.slow
async def test_a_text_that_was_cut_before_its_answer_is_answered_by_the_successor(world, old, new):
    await conversation(world, old, "one")
    old.session.deliver(delivery(text("two", 2)))
    await eventually(lambda: len(world.clients.of("k1", InputAck)) == 2)
    await drain(old, new, times=DrainTimes(turn_seconds=0.05))
    await eventually(lambda: new.session and new.session.open)
    successor = world.models[-1]
    await eventually(lambda: successor.texts == ["two"])
    said = [message["content"][0]["text"] for message in successor.started_with[0]]
    assert said == ["one", "Yes, one"], "the successor's model hears the text once"
    assert not new.session.turn.at_boundary, "an answer is owed"
    successor.emit([BidiResponseStartEvent("r"), *spoken("Yes, two"), BidiResponseStopEvent("r")])
    await eventually(lambda: any(one.text == "Yes, two" for one in world.clients.of("k1", frames.Transcript)))
    await new.session.stop()
    await new.host.open_session(claim())
    said = [message["content"][0]["text"] for message in world.models[-1].started_with[0]]
    assert said == ["one", "Yes, one", "two", "Yes, two"], "recorded once, answered once"
    await turns()
    assert world.models[-1].texts == []


@pytest.mark.slow
async def test_an_answer_that_was_cut_in_the_middle_is_given_again_by_the_successor(world, old, new):
    await conversation(world, old, "one")
    old.session.deliver(delivery(text("two", 2)))
    await eventually(lambda: len(world.clients.of("k1", InputAck)) == 2)
    world.models[-1].emit([BidiResponseStartEvent("r"), *spoken("Yes, two")[:-1]])
    await eventually(lambda: world.clients.of("k1", frames.Transcript)[-1].text.startswith("Yes, two"))
    await drain(old, new, times=DrainTimes(turn_seconds=0.05))
    await eventually(lambda: new.session and new.session.open)
    successor = world.models[-1]
    await eventually(lambda: successor.texts == ["two"])
    said = [message["content"][0]["text"] for message in successor.started_with[0]]
    assert said == ["one", "Yes, one"]
    roles = [message["role"] for message in new.session._agent.messages]
    assert roles == ["user", "assistant", "user", "assistant"], "what was cut stays in the history"


def test_only_the_last_words_of_a_user_are_without_an_answer():
    def message(role: str, *content: Any, **bidi: str) -> dict[str, Any]:
        return {"role": role, "content": list(content), "metadata": {"custom": {"bidi": bidi}}}

    words, use = {"text": "hello"}, {"toolUse": {"toolUseId": "t"}}
    result = {"toolResult": {"toolUseId": "t", "content": []}}
    cut = message("assistant", {"text": "[Transcript unavailable.]"}, kind="transcript", status="incomplete")
    assert unanswered([]) == (None, 0)
    assert unanswered([message("user", words)]) == ("hello", 1)
    assert unanswered([message("user", words, kind="transcript", status="complete")]) == ("hello", 1)
    assert unanswered([message("user", words), message("assistant", words)]) == (None, 0)
    assert unanswered([message("user", words), message("assistant", use), message("user", result)]) == (None, 0)
    assert unanswered([message("user", result, kind="tool_dispatch")]) == (None, 0)
    assert unanswered([message("user", {"text": "  "})]) == (None, 0)
    assert unanswered([message("user", words), cut]) == ("hello", 2), "an answer that was cut is none"
    assert unanswered([message("user", words), cut, cut]) == ("hello", 3)
    assert unanswered([message("user", words), cut, cut, cut]) == (None, 0), (
        "a text cut three times may be what breaks the model"
    )
    assert unanswered([message("user", words), message("assistant", use), cut]) == (None, 0)
    assert unanswered([cut]) == (None, 0)
    assert unanswered([{"role": "user", "content": [words]}]) == ("hello", 1)
