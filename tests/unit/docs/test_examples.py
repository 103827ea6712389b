"""The examples of the documentation run as they stand there."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Any

import pytest

from segue.testing import provision
from tests.support.scripted_model import ScriptedModel
from tests.support.stage import Stage

ROOT = Path(__file__).resolve().parents[3]
PAGES = ("README.md", "docs/sessions.md")


def examples(page: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_has_examples(page: str) -> None:
    assert examples(page)


@pytest.mark.parametrize(("page", "code"), [(page, code) for page in PAGES for code in examples(page)])
async def test_an_example_runs(stage: Stage, page: str, code: str) -> None:
    provision("my-voice-sessions", "my-voice-locks")
    body = textwrap.indent(code, "    ")
    scope: dict[str, Any] = {"model": ScriptedModel()}
    exec(compile(f"async def example():\n{body}    return agent, session_manager\n", page, "exec"), scope)

    agent, session_manager = await scope["example"]()

    assert agent.messages[0]["content"] == [{"text": "My name is Alice"}]
    assert session_manager.head == session_manager.position
    assert not session_manager.lease_is_fresh(), "stop releases"
