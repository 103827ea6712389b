"""A second terminal reaches a running stack, and only with its token."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import AsyncIterator

import aiohttp
import pytest
from click.testing import CliRunner

from local.cli import main
from local.errors import LocalError, NotRunningError
from local.progress import Event, Progress
from local.stack import run_file
from local.stack.control import Client, Server
from local.stack.run_file import Run
from tests.support.waiting import within


class StandIn:
    """Takes the place of a stack."""

    def __init__(self) -> None:
        self.progress = Progress()
        self.stopping = asyncio.Event()
        self.killed: list[tuple[str | None, signal.Signals]] = []
        self.failing = False
        self.deployed = asyncio.Event()

    async def facts(self) -> dict[str, object]:
        return {"running": True}

    async def holder(self, session: str) -> str | None:
        return "w1" if session == "alice" else None

    def kill(self, worker_id: str | None, number: signal.Signals) -> str:
        if worker_id == "w9":
            raise LocalError("there is no worker w9 here")
        self.killed.append((worker_id, number))
        return worker_id or "w1"

    def link(self, subject: str, seconds: int) -> str:
        return f"http://127.0.0.1:1/#code={subject}-{seconds}"

    async def redeploy(self, *, everything: bool = True) -> None:
        self.everything = everything
        with self.progress.step("deploying the stacks"):
            if self.failing:
                raise LocalError("cdk deploy failed")
        self.progress.note("w3 is ready")
        self.deployed.set()


@pytest.fixture
def stack() -> StandIn:
    return StandIn()


@pytest.fixture
async def server(stack: StandIn) -> AsyncIterator[Server]:
    server = Server(stack)
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
def client(server: Server) -> Client:
    return Client(Run(os.getpid(), server.url, server.token))


async def test_requests_are_answered(client, stack):
    assert await client.status() == {"running": True}
    assert await client.holder("alice") == "w1"
    assert await client.holder("bob") is None
    assert await client.kill("w2", "SIGSTOP") == "w2"
    assert stack.killed == [("w2", signal.SIGSTOP)]
    assert await client.link("alice", 60) == "http://127.0.0.1:1/#code=alice-60"
    await client.down()
    assert stack.stopping.is_set()


async def test_failures_are_told_in_words(client):
    with pytest.raises(LocalError, match="there is no worker w9 here"):
        await client.kill("w9", "SIGKILL")
    with pytest.raises(LocalError, match="there is no signal 'SIGNONE'"):
        await client.kill("w1", "SIGNONE")


async def test_a_redeploy_tells_what_happens(client):
    events = [event async for event in client.redeploy()]
    assert [(event.state, event.text) for event in events] == [
        ("started", "deploying the stacks"),
        ("done", "deploying the stacks"),
        ("note", "w3 is ready"),
    ]


async def test_a_redeploy_of_what_has_changed_is_asked_for_as_such(client, stack):
    for everything in (True, False):
        assert [event async for event in client.redeploy(everything=everything)]
        assert stack.everything is everything


async def test_a_redeploy_that_fails_says_why(client, stack):
    stack.failing = True
    events: list[Event] = []
    with pytest.raises(LocalError, match="cdk deploy failed"):
        async for event in client.redeploy():
            events.append(event)  # noqa: PERF401 - what came before the failure counts too
    assert [event.state for event in events] == ["started", "failed"]


async def test_a_redeploy_goes_on_without_its_terminal(client, stack):
    async with contextlib.aclosing(client.redeploy()) as events:
        await anext(events)
    async with within(10):
        await stack.deployed.wait()


async def test_requests_without_the_token_are_refused(server, stack):
    async with aiohttp.ClientSession() as http:
        for headers in ({}, {"authorization": "Bearer guess"}):
            async with http.post(server.url + "/down", headers=headers) as answer:
                assert answer.status == 403
    assert not stack.stopping.is_set()


async def test_a_header_that_is_no_text_is_a_wrong_token(server):
    reader, writer = await asyncio.open_connection("127.0.0.1", int(server.url.rpartition(":")[2]))
    writer.write(b"GET /status HTTP/1.1\r\nHost: x\r\nAuthorization: \xff\xfe\r\n\r\n")
    async with within(10):
        assert b" 403 " in await reader.readline()
    writer.close()


@pytest.mark.parametrize("body", [b"", b"nonsense", b"[]", b"{}", b'{"worker": "w1"}', b"\xff"])
async def test_a_malformed_kill_request_gets_400(server, stack, body):
    headers = {"authorization": f"Bearer {server.token}"}
    async with aiohttp.ClientSession() as http, http.post(server.url + "/kill", headers=headers, data=body) as answer:
        assert answer.status == 400
    assert stack.killed == []


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"subject": "alice"}', b'{"subject": "a", "seconds": "x"}'])
async def test_a_link_request_that_names_no_person_is_refused(server, body):
    headers = {"authorization": f"Bearer {server.token}"}
    async with aiohttp.ClientSession() as http, http.post(server.url + "/link", headers=headers, data=body) as answer:
        assert answer.status == 400


async def test_a_supervisor_that_does_not_answer_counts_as_not_running(server, client):
    await server.stop()
    with pytest.raises(NotRunningError, match="does not answer"):
        await client.status()


def test_the_run_file_is_private_and_only_a_living_process_counts(settings):
    settings.home.mkdir()
    run_file.write(settings, Run(os.getpid(), "http://127.0.0.1:1", "secret"))
    assert stat.S_IMODE(settings.run_file.stat().st_mode) == 0o600
    assert run_file.require(settings).token == "secret"
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    run_file.write(settings, Run(dead.pid, "http://127.0.0.1:1", "secret"))
    with pytest.raises(NotRunningError):
        run_file.require(settings)
    run_file.remove(settings, os.getpid())
    assert settings.run_file.exists()


@pytest.mark.parametrize("command", ["chat", "redeploy", "kill", "status", "down", "link"])
def test_commands_without_a_running_stack_say_so_in_one_line(command, tmp_path):
    result = CliRunner().invoke(main, ["--home", str(tmp_path), command])
    assert result.exit_code == 3
    start = "start it with `make local` or `.venv/bin/python -m local up`"
    assert result.stderr == f"error: nothing is running here: {start}.\n"
    assert result.stdout == ""


def test_status_for_scripts_says_that_nothing_runs(tmp_path):
    result = CliRunner().invoke(main, ["--home", str(tmp_path), "status", "--json"])
    assert (result.exit_code, json.loads(result.stdout)) == (3, {"running": False})


def test_a_worker_and_a_session_cannot_both_be_named(tmp_path):
    result = CliRunner().invoke(main, ["--home", str(tmp_path), "kill", "w1", "--session", "alice"])
    assert result.exit_code == 2


def test_up_names_a_missing_program_before_it_starts_anything(tmp_path, settings, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    result = CliRunner().invoke(main, ["--home", str(tmp_path / "home"), "up"])
    assert result.exit_code == 1
    assert result.stderr.startswith("error: Node.js is needed")
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "home").exists()


def test_every_command_has_help():
    runner = CliRunner()
    assert runner.invoke(main, ["--help"]).exit_code == 0
    for name in main.commands:
        result = runner.invoke(main, [name, "--help"])
        assert result.exit_code == 0
        assert len(result.stdout.splitlines()) > 4
