"""Graphs and Swarms with a session manager, as Strands documents them."""

from __future__ import annotations

from typing import Any

import pytest
from strands import Agent
from strands.multiagent import GraphBuilder, Swarm
from strands.multiagent.base import Status

from segue import SessionFenced
from tests.support.crash import certainly_dead, crash
from tests.support.fake_model import FakeModel, PowerCut, tool_call
from tests.support.sessions import Sessions


def worker(name: str, *replies: str) -> Agent:
    return Agent(name=name, agent_id=name, model=FakeModel(replies), callback_handler=None)


@pytest.mark.slow
async def test_a_graph_goes_on_after_the_node_that_was_last_done(sessions: Sessions) -> None:
    def graph(manager: Any, writer_model: Any) -> Any:
        builder = GraphBuilder()
        builder.add_node(worker("researcher", "Found it."), "researcher")
        builder.add_node(Agent(name="writer", agent_id="writer", model=writer_model, callback_handler=None), "writer")
        builder.add_edge("researcher", "writer")
        builder.set_entry_point("researcher")
        builder.set_session_manager(manager)
        builder.set_max_node_executions(5)
        return builder.build()

    first = sessions()
    await first.open()
    with pytest.raises((SessionFenced, RuntimeError)):
        await graph(first, PowerCut(lambda: crash(first))).invoke_async("Research and write")

    second = sessions(probe=certainly_dead)
    await second.open()
    again = graph(second, FakeModel(["Written."]))
    result = await again.invoke_async("Research and write")

    assert result.status == Status.COMPLETED
    assert [node.node_id for node in result.execution_order] == ["researcher", "writer"]
    assert again.nodes["researcher"].executor.model.asked == [], "a node that was done runs again"


@pytest.mark.slow
async def test_a_swarm_goes_on_with_the_node_that_was_handed_to(sessions: Sessions) -> None:
    def swarm(manager: Any, writer_model: Any) -> Swarm:
        handing_over = tool_call(
            "handoff_to_agent", "h1", agent_name="writer", message="It is blue.", context={"sky": "blue"}
        )
        researcher = worker("researcher", handing_over, "Handed over.")
        writer = Agent(name="writer", agent_id="writer", model=writer_model, callback_handler=None)
        return Swarm([researcher, writer], session_manager=manager)

    first = sessions()
    await first.open()
    with pytest.raises((SessionFenced, RuntimeError)):
        await swarm(first, PowerCut(lambda: crash(first))).invoke_async("Research and write")

    second = sessions(probe=certainly_dead)
    await second.open()
    again = swarm(second, FakeModel(["Written."]))
    result = await again.invoke_async("Research and write")

    assert result.status == Status.COMPLETED
    assert [node.node_id for node in result.node_history] == ["researcher", "writer"]
    assert again.nodes["researcher"].executor.model.asked == [], "a node that was done runs again"
    (asked,) = again.nodes["writer"].executor.model.asked
    assert "It is blue." in str(asked), "the next node is given the first one's result"
    assert again.shared_context.context == {"researcher": {"sky": "blue"}}


@pytest.mark.slow
async def test_a_swarm_is_restored(sessions: Sessions) -> None:
    first = sessions()
    await first.open()
    swarm = Swarm([worker("one", "Done."), worker("two")], session_manager=first)
    await swarm.invoke_async("Do it")
    await first.close()

    second = sessions()
    await second.open()

    assert second.history.multi_agents[swarm.id]["status"] == Status.COMPLETED.value
    again = Swarm([worker("one", "Done once more."), worker("two")], session_manager=second)
    result = await again.invoke_async("Do it again")
    assert result.status == Status.COMPLETED
