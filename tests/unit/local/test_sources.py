"""A redeployment does only what has changed in the sources."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace

import pytest

from local.deployment import sources
from local.deployment.sources import Change
from local.developing import check
from local.developing.watch import deploy_changes, watching
from local.errors import LocalError
from local.progress import Event, Progress
from local.settings import ROOT
from tests.support.waiting import within


@pytest.fixture
def checkout(tmp_path):
    for name in ("functions/worker/agent.py", "functions/turn/turn.py", "functions/shared/log.py", "infra/app.py",
                 "layers/session/python/segue/ids.py", "requirements/worker.txt", "cdk.json"):  # fmt: skip
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("1")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("functions/worker/agent.py", Change.AGENTS),
        ("functions/worker/my_tools.py", Change.AGENTS),
        ("functions/turn/turn.py", Change.AGENTS),
        ("functions/shared/log.py", Change.EVERYTHING),
        ("functions/gateway/message.py", Change.EVERYTHING),
        ("layers/session/python/segue/ids.py", Change.EVERYTHING),
        ("infra/app.py", Change.EVERYTHING),
        ("requirements/worker.txt", Change.EVERYTHING),
        ("cdk.json", Change.EVERYTHING),
        ("docs/local.md", Change.NOTHING),
        ("functions/worker/__pycache__/agent.pyc", Change.NOTHING),
        ("functions/worker/.agent.py.swp", Change.NOTHING),
    ],
)
def test_a_changed_file_asks_for_the_change_of_its_folder(checkout, name, change):
    before = sources.read(checkout)
    path = checkout / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("2")
    assert sources.change(before, sources.read(checkout)) is change


def test_a_removed_file_is_a_change_and_an_unchanged_save_is_not(checkout):
    before = sources.read(checkout)
    path = checkout / "functions/worker/agent.py"
    path.write_text("1")
    assert sources.change(before, sources.read(checkout)) is Change.NOTHING
    path.unlink()
    assert sources.change(before, sources.read(checkout)) is Change.AGENTS


def test_the_text_function_is_packed_as_the_cdk_packs_it():
    names = zipfile.ZipFile(io.BytesIO(sources.text_function(ROOT))).namelist()
    assert {name.split("/")[0] for name in names} == {"shared", "turn", "worker"}
    assert {"turn/handler.py", "worker/agent.py", "shared/log.py"} <= set(names)
    assert not [name for name in names if "__pycache__" in name or "Dockerfile" in name]


def test_the_check_runs_with_the_surroundings_of_a_local_worker(settings):
    chosen = replace(settings, worker_environment={"SEGUE_PROVIDER": "gemini-live", "GEMINI_API_KEY": "k"})
    environment = check.environment(chosen, {"PATH": "/usr/bin"})
    assert environment["SEGUE_PROVIDER"] == "gemini-live"
    assert environment["AWS_ACCESS_KEY_ID"] == "test"
    assert check.environment(settings, {})["SEGUE_PROVIDER"] == "offline"


async def test_mistakes_are_told_with_the_place_of_each(settings, guard):
    (settings.root / "functions/worker/agent_check.py").write_text(
        "import sys\nsys.stderr.write('/agent.py:3: SyntaxError: invalid syntax\\n')\nsys.exit(1)\n"
    )
    with pytest.raises(LocalError, match=r"nothing was replaced:\n/agent.py:3: SyntaxError: invalid syntax"):
        await check.check(settings, guard, {})
    (settings.root / "functions/worker/agent_check.py").write_text("")
    await check.check(settings, guard, {})


async def test_sources_that_were_found_right_are_not_checked_again(settings, guard):
    (settings.root / ".segue").mkdir()
    file = settings.root / "functions/worker/agent_check.py"
    file.write_text("")
    await check.check(settings, guard, {"functions/worker/agent.py": "1"})
    file.write_text("import sys\nsys.exit(1)\n")
    await check.check(settings, guard, {"functions/worker/agent.py": "1"})
    for changed in (settings, replace(settings, worker_environment={"SEGUE_PROVIDER": "gemini-live"})):
        with pytest.raises(LocalError):
            await check.check(changed, guard, {"functions/worker/agent.py": "1" if changed != settings else "2"})


@pytest.mark.slow
async def test_sources_that_several_stacks_found_right_are_not_checked_again_in_turn(settings, guard, monkeypatch):
    (settings.root / ".segue").mkdir()
    (settings.root / "functions/worker/agent_check.py").write_text("")
    monkeypatch.setattr(check, "KEPT", 2)
    stacks = [replace(settings, worker_environment={"SEGUE_PROVIDER": name}) for name in ("a", "b", "c")]
    for stack in stacks:
        await check.check(stack, guard, {})
    (settings.root / "functions/worker/agent_check.py").write_text("import sys\nsys.exit(1)\n")
    for stack in stacks[1:]:
        await check.check(stack, guard, {})
    with pytest.raises(LocalError):  # the oldest is not kept
        await check.check(stacks[0], guard, {})
    assert [path.name for path in (settings.root / ".segue").iterdir()] == ["checked"]


class StandIn:
    """A running stack whose sources change."""

    def __init__(self, settings) -> None:
        self.settings = settings
        self.events: list[Event] = []
        self.progress = Progress(self.events.append)
        self.changed = Change.NOTHING
        self.wrong = False
        self.deployments: list[bool] = []

    async def change(self) -> Change:
        return self.changed

    async def redeploy(self, *, everything: bool = True) -> None:
        if self.wrong:
            raise LocalError("agent.py:3: SyntaxError")
        self.deployments.append(everything)


async def test_a_save_deploys_what_has_changed_and_a_mistake_is_told(settings):
    stack = StandIn(settings)
    await deploy_changes(stack)
    assert stack.deployments == []
    stack.changed, stack.wrong = Change.AGENTS, True
    await deploy_changes(stack)
    assert [event.text for event in stack.events] == ["agent.py:3: SyntaxError"]
    stack.wrong = False
    await deploy_changes(stack)
    assert stack.deployments == [False]


@pytest.mark.slow
async def test_a_save_is_noticed(settings, checkout):
    stack = StandIn(replace(settings, root=checkout))
    stack.changed = Change.AGENTS
    async with within(30), watching(stack):
        while not stack.deployments:
            # Again and again: a save before the watch has begun is none.
            (checkout / "functions/worker/agent.py").write_text(str(len(stack.events)))
            await _turn()
    assert stack.deployments[0] is False


async def _turn() -> None:
    import asyncio

    await asyncio.sleep(0.2)
