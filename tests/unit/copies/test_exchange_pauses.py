"""Pauses that move between layouts, and are resumed there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from strands.hooks import BeforeToolCallEvent

from segue import GuardedFileSessionManager
from segue.admin.fork import commits_of, create
from segue.clock import SystemClock
from segue.journal.records import Record
from segue.session.runtime import Runtime
from segue.strands.file import file_stores
from segue.strands.transfer import export, import_, portable
from tests.support.fake_model import tool_call
from tests.unit.copies.exchanging import Layout, agent_on, stored

# Pauses: see tests/unit/session/test_pauses.py for those that do not move.


def approve(event: BeforeToolCallEvent) -> None:
    if event.interrupt("approve", reason=event.tool_use["input"]) != "yes":
        event.cancel_tool = "not approved"


def approve_one(event: BeforeToolCallEvent) -> None:
    if event.tool_use["toolUseId"] == "w":
        approve(event)


WEATHER = tool_call("weather", "w", city="Rome")
PAUSES: dict[str, dict[str, Any]] = {
    "approval": {"hooks": [approve]},
    "approval beside a tool that ran": {"hooks": [approve_one]},
    "checkpoint": {"checkpointing": True},
}


def put(folder: Path, records: list[Record]) -> None:
    """Make a Segue session of imported records."""
    runtime = Runtime.shared()
    stores = file_stores(runtime, folder / "segue")
    runtime.run_sync(create(stores, "default/moved", commits_of(records), SystemClock()))


def resuming(result: Any) -> Any:
    if result.checkpoint is not None:
        return {"checkpointResume": {"checkpoint": result.checkpoint.to_dict()}}
    return [{"interruptResponse": {"interruptId": each.id, "response": "yes"}} for each in result.interrupts]


def resumed(manager: Any, result: Any, **options: Any) -> list[Any]:
    """Let an agent go on from where another one was stopped; return its messages."""
    agent = agent_on(manager, *["It is sunny"] * 2, **options)
    while result.stop_reason != "end_turn":
        result = agent(resuming(result))
    uses = [use for message in agent.messages for block in message["content"] if (use := block.get("toolUse"))]
    results = [one for message in agent.messages for block in message["content"] if (one := block.get("toolResult"))]
    assert sorted(use["toolUseId"] for use in uses) == sorted(one["toolUseId"] for one in results)
    assert results[-1]["content"] == [{"text": "sunny in Rome"}]
    return agent.messages


@pytest.mark.slow
@pytest.mark.parametrize("name", PAUSES)
def test_a_pause_moves_into_segue_and_is_resumed_there(name: str, layout: Layout, tmp_path: Path) -> None:
    options = PAUSES[name]
    calls = [tool_call("weather", "v", city="Oslo"), WEATHER] if "beside" in name else WEATHER
    result = agent_on(layout("a"), calls, **options)("How is the weather?")
    assert result.stop_reason in ("interrupt", "checkpoint")

    put(tmp_path, stored(import_(layout("a"))))
    manager = GuardedFileSessionManager("moved", tmp_path / "segue")
    in_segue = resumed(manager, result, **options)
    manager.close_sync()

    in_strands = resumed(layout("a"), result, **options)
    assert [one["content"] for one in in_segue] == [one["content"] for one in in_strands]
    heir = agent_on(again := GuardedFileSessionManager("moved", tmp_path / "segue"), **options)
    assert heir.messages == in_segue
    again.close_sync()


@pytest.mark.slow
@pytest.mark.parametrize("name", PAUSES)
def test_a_pause_moves_out_of_segue_and_is_resumed_there(name: str, layout: Layout, tmp_path: Path) -> None:
    options = PAUSES[name]
    calls = [tool_call("weather", "v", city="Oslo"), WEATHER] if "beside" in name else WEATHER
    manager = GuardedFileSessionManager("moved", tmp_path / "segue")
    result = agent_on(manager, calls, **options)("How is the weather?")
    manager.flush_sync()
    records = list(manager._calls.run_sync(manager._slot.require().read()).records)
    manager.close_sync()

    export(portable(records), layout("b"))

    in_strands = resumed(layout("b"), result, **options)
    in_segue = resumed(manager := GuardedFileSessionManager("moved", tmp_path / "segue"), result, **options)
    manager.close_sync()
    assert [one["content"] for one in in_strands] == [one["content"] for one in in_segue]
