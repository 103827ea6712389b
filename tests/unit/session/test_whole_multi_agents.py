"""Graphs and Swarms, restored and rewound whole."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest
from strands.multiagent import GraphBuilder
from strands.multiagent.base import Status
from strands.session import FileSessionManager

from segue.errors import SessionFenced
from segue.strands.errors import MultiAgentIdUsedTwice
from tests.support.crash import certainly_dead, crash
from tests.support.fake_model import FakeModel, PowerCut, tool_call
from tests.unit.session.whole_sessions import (
    Sessions,
    a_node,
    a_swarm,
    another,
    approve,
)

# Graphs and Swarms.


def a_graph(manager: Any, first: FakeModel, second: FakeModel, *hooks: Any) -> Any:
    builder = GraphBuilder()
    builder.add_node(a_node("first", first), "first")
    builder.add_node(a_node("second", second, *hooks), "second")
    builder.add_edge("first", "second")
    builder.set_entry_point("first")
    builder.set_session_manager(manager)
    builder.set_max_node_executions(5)
    return builder.build()


def asked(multi_agent: Any) -> list[str]:
    """Return the first node's input in this object, if it had any."""
    return [str(messages) for messages in multi_agent.nodes["first"].executor.model.asked]


class Processes:
    """Managers of one session, each in a process of its own."""

    def __init__(self, memory_sessions: Sessions | None, folder: Path) -> None:
        self._memory_sessions = memory_sessions
        self._folder = folder
        self._manager: Any = None

    def manager(self) -> Any:
        if self._memory_sessions is not None:
            self._manager = self._memory_sessions(probe=certainly_dead)
        else:
            self._manager = FileSessionManager("talk", storage_dir=str(self._folder))
        return self._manager

    def end(self) -> None:
        """End the process: what it still does is not stored."""
        if self._memory_sessions is not None:
            crash(self._manager)
        else:
            self._folder = Path(shutil.copytree(self._folder, self._folder.with_name(self._folder.name + "+")))


@pytest.fixture(params=["segue", "strands"])
def processes(request: pytest.FixtureRequest, memory_sessions: Sessions, tmp_path: Path) -> Processes:
    """Segue's, and Strands' own: Graphs and Swarms have to behave the same."""
    return Processes(memory_sessions if request.param == "segue" else None, tmp_path / "talk")


@pytest.mark.slow
@pytest.mark.parametrize("build", [a_graph, a_swarm])
async def test_a_graph_built_anew_on_the_same_manager_runs_its_new_task(build: Any, processes: Processes) -> None:
    with pytest.raises((SessionFenced, RuntimeError)):
        result = await build(processes.manager(), FakeModel(["First"]), PowerCut(processes.end)).invoke_async(
            "The old task"
        )
        assert result.status is Status.FAILED
        raise RuntimeError("a Swarm says so")
    manager = processes.manager()
    gone_on = build(manager, FakeModel(["First"]), FakeModel(["Second"]))
    result = await gone_on.invoke_async("The old task")
    assert result.status is Status.COMPLETED
    assert asked(gone_on) == []

    anew = build(manager, FakeModel(["First anew"]), FakeModel(["Second anew"]))
    result = await anew.invoke_async("The new task")

    assert result.status is Status.COMPLETED
    assert "The new task" in asked(anew)[0]
    assert "The old task" not in str(anew.nodes["second"].executor.model.asked)
    processes.end()


@pytest.mark.slow
@pytest.mark.parametrize("build", [a_graph, a_swarm])
async def test_two_multi_agents_under_one_id_are_refused_or_logged(
    build: Any, memory_sessions: Sessions, caplog: pytest.LogCaptureFixture
) -> None:
    manager = memory_sessions()
    await manager.open()
    first = build(manager, FakeModel(["First"]), FakeModel(["Second"]))

    with pytest.raises(MultiAgentIdUsedTwice, match="give each its own") as told:
        another(build, manager)

    assert (told.value.multi_agent_id, told.value.session_key) == (first.id, manager.session_key)
    assert isinstance(told.value, ValueError)
    again = pickle.loads(pickle.dumps(told.value))
    assert (str(again), vars(again)) == (str(told.value), vars(told.value))
    assert "share one state" not in caplog.text
    anew = build(manager, FakeModel(["First"]), FakeModel(["Second"]))  # of the same nodes: it may stand for the first
    assert f"live under the id {first.id!r} and share one state" in caplog.text
    del first, anew, told, again
    assert another(build, manager).nodes.keys() == {"third"}, "a dropped one hinders no other"
    await manager.close()


@pytest.mark.parametrize("build", [a_graph, a_swarm])
async def test_an_interrupted_graph_gets_its_answer_in_another_process(build: Any, processes: Processes) -> None:
    call = tool_call("delete", "x", key="X")
    first = build(processes.manager(), FakeModel(["First"]), FakeModel([call]), approve)
    result = await first.invoke_async("Delete X")
    assert result.status is Status.INTERRUPTED
    processes.end()

    heir = build(processes.manager(), FakeModel(["First"]), FakeModel(["Second"]), approve)
    answer = [{"interruptResponse": {"interruptId": each.id, "response": "yes"}} for each in result.interrupts]
    result = await heir.invoke_async(answer)

    assert result.status is Status.COMPLETED
    assert asked(heir) == []
    (shown,) = heir.nodes["second"].executor.model.asked
    assert str(shown).count("'toolResult'") == 1
    assert "X is gone" in str(shown)
    processes.end()


async def test_a_graph_goes_back_with_its_session(memory_sessions: Sessions) -> None:
    manager = memory_sessions()
    await manager.open()
    graph = a_graph(manager, FakeModel(["First", "First anew"]), FakeModel(["Second"]))
    point = (await manager.points())[-1]
    await graph.invoke_async("The task")

    await manager.rewind(point)

    assert graph.state.status is Status.PENDING
    built = a_graph(manager, FakeModel(["First"]), FakeModel(["Second"]))
    assert built.state.status is Status.PENDING
    await manager.close()


async def test_a_graph_in_the_middle_of_its_task_is_not_rewound(memory_sessions: Sessions) -> None:
    manager = memory_sessions()
    await manager.open()
    refused: list[str] = []

    class Rewinding(FakeModel):
        async def stream(self, *args: Any, **options: Any) -> Any:
            try:
                await manager.rewind((await manager.points())[0])
            except RuntimeError as error:
                refused.append(str(error))
            async for event in super().stream(*args, **options):
                yield event

    graph = a_graph(manager, FakeModel(["First"]), Rewinding(["Second"]))
    assert (await graph.invoke_async("The task")).status is Status.COMPLETED

    (text,) = refused
    assert "in the middle of a task" in text
    await manager.close()
