"""The examples of the page on testing are tests: they are collected from the page, and run."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pytest

from segue import GuardedFileSessionManager
from segue.testing import MemorySessionManager, ScriptedTextModel, restart

PAGE = Path(__file__).resolve().parents[3] / "docs" / "testing.md"
CODE = "\n".join(re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL))
NAMES = re.findall(r"^(?:async )?def (test_\w+)\(", CODE, re.MULTILINE)


@pytest.fixture(scope="module")
def scope() -> dict[str, Any]:
    made: dict[str, Any] = {"__name__": "page"}
    exec(compile(CODE, str(PAGE), "exec"), made)
    return made


def test_the_page_has_examples_of_all_kinds() -> None:
    assert len(NAMES) >= 5
    assert {"restart", "ScriptedTextModel", "ScriptedVoiceModel", "MemoryStorage", "OfflineTextModel"} <= set(
        re.findall(r"\w+", CODE)
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
async def test_an_example_of_the_testing_page_passes(scope: dict[str, Any], name: str) -> None:
    done = scope[name]()
    if inspect.isawaitable(done):
        await done


async def test_a_restart_that_loses_something_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from strands import Agent

    def build(manager: Any) -> Agent:
        return Agent(model=ScriptedTextModel("Hello."), session_manager=manager, callback_handler=None)

    def forgetful(manager: Any) -> Agent:
        agent = build(manager)
        agent.messages[1]["content"] = [{"text": "Bye."}]
        return agent

    manager = MemorySessionManager()
    agent = build(manager)
    await agent.invoke_async("Hello")

    with pytest.raises(AssertionError, match=r"agent.messages\[1\].content\[0\].text was 'Hello.', and is 'Bye.'"):
        await restart(agent, manager, forgetful)
    with pytest.raises(TypeError, match="another manager"):
        await restart(agent, GuardedFileSessionManager("talk", tmp_path), build)


async def test_a_script_that_is_over_fails_the_test() -> None:
    from strands import Agent

    agent = Agent(model=ScriptedTextModel("Hello."), callback_handler=None)
    await agent.invoke_async("Hello")

    with pytest.raises(AssertionError, match="the script is over"):
        await agent.invoke_async("Hello again")
