"""A redeployment: everything or what has changed, and nothing at all if agent.py has mistakes."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from local.errors import LocalError
from local.progress import Progress
from local.stack import stack as module
from local.stack.stack import Stack


class World:
    """Stand-ins for all that a stack deploys to; what they were asked, in order.

    Attributes:
        asked: What was done.
        mistakes: What the check of agent.py finds.
        workers_fail: Whether new workers do not come up.
    """

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.mistakes = ""
        self.workers_fail = False

    async def check(self, *_: object) -> None:
        self.asked.append("check")
        if self.mistakes:
            raise LocalError(self.mistakes)

    async def synthesize(self, *_: object) -> None:
        await asyncio.sleep(0)
        self.asked.append("synthesize")

    async def deploy(self, *_: object) -> dict[str, str]:
        self.asked.append("deploy")
        return {}

    async def replace(self, deployment) -> None:
        if self.workers_fail:
            raise LocalError("worker w3 ended")
        self.asked.append(f"workers {deployment.version[:4]}")

    def replace_code(self, _: str, code: bytes) -> None:
        self.asked.append(f"text function {code.decode()}")


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
async def stack(world, settings, make_deployment, monkeypatch) -> Stack:
    """A stack that was deployed; its sources are two files."""
    for name in ("functions/worker/agent.py", "infra/app.py"):
        path = settings.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("1")
    monkeypatch.setattr(module, "check", world.check)
    monkeypatch.setattr(module, "read", lambda *_: make_deployment("first"))
    monkeypatch.setattr(module.text_function, "replace_code", world.replace_code)
    agent = settings.root / "functions/worker/agent.py"
    monkeypatch.setattr(module.sources, "text_function", lambda _: agent.read_bytes())
    made = Stack(settings, Progress())
    made._toolkit = SimpleNamespace(synthesize=world.synthesize, deploy=world.deploy)
    made._supervisor = SimpleNamespace(replace=world.replace)
    await made.redeploy()
    world.asked.clear()
    return made


async def test_an_edit_of_the_agent_replaces_the_text_function_and_the_workers(stack, world, settings):
    (settings.root / "functions/worker/agent.py").write_text("2")
    await stack.redeploy(everything=False)
    assert world.asked[:2] == ["check", "text function 2"]
    assert world.asked[2].startswith("workers 20")
    assert stack.deployment.version != "first"


async def test_workers_are_replaced_without_a_change_too(stack, world):
    await stack.redeploy(everything=False)
    assert [each.partition(" ")[0] for each in world.asked] == ["check", "text", "workers"]


async def test_a_change_of_the_infrastructure_deploys_everything(stack, world, settings):
    (settings.root / "infra/app.py").write_text("2")
    await stack.redeploy(everything=False)
    assert sorted(world.asked[:2]) == ["check", "synthesize"]
    assert world.asked[2:] == ["deploy", "workers firs"]
    world.asked.clear()
    await stack.redeploy()
    assert "deploy" in world.asked


@pytest.mark.parametrize("name", ["functions/worker/agent.py", "infra/app.py"])
async def test_a_mistake_replaces_nothing_and_the_next_try_has_to_do_it_all(stack, world, settings, name):
    (settings.root / name).write_text("2")
    world.mistakes = "agent.py:3: SyntaxError"
    with pytest.raises(LocalError, match=r"agent\.py:3: SyntaxError"):
        await stack.redeploy(everything=False)
    assert not [each for each in world.asked if each.startswith(("deploy", "text", "workers"))]
    world.mistakes = ""
    world.asked.clear()
    await stack.redeploy(everything=False)
    assert any(each.startswith("workers") for each in world.asked)


async def test_the_text_function_gets_its_code_back_if_new_workers_do_not_come_up(stack, world, settings):
    (settings.root / "functions/worker/agent.py").write_text("2")
    world.workers_fail = True
    with pytest.raises(LocalError, match="worker w3 ended"):
        await stack.redeploy(everything=False)
    assert world.asked == ["check", "text function 2", "text function 1"]
    assert stack.deployment.version == "first"


async def test_a_whole_deployment_brings_code_that_was_replaced_by_hand_up_to_date(stack, world, settings):
    agent = settings.root / "functions/worker/agent.py"
    agent.write_text("2")
    await stack.redeploy(everything=False)
    agent.write_text("1")
    world.asked.clear()
    await stack.redeploy()
    assert world.asked[2:4] == ["deploy", "text function 1"]
    world.asked.clear()
    await stack.redeploy()
    assert not [each for each in world.asked if each.startswith("text")]


async def test_two_deployments_at_once_are_refused(stack):
    async with stack._deploying:
        with pytest.raises(LocalError, match="under way"):
            await stack.redeploy(everything=False)
