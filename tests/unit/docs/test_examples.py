"""The examples of the documentation run as they stand there."""

from __future__ import annotations

import json
import re
import textwrap
from pathlib import Path
from typing import Any

import pytest
from strands.bidi import BidiAgent

from segue import GuardedS3SessionManager, SessionExists
from segue.testing import provision
from tests.support.programs import Programs
from tests.support.scripted_model import ScriptedModel
from tests.support.stage import Stage

ROOT = Path(__file__).resolve().parents[3]
PAGES = ("README.md", "docs/sessions.md")


def examples(page: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def programs(page: str) -> list[str]:
    """Examples that are programs, or begin one; their fence says ``py``."""
    return re.findall(r"^```py\n(.*?)^```", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_has_examples(page: str) -> None:
    assert examples(page)


async def read(page: str, scope: dict[str, Any]) -> None:
    """Run a page's examples as a reader does: from the top, each with what those before it have made."""
    for code in examples(page):
        body = textwrap.indent(code, "    ")
        exec(compile(f"async def example():\n{body}    return locals()\n", page, "exec"), scope)
        scope |= await scope["example"]()


@pytest.fixture
async def scope(request: pytest.FixtureRequest, stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Names that the examples of a page define."""
    monkeypatch.chdir(tmp_path)
    provision("my-voice-sessions", "my-voice-locks")
    made: dict[str, Any] = {"model": ScriptedModel()}
    await read(request.param, made)
    return made


@pytest.mark.slow
@pytest.mark.parametrize("scope", PAGES, indirect=True)
async def test_the_examples_of_a_page_run(scope: dict[str, Any]) -> None:
    manager = scope["session_manager"]

    assert texts(scope["agent"].messages) == ["My name is Alice"]
    assert manager.head == manager.position
    assert not manager.lease_is_fresh(), "stop and close release"


@pytest.mark.slow
@pytest.mark.parametrize("scope", ["docs/sessions.md"], indirect=True)
async def test_going_back_and_copying_do_what_the_page_says(scope: dict[str, Any]) -> None:
    async def held(session_id: str) -> list[str]:
        manager = GuardedS3SessionManager(session_id, bucket="my-voice-sessions", lock_table="my-voice-locks")
        async with manager:
            return texts(BidiAgent(model=ScriptedModel(), session_manager=manager).messages)

    for session_id in ("user_123", "what if?", "moved-in"):
        assert await held(session_id) == ["My name is Alice"], session_id
    assert scope["points"][-1].records > scope["alice"].records
    with pytest.raises(SessionExists):
        scope["sessions"].fork("user_123", "what if?")
    assert texts(scope["dashboard"].messages) == ["My name is Alice"]


def texts(messages: Any) -> list[str]:
    return [message["content"][0]["text"] for message in messages]


WAITS = {
    "in a call that blocks": "os.kill(os.getpid(), signal.SIGTERM); time.sleep(60)",
    "on an event loop": """
async def waits():
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.sleep(60)
asyncio.run(waits())
""",
}


@pytest.mark.slow
@pytest.mark.parametrize("waits", WAITS)
def test_the_program_of_the_page_that_is_ended_by_sigterm_releases(
    program: Programs, tmp_path: Path, waits: str
) -> None:
    talks, handles = programs("docs/sessions.md")

    talks = f"os.chdir(sys.argv[1]); model = FakeModel()\n{talks}"
    program(f"{handles}\n{talks}\n{WAITS[waits]}", tmp_path)
    again = program(f"{talks}\nprint()\nprint(len(agent.messages))", tmp_path)

    item = json.loads((tmp_path / "sessions" / "guard" / "default" / "user_1.json").read_text())
    assert "acquire_id" not in item
    assert (again.stdout.splitlines()[-1], again.stderr) == ("4", "")
