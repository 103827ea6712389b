"""A voice worker that takes a session in which a text agent waits for a person."""

from __future__ import annotations

from typing import Any

import pytest
from strands import Agent, ToolContext, tool

from segue.wire.frames import AnswerInput, Approval, Error, Hello, InputAck, Ready, Response, Tool
from shared.conversation.approvals import BY_VOICE
from tests.support.fake_model import FakeModel, tool_call
from tests.support.memory_manager import MemorySessionManager, MemoryStorage
from tests.support.waiting import eventually
from tests.unit.worker.stand_ins import address, claim, delivery
from tests.unit.worker.worlds import World


@tool(context=True)
def delete(key: str, tool_context: ToolContext) -> str:
    """Delete something."""
    return str(tool_context.interrupt("delete", reason=key))


async def waiting(storage: MemoryStorage) -> Approval:
    """Leave a session whose text agent waits."""
    manager = MemorySessionManager("talk", storage=storage, acquire_timeout=0.0)
    await manager.open()
    model = FakeModel([[tool_call("delete", "u1", key="a")]])
    agent = Agent(model=model, tools=[delete], session_manager=manager, callback_handler=None)
    await agent.invoke_async("go")
    asked = manager.approvals().ask(60.0)
    await manager.close()
    return asked


@pytest.mark.slow
@pytest.mark.parametrize("prepared", [False, True])
async def test_a_voice_session_denies_an_open_approval_and_tells_clients_once(world: World, prepared: bool) -> None:
    asked = await waiting(world.storage)
    if prepared:
        await world.host.prepare(claim())
    await world.host.open_session(claim("talk", address()))
    (session,) = world.host.sessions
    session.deliver(delivery(Hello(session="talk", client_id="c1", connection=1, last_record=asked.number)))
    await eventually(lambda: [ready for ready in world.clients.of("k1", Ready) if ready.since == asked.number])
    await eventually(lambda: world.clients.of("k1", Tool))
    told = world.clients.of("k1", Approval)
    assert {(one.status, one.of, one.reason) for one in told if one.status != "asked"} == {
        ("denied", asked.number, BY_VOICE)
    }
    assert {(one.status, one.tool_use_id) for one in world.clients.of("k1", Tool)} == {("error", "u1")}
    (agent_messages,) = [model.started_with[-1] for model in world.models]
    assert agent_messages[-1]["content"][0]["toolResult"]["content"] == [{"text": BY_VOICE}]

    answer = AnswerInput(approval=asked.number, responses=(Response(id=next(iter(asked.names)), response=True),), seq=1)
    session.deliver(delivery(answer))
    await eventually(lambda: [ack for ack in world.clients.of("k1", InputAck) if ack.upto == 1])
    assert [error.code for error in world.clients.of("k1", Error)] == ["approval_closed"]


async def test_the_denial_is_durable_though_the_worker_dies_at_once(world: World) -> None:
    asked = await waiting(world.storage)
    await world.host.open_session(claim("talk", address()))
    (session,) = world.host.sessions
    await session.stop()
    manager = MemorySessionManager("talk", storage=world.storage, acquire_timeout=0.0)
    await manager.open()
    agent: Any = Agent(model=FakeModel(["fine"]), tools=[delete], session_manager=manager, callback_handler=None)
    approvals = manager.approvals()
    assert [(one.status, one.of) for one in approvals.records] == [("asked", None), ("denied", asked.number)]
    assert (await agent.invoke_async("hello")).stop_reason == "end_turn"
    await manager.close()
