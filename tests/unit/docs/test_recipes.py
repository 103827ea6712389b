"""Every recipe of the page runs, on moto. Streamlit is a stand-in with the calls that the recipe makes."""

from __future__ import annotations

import contextlib
import importlib
import re
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from segue import GuardedFileSessionManager, GuardedS3SessionManager, SessionHeld
from segue.admin import Sessions
from segue.lease.item import SCHEMA
from segue.testing import provision

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "recipes.md").read_text(encoding="utf-8")
RECIPES = dict(re.findall(r"^```py\n# (\w+)\.py\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))
WHERE = {"bucket": "my-voice-sessions", "lock_table": "my-voice-locks"}

MY_AGENT = """
from strands import Agent
from segue.testing import OfflineTextModel

def build(session_manager):
    return Agent(model=OfflineTextModel(), session_manager=session_manager, callback_handler=None)
"""

KNOWS = "Your name is Alice."


@pytest.fixture
def page(aws: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The page's modules, where they are imported from, and the bucket and table that they name."""
    provision(*WHERE.values())
    for name, code in {"my_agent": MY_AGENT, **RECIPES}.items():
        (tmp_path / f"{name}.py").write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for name in ("my_agent", *RECIPES):
        sys.modules.pop(name, None)


def recipe(name: str) -> Any:
    return importlib.import_module(name)


@pytest.mark.slow
def test_fastapi(page: Path) -> None:
    from fastapi.testclient import TestClient

    module = recipe("fastapi_app")
    with TestClient(module.app) as client:
        client.post("/sessions/alice", params={"text": "My name is Alice"})
        asked = client.post("/sessions/alice", params={"text": "What is my name?"})
        with client.websocket_connect("/sessions/alice") as socket:
            socket.send_text("What is my name?")
            said = socket.receive_text()

    assert asked.json()["answer"].strip() == KNOWS
    assert said.strip() == KNOWS


@pytest.mark.slow
def test_fastapi_says_that_a_session_is_held(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fastapi.testclient import TestClient

    module = recipe("fastapi_app")

    async def held(self: Any) -> None:
        raise SessionHeld("worker-1", 1)

    monkeypatch.setattr(GuardedS3SessionManager, "open", held)
    with TestClient(module.app) as client:
        answer = client.post("/sessions/alice", params={"text": "Hello"})

    assert answer.status_code == 409
    assert "worker-1" in answer.json()["detail"]


@pytest.mark.slow
def test_lambda_and_dashboard_and_forgetting(page: Path) -> None:
    handler, dashboard = recipe("lambda_function").handler, recipe("dashboard")
    handler({"session": "alice", "text": "My name is Alice"}, None)
    answer = handler({"session": "alice", "text": "What is my name?"}, None)["answer"]

    assert answer.strip() == KNOWS
    assert [(one["session"], one["state"]) for one in dashboard.overview()] == [("default/alice", "free")]
    assert dashboard.conversation("alice")[0] == "My name is Alice"
    assert recipe("forget").forget("default")
    assert dashboard.overview() == []


@pytest.mark.slow
def test_a_background_worker_leaves_a_session_that_is_in_use_for_later(page: Path) -> None:
    work = recipe("jobs").work
    jobs = [{"session": name, "text": "My name is Alice"} for name in ("free", "used")]
    with GuardedS3SessionManager("used", **WHERE) as holder:
        agent = recipe("my_agent").build(holder)
        assert work(jobs) == [jobs[1]]
        assert agent.messages == []

    assert work(jobs[1:]) == []


@pytest.mark.slow
def test_a_server_that_forks(page: Path, program: Any) -> None:
    """The app in a forked child, after its parent has served a request: gunicorn with --preload, on a directory."""
    code = """
import io, os, sys
import my_place
import segue
segue.GuardedS3SessionManager = lambda session_id, **_: segue.GuardedFileSessionManager(session_id, "sessions")
from wsgi_app import app

def ask(session_id, text):
    body = text.encode()
    environ = {"PATH_INFO": f"/{session_id}", "CONTENT_LENGTH": len(body), "wsgi.input": io.BytesIO(body)}
    return b"".join(app(environ, lambda *_: None)).decode().strip()

ask("talk", "My name is Alice")
child = os.fork()
if child == 0:
    print(ask("talk", "What is my name?"), flush=True)
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
print(ask("talk", "What is my name?"))
"""
    done = program(f"import sys, os; os.chdir(sys.argv[1]); sys.path.insert(0, sys.argv[1])\n{code}", page)

    assert done.stdout.splitlines() == [KNOWS, KNOWS]


@pytest.mark.slow
def test_streamlit_shows_what_the_session_has(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[tuple[str, str]] = []
    said: list[str | None] = ["My name is Alice", "What is my name?", None]
    speaking: list[str] = []

    @contextlib.contextmanager
    def chat_message(role: str) -> Iterator[None]:
        speaking.append(role)
        yield

    stand_in = types.ModuleType("streamlit")
    vars(stand_in).update(
        query_params={"session": "alice"},
        chat_input=lambda _prompt: said.pop(0),
        chat_message=chat_message,
        write=lambda text: shown.append((speaking[-1], text.strip())),
    )
    monkeypatch.setitem(sys.modules, "streamlit", stand_in)
    for _ in range(3):
        shown.clear()
        sys.modules.pop("streamlit_app", None)
        recipe("streamlit_app")

    assert shown[0] == ("user", "My name is Alice")
    assert shown[-1] == ("assistant", KNOWS)
    assert len(shown) == 4


@pytest.mark.slow
def test_a_notebooks_cell_may_be_run_again(page: Path) -> None:
    recipe("my_agent")
    names: dict[str, Any] = {}
    for _ in range(3):
        exec(RECIPES["notebook"], names)

    assert len(names["agent"].messages) == 6
    names["manager"].close_sync()


@pytest.mark.slow
def test_moving_and_backup(page: Path, tmp_path: Path) -> None:
    from strands import Agent
    from strands.session import FileSessionManager

    from segue.testing import OfflineTextModel

    old = FileSessionManager("alice", storage_dir=str(tmp_path / "old"))
    Agent(model=OfflineTextModel(), session_manager=old, callback_handler=None)("My name is Alice")

    assert recipe("move").move("alice", str(tmp_path / "old")) > 0
    assert recipe("backup").back_up(tmp_path / "backup") == ["default/alice"]
    Sessions.s3(**WHERE).delete("alice")
    assert recipe("backup").bring_back(tmp_path / "backup", "default/alice") > 0
    assert recipe("dashboard").conversation("alice")[0] == "My name is Alice"


def test_the_table_of_names_is_true() -> None:
    from strands.bidi.hooks import events as voice
    from strands.hooks import events
    from strands.session import S3SessionManager, SnapshotSessionManager

    rows = re.findall(r"^\| (experimental .*?) \| (.*?) \|$", PAGE, re.MULTILINE)
    named = {name for _, new in rows for name in re.findall(r"`(\w+Event)`", new)}
    assert len(named) >= 7
    assert all(hasattr(voice, name) or hasattr(events, name) for name in named)
    for kind in (S3SessionManager, SnapshotSessionManager):
        parameters = set(kind.__init__.__code__.co_varnames[1 : kind.__init__.__code__.co_argcount])
        assert all(name in PAGE for name in parameters)
    for method in ("append_message", "sync_agent", "redact_latest_message", "initialize", "points", "rewind", "delete"):
        assert hasattr(GuardedFileSessionManager, method)


def test_the_table_of_schemas_ends_with_the_newest() -> None:
    assert re.findall(r"^\| (\d) \|", PAGE, re.MULTILINE) == [str(number) for number in range(1, SCHEMA + 1)]


def test_every_recipe_is_run() -> None:
    tests = Path(__file__).read_text(encoding="utf-8").partition("def test_every_recipe_is_run")[0]

    assert len(RECIPES) >= 11
    unused = [name for name in RECIPES if f'recipe("{name}")' not in tests and f'RECIPES["{name}"]' not in tests]
    assert unused == ["my_place", "wsgi_app"]
    assert "from wsgi_app import app" in tests
