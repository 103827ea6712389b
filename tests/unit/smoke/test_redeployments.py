"""Redeployments under a call: by a command, by ECS, and to another worker."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest

from smoke import redeploy, stack
from smoke.report import State
from smoke.visit import Outcome, Visit
from tests.support.waiting import eventually
from tests.unit.smoke.steps import (
    FRAMES,
    QUICK,
    in_a_call,
    outcome,
    quick,  # noqa: F401 - a fixture
)

SHORT = replace(QUICK, redeployed_seconds=0.5)


@pytest.mark.slow
async def test_a_redeployment_has_to_move_the_call():
    async def nothing() -> None:
        return None

    async def fails() -> None:
        raise OSError("rolled back")

    moved = await in_a_call(partial(redeploy.redeployed, redeploy=nothing), moves=True)
    stayed = await in_a_call(partial(redeploy.redeployed, redeploy=nothing), SHORT)

    assert moved.state is State.WELL, moved
    assert "answered once each" in moved.came
    assert stayed.state is State.DIFFERS
    with pytest.raises(OSError, match="rolled back"):
        await in_a_call(partial(redeploy.redeployed, redeploy=fails), moves=True)


@pytest.mark.slow
async def test_only_a_call_to_a_worker_itself_may_be_on_another_connection_after_a_redeployment():
    async def work(visit: Visit) -> Outcome:
        client = visit.open_call.client
        first = client.connection

        async def until_on_another_connection() -> None:
            await eventually(lambda: client.connection != first)

        return await redeploy.redeployed(visit, until_on_another_connection)

    direct, gateway = [await in_a_call(work, moves=True, leaves=True, direct=leads) for leads in (True, False)]

    assert direct.state is State.WELL, direct
    assert gateway.state is State.DIFFERS, gateway


@pytest.mark.slow
async def test_a_session_that_follows_its_socket_is_waited_for():
    well = await outcome(FRAMES["echo of the worker"], replace(QUICK, follow_seconds=0.2), direct=True)

    assert well.state is State.WELL


async def test_a_redeployment_by_a_command():
    await redeploy.by_command("exit 0")
    with pytest.raises(OSError, match="ended with 3: no such stack"):
        await redeploy.by_command("echo no such stack; exit 3")


async def test_a_deployment_of_only_text_has_no_workers_to_replace():
    with pytest.raises(OSError, match="workers=text"):
        await stack.Stack({"BucketName": "b"}).redeploy()


class Ecs:
    """ECS, whose newest deployment goes through these states."""

    def __init__(self, *states: str) -> None:
        self.states = list(states)
        self.asked: list[dict[str, object]] = []

    def update_service(self, **given: object) -> None:
        self.asked.append(given)

    def describe_services(self, **_: object) -> dict[str, object]:
        state = self.states.pop(0)
        return {"services": [{"deployments": [{"rolloutState": state, "rolloutStateReason": "circuit breaker"}]}]}


async def test_ecs_is_asked_for_new_tasks_and_waited_for():
    ecs = Ecs("IN_PROGRESS", "COMPLETED")
    workers = {"ClusterName": "c", "WorkerServiceName": "w"}
    there = stack.Stack(workers, client=lambda _: ecs, poll_seconds=0.0)

    await there.redeploy()
    assert ecs.asked == [{"cluster": "c", "service": "w", "forceNewDeployment": True}]
    assert not ecs.states
    ecs.states = ["FAILED"]
    with pytest.raises(OSError, match="circuit breaker"):
        await there.redeploy()
    with pytest.raises(TimeoutError):
        await stack.Stack(workers, client=lambda _: ecs, deployed_seconds=0.0).redeploy()
