"""Unanswered input of an old model connection, and what the new one is told of it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.worker.stand_ins import HandledModel
from worker.providers.continuity import ContinuousModel
from worker.providers.settings import Settings


def message(role: str, text: str, status: str = "complete", kind: str = "transcript") -> Any:
    bidi = {"kind": kind, "status": status}
    return {"role": role, "content": [{"text": text}], "metadata": {"custom": {"bidi": bidi}}}


QUESTION, ANSWER = message("user", "What time is it?"), message("assistant", "Noon.")


@pytest.mark.parametrize(
    ("messages", "told", "asked"),
    [
        ([QUESTION], [], ["What time is it?"]),
        ([QUESTION, ANSWER, QUESTION], [QUESTION, ANSWER], ["What time is it?"]),
        ([QUESTION, ANSWER], [QUESTION, ANSWER], []),
        ([message("user", "What t", "interrupted")], [message("user", "What t", "interrupted")], []),
        ([], [], []),
    ],
)
async def test_what_was_understood_and_not_answered_is_asked_of_the_new_connection(messages, told, asked):
    """Its audio was credited with the transcript, so it is not given again."""
    inner = HandledModel()
    model = ContinuousModel(inner, Settings.from_environment({"SEGUE_PROVIDER": "offline"}))
    await model.start(None, None, [])
    await model.restart(None, None, messages)
    assert inner.texts == asked
    assert [one["content"] for one in inner.started_with[-1]] == [one["content"] for one in told]
