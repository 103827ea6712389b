"""docs/client.md: its example runs, and its tables are the code's."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest

from segue.client import ClientError, ClientSettings, errors
from segue.wire.codes import FrameError
from segue.wire.sender import SenderFull
from tests.unit.client.conftest import Server

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "client.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
SETTINGS = re.findall(r"^\| `([a-z_.]+)` \| ([\d,]+) \|", PAGE, re.MULTILINE)
ERRORS = re.findall(r"^\| `([A-Z]\w+)` \|", PAGE, re.MULTILINE)


@pytest.fixture
async def server() -> Any:
    started = await Server().start()
    yield started
    await started.stop()


async def test_the_example_talks_to_a_server(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    code, _ = EXAMPLES
    played: list[int] = []
    scope: dict[str, Any] = {
        "url": server.url,
        "new_token": lambda: "a.b.c",
        "play": lambda pcm, rate: played.append(rate),
    }
    exec(compile(f"async def example():\n{textwrap.indent(code, '    ')}", "docs/client.md", "exec"), scope)
    example: Callable[[], Any] = scope["example"]

    await example()

    assert server.texts == ["What's my name?"]
    assert capsys.readouterr().out == "you said What's my name?\n"
    assert server.handshakes[0]["Sec-WebSocket-Protocol"] == "segue.v1, bearer.a.b.c"


async def test_the_example_of_an_approval_answers_it(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    _, code = EXAMPLES
    asked: list[tuple[str, str]] = []

    def ask_the_user(requests: Any, tools: Any) -> bool:
        asked.append((requests[0].name, tools[0].name))
        return True

    scope: dict[str, Any] = {"url": server.url, "new_token": lambda: "a.b.c", "ask_the_user": ask_the_user}
    exec(compile(f"async def example():\n{textwrap.indent(code, '    ')}", "docs/client.md", "exec"), scope)
    await scope["example"]()
    assert asked == [("forget", "forget")]
    assert capsys.readouterr().out == "you answered True\n"


@pytest.mark.parametrize(("name", "default"), SETTINGS)
def test_a_setting_has_the_default_that_the_table_says(name: str, default: str) -> None:
    assert attrgetter(name)(ClientSettings()) == int(default.replace(",", ""))


def test_the_tables_are_read_and_name_all_errors() -> None:
    assert len(SETTINGS) > 5
    ends = [name for name, one in vars(errors).items() if isinstance(one, type) and issubclass(one, ClientError)]
    assert sorted(ERRORS) == sorted({*ends, SenderFull.__name__, FrameError.__name__} - {ClientError.__name__})
