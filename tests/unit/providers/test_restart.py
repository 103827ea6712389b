"""Unanswered input of an old model connection, and what the new one is told of it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from strands.bidi.models import ConnectionTimeoutError
from strands.bidi.types.events import BidiConnectionStartEvent

from tests.unit.worker.stand_ins import AddingModel, HandledModel
from worker.providers.continuous_model import ContinuousModel
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
    ids=["question", "question after an answer", "answered", "interrupted question", "nothing"],
)
async def test_a_transcribed_unanswered_question_is_asked_of_the_new_connection(messages, told, asked):
    """Its audio was credited with the transcript, so it is not given again."""
    inner = HandledModel()
    model = ContinuousModel(inner, Settings.from_environment({"SEGUE_PROVIDER": "offline"}))
    await model.start(None, None, [])
    await model.restart(None, None, messages)
    assert inner.texts == asked
    assert [one["content"] for one in inner.started_with[-1]] == [one["content"] for one in told]


@pytest.mark.slow
@pytest.mark.parametrize("lost", [True, False], ids=["lost", "renewed"])
async def test_a_connection_that_ends_before_it_said_anything_is_followed_by_one_with_all_of_the_history(lost):
    tools: Any = [{"name": "weather", "description": "", "inputSchema": {"json": {}}}]
    messages = [QUESTION, ANSWER] * 4
    started: list[tuple[int, int]] = []
    clock = [0.0]

    class Silent(AddingModel):
        def get_config(self) -> Any:
            return {"model_id": "m", "connection": {"restart_after_s": 540}}

        async def start(self, system_prompt=None, tools=None, messages=None, **options):
            started.append((len(messages or []), len(tools or [])))

        async def receive(self):
            yield BidiConnectionStartEvent(connection_id="c", model="m")
            if lost:
                raise ConnectionResetError("the network")
            await asyncio.Event().wait()

        async def stop(self):
            pass

    model = ContinuousModel(Silent(), Settings.from_environment({"SEGUE_PROVIDER": "offline"}), now=lambda: clock[0])
    model.get_connection_config = lambda: {"restart_after_s": 540}
    await model.start("Be brief.", tools, messages)
    for _ in range(4):
        with pytest.raises(ConnectionTimeoutError):
            async for _event in model.receive():
                clock[0] += 500
        await model.restart("Be brief.", tools, messages)

    await model.stop()
    assert started == [(8, 1)] * 5
