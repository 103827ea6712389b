"""A world whose agent asks for approvals, for the tests of them."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from strands import tool
from strands.types.tools import ToolContext

from segue.testing.offline.text_model import OfflineTextModel
from segue.wire.frames import (
    AnswerInput,
    Approval,
    Error,
    Response,
)
from tests.unit.turn.conftest import Person, Process, World

FORGET = "use the tool forget with tea"


def asking_world(**more: Any) -> World:
    """A world whose agents ask before they forget."""
    world = World(**more)
    forgotten = world.noted

    @tool(context=True)
    def forget(note: str, tool_context: ToolContext) -> str:
        """Forget something.

        Args:
            note: What.
        """
        if tool_context.interrupt("forget", reason={"note": note}) not in (True, "y"):
            return "kept"
        forgotten.append(note)
        return f"forgotten {note}"

    world.tools = [forget]
    return world


def able(world: World, *names: str, **more: Any) -> Person:
    return Person(world, *names, approvals=True, **more)


def answer_to(approval: Approval, response: Any = True) -> AnswerInput:
    responses = tuple(Response(id=request.id, response=response) for request in approval.requests)
    return AnswerInput(approval=approval.record or 0, responses=responses)


def approvals(person: Person) -> list[Approval]:
    return [frame for frame in person.shown if isinstance(frame, Approval)]


def errors(person: Person) -> list[tuple[str, int | None]]:
    return [(frame.code, frame.input) for frame in person.shown if isinstance(frame, Error)]


async def asked(process: Process, person: Person, text: str = FORGET) -> Approval:
    """Have the agent ask, and return what the person is shown."""
    await process.take(await person.say(process, text))
    await person.settle(process)
    (approval,) = approvals(person)
    return approval


def two_calls(monkeypatch: pytest.MonkeyPatch, calls: list[dict[str, Any]]) -> None:
    """Have the model call a tool for each of some inputs at once."""
    stream = OfflineTextModel.stream

    async def several(self: Any, told: Any, *args: Any, **kwargs: Any) -> Any:
        async for event in stream(self, told, *args, **kwargs):
            if "contentBlockStop" in event and any("text" in block for block in told[-1]["content"]):
                yield event
                for call in calls[1:]:
                    use = {"name": "forget", "toolUseId": uuid.uuid4().hex}
                    yield {"contentBlockStart": {"start": {"toolUse": use}}}
                    yield {"contentBlockDelta": {"delta": {"toolUse": {"input": json.dumps(call)}}}}
                    yield {"contentBlockStop": {}}
            else:
                yield event

    monkeypatch.setattr(OfflineTextModel, "stream", several)
