"""Commands for a person who writes an agent, and a chat whose failure stops nothing."""

from __future__ import annotations

import asyncio
import os
import subprocess
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from local.cli import main
from local.deployment.issuer import principal
from local.developing import packages, sessions
from local.errors import LocalError
from local.progress import Event, Progress
from local.stack import up
from local.timeouts import MOST, USUAL_MS, factor
from tests.support.waiting import within


@pytest.mark.parametrize(
    ("load", "work_ms", "expected"),
    [(0.1, USUAL_MS / 2, 1.0), (3.5, USUAL_MS, 3.5), (0.5, USUAL_MS * 2, 2.0), (80.0, USUAL_MS, MOST)],
)
def test_time_outs_grow_with_the_machine(load, work_ms, expected):
    assert factor(load, work_ms) == expected


class Chat:
    """Stands in for a conversation: fails as often as is said, then ends well."""

    failures = 0
    opened = 0

    def __init__(self, *_: object, lines: object, **__: object) -> None:
        Chat.opened += 1
        self.lines = lines
        self.interactive = True
        self.lines_read = 1

    async def run(self) -> None:
        if Chat.failures:
            Chat.failures -= 1
            raise LocalError("no answer within 60 s.")

    def note(self, text: str) -> None:
        pass


@pytest.fixture
def talk(monkeypatch, settings):
    """Talk on a stack that stays up; returns what was told, and whether the end of the talk is the end of all."""

    async def talked(failures: int, typed: bytes, *, interactive: bool = True, lines_read: int = 1):
        reader, writer = os.pipe()
        os.write(writer, typed)
        os.close(writer)
        Chat.failures, Chat.opened = failures, 0
        monkeypatch.setattr("local.terminal.chat.Conversation", Chat)
        monkeypatch.setattr(Chat, "__init__", _made(interactive, lines_read))
        monkeypatch.setattr("sys.stdin", SimpleNamespace(fileno=lambda: reader))
        told: list[Event] = []
        stack = SimpleNamespace(
            websocket_url="ws://x",
            issuer=SimpleNamespace(token=lambda: "t"),
            progress=Progress(),
            stopping=asyncio.Event(),
            settings=settings,
        )
        show = _Show(told)
        async with within(20):
            ended = await up._talk(stack, show, "conversation", as_json=False)
        os.close(reader)
        return [event.text for event in told], ended

    return talked


def _made(interactive: bool, lines_read: int):
    def made(self, *_: object, lines: object, **__: object) -> None:
        Chat.opened += 1
        self.lines, self.interactive, self.lines_read = lines, interactive, lines_read

    return made


class _Show:
    def __init__(self, told: list[Event]) -> None:
        self._told = told

    def __call__(self, event: Event) -> None:
        self._told.append(event)

    def close(self) -> None:
        pass


async def test_a_chat_that_fails_says_why_and_tries_again(talk):
    told, ended = await talk(2, b"\n\n")
    assert ended
    assert Chat.opened == 3
    assert told[0].startswith("no answer within 60 s. The stack stays up; logs: ")
    assert told[1] == "Enter tries again, Ctrl-D ends everything"


async def test_the_end_of_the_input_ends_everything_after_a_failure_too(talk):
    _, ended = await talk(2, b"")
    assert (ended, Chat.opened) == (True, 1)


async def test_a_pipe_goes_on_with_its_next_line(talk):
    _, ended = await talk(1, b"", interactive=False)
    assert (ended, Chat.opened) == (True, 2)


async def test_a_pipe_to_which_nothing_can_be_opened_leaves_the_stack_up(talk):
    told, ended = await talk(9, b"", interactive=False, lines_read=0)
    assert (ended, Chat.opened) == (False, 1)
    assert told[-1] == "no conversation can be opened; Ctrl-C stops everything"


def test_sessions_have_the_subjects_name_in_the_place_of_the_hash():
    key = principal("local")
    table = f"SESSION{' ' * 38}STATE\n{key}/conversation  free\n{'0' * 32}/other         free\n"
    shown = sessions.readable(table, "local").splitlines()
    assert shown[1] == f"local/conversation{' ' * 27}  free"
    assert shown[1].index("free") == table.splitlines()[1].index("free")
    assert shown[2].startswith("0" * 32)
    told = sessions.readable(f"deleted {key}/a, {key}/b\n", "local")
    assert told == "deleted local/a, local/b\n"
    assert sessions.keyed("local/conversation") == f"{key}/conversation"
    assert sessions.keyed(f"{key}/conversation") == f"{key}/conversation"
    assert sessions.keyed("conversation") == "conversation"


def test_near_misses_are_suggested():
    with pytest.raises(LocalError, match=r"no command 'lst'; did you mean list\?"):
        sessions.check_command(["lst"], ["list", "show", "tail"])
    with pytest.raises(LocalError, match=r"no session 'convresation'; did you mean conversation\?"):
        sessions.check_session("convresation", ["conversation", "other"])
    with pytest.raises(LocalError, match=r"no session 'zzz'\.$"):
        sessions.check_session("zzz", ["conversation"])
    sessions.check_session("conversation", ["conversation"])
    sessions.check_command([], ["list"])


def test_the_session_of_a_command_line_is_found_among_its_options():
    from segue.cli.app import sessions as group

    assert sessions.session_of(["show", "--json", "conversation"], group) == "conversation"
    assert sessions.session_of(["list"], group) is None
    assert sessions.session_of(["import", "conversation", "x"], group) is None
    assert sessions.session_of(["show", "--help"], group) is None


AGENT_IN = "# a comment\nhttpx>=0.27\n"


def test_a_package_takes_the_place_of_the_same_one_with_another_version():
    assert packages.with_package(AGENT_IN, "HTTPX==0.28") == "# a comment\nHTTPX==0.28\n"
    assert packages.with_package(AGENT_IN, "pytz") == AGENT_IN + "pytz\n"


@pytest.mark.parametrize("package", ["", "-r x", "a b", "https://example.com/x.whl", "x;rm"])
def test_a_name_that_is_no_package_is_refused(settings, package):
    with pytest.raises(LocalError, match="no package of PyPI"):
        packages.add(settings, package)


@pytest.fixture
def locks(settings):
    folder = settings.root / "requirements"
    folder.mkdir()
    (folder / "agent.in").write_text(AGENT_IN)
    for name in packages.LOCKS:
        (folder / f"{name}.txt").write_text("before")
    return folder


def test_a_package_is_locked_for_image_text_function_and_this_machine(settings, locks, monkeypatch):
    seen = []

    def lock(command, **_):
        seen.append(command[-3:])
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(packages.subprocess, "run", lock)
    assert packages.add(settings, " pytz ") == "pytz"
    assert (locks / "agent.in").read_text() == AGENT_IN + "pytz\n"
    assert seen == [[f"{name}.in", "-o", f"{name}.txt"] for name in ("worker", "turn", "dev")] or seen == [
        (f"{name}.in", "-o", f"{name}.txt") for name in ("worker", "turn", "dev")
    ]


def test_a_package_that_cannot_be_locked_changes_nothing(settings, locks, monkeypatch):
    def lock(command, cwd, **_):
        (cwd / command[-1]).write_text("half done")
        return subprocess.CompletedProcess(command, command[-3] == "turn.in", "", "no version of pytz fits")

    monkeypatch.setattr(packages.subprocess, "run", lock)
    with pytest.raises(LocalError, match=r"turn.txt cannot be locked with it, and nothing was changed:\nno version"):
        packages.add(settings, "pytz")
    assert (locks / "agent.in").read_text() == AGENT_IN
    assert {path.read_text() for path in locks.glob("*.txt")} == {"before"}


def test_locks_are_made_with_the_options_of_make_lock():
    from local.settings import ROOT

    (recipe,) = [line for line in (ROOT / "Makefile").read_text().split("$(LOCK_ARGS)") if "pip compile" in line][:1]
    words = recipe.rpartition("pip compile")[2].replace("\\\n", " ").split()
    assert words == list(packages.OPTIONS)


def test_the_check_is_a_command(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "local.developer_commands.checks.command", lambda _: ["/bin/sh", "-c", "echo agent.py:1: no >&2; exit 1"]
    )
    assert CliRunner().invoke(main, ["--home", str(tmp_path), "check"]).exit_code == 1
    monkeypatch.setattr("local.developer_commands.checks.command", lambda _: ["/bin/true"])
    result = CliRunner().invoke(main, ["--home", str(tmp_path), "check"])
    assert (result.exit_code, result.stdout) == (0, "agent.py is fine: both agents can be built.\n")
