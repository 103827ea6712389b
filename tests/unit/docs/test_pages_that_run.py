"""Pages for newcomers are true: their programs run, their agents can be built, their tools do what is said."""

from __future__ import annotations

import ast
import asyncio
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from botocore.stub import Stubber
from click.testing import CliRunner
from strands import Agent
from strands.bidi import BidiAgent

from infra.environment_page import COMMAND, PAGE, page
from local.processes.ports import free_port
from segue import GuardedFileSessionManager
from segue.cli.app import segue
from segue.testing.offline import OfflineVoiceModel
from tests.support.fake_model import FakeModel, tool_call
from tests.support.programs import Programs
from tests.support.waiting import within

ROOT = Path(__file__).resolve().parents[3]
DOCS = ROOT / "docs"


def text(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def files(name: str) -> dict[str, str]:
    """The files that a page shows, each put together from its parts."""
    found: dict[str, str] = {}
    for title, code in re.findall(r'^```python title="([^"]+)"\n(.*?)^```', text(name), re.MULTILINE | re.DOTALL):
        found[title] = found.get(title, "") + code + "\n\n"
    return found


def test_the_table_of_environment_variables_is_current():
    present = PAGE.read_text(encoding="utf-8")
    assert present == page(present), f"the worker's settings changed: run `{COMMAND}`"


def test_no_variable_of_the_worker_is_left_out():
    read = subprocess.run(
        ["git", "grep", "-hoE", '"SEGUE_[A-Z_]+"', "--", "functions/worker", "functions/shared"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    names = {name.strip('"') for name in read.split()} - {"SEGUE_MANAGEMENT_ENDPOINT"}
    assert [name for name in sorted(names) if f"`{name}`" not in text("running-elsewhere.md")] == []


# Getting started


@pytest.fixture
def started(tmp_path):
    for name, code in files("getting-started.md").items():
        (tmp_path / name).write_text(code)
    return tmp_path


@pytest.fixture
def talk(program: Programs, started: Path):
    """Run talk.py as the page does, in its folder; returns what it prints."""
    code = (started / "talk.py").read_text()

    def say(*words: str) -> str:
        return program(f"os.chdir(sys.argv.pop(1))\n{code}", started, *words).stdout

    return say


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_getting_started_is_as_the_page_says(started, talk):
    """One session, two processes, a holder that hangs, and the fence."""
    assert talk("My", "name", "is", "Alice").startswith("Hello Alice")
    holder = await asyncio.create_subprocess_exec(
        sys.executable, "hold.py", cwd=started,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert holder.stdin is not None
    assert holder.stdout is not None
    try:
        async with within(200):
            assert (await holder.stdout.readline()).startswith(b"held, epoch ")
            os.kill(holder.pid, signal.SIGSTOP)
            await asyncio.to_thread(talk, "My name is Carol")
            os.kill(holder.pid, signal.SIGCONT)
            _, error = await holder.communicate(b"\n")
    finally:
        if holder.returncode is None:
            holder.kill()
            await holder.wait()
    assert holder.returncode == 1
    assert "SessionFenced" in error.decode()
    shown = CliRunner().invoke(segue, ["sessions", "show", "alice", "--directory", str(started / "sessions")])
    assert "Alice" in shown.output
    assert "Carol" in talk("What's my name?")


# The tutorial


@pytest.fixture
def booking():
    """The tutorial's agent.py, with models that do as they are told."""
    code = files("tutorial.md")["agent.py"]
    scope: dict = {"build_model": OfflineVoiceModel, "build_text_model": lambda: scope["text_model"]}
    exec(compile(code, "tutorial.md", "exec"), scope)
    return scope


@pytest.mark.slow
async def test_the_tutorials_agent_takes_a_wish_by_voice_and_books_by_text_with_an_approval(booking, tmp_path):
    manager = GuardedFileSessionManager("call", storage_dir=tmp_path)
    async with manager:
        caller = booking["build_agent"](manager)
        assert isinstance(caller, BidiAgent)
        assert "book" not in caller.tool_names
        await asyncio.to_thread(caller.tool.note_wish, time="18:00", guests=2)
    for answer, tables, said in (("n", 2, "Nothing was booked"), ("y", 1, "Booked: 2 guests at 18:00.")):
        booking["text_model"] = FakeModel([tool_call("book", f"use-{answer}"), "As you wish."])
        async with GuardedFileSessionManager("call", storage_dir=tmp_path) as manager:
            guest = booking["build_text_agent"](manager)
            assert isinstance(guest, Agent)
            asked = await guest.invoke_async("Please book it.")
            assert asked.stop_reason == "interrupt"
        # Another process goes on from there.
        async with GuardedFileSessionManager("call", storage_dir=tmp_path) as manager:
            guest = booking["build_text_agent"](manager)
            (interrupt,) = asked.interrupts
            assert interrupt.reason == "Book a table for 2 at 18:00?"
            await guest.invoke_async([{"interruptResponse": {"interruptId": interrupt.id, "response": answer}}])
            results = [block["toolResult"] for message in guest.messages for block in message["content"]
                       if "toolResult" in block]  # fmt: skip
            assert said in results[-1]["content"][0]["text"]
        assert booking["TABLES"]["18:00"] == tables


def test_the_tools_of_the_tutorial_say_what_they_are_for(booking):
    agent = booking["build_agent"](None)
    for spec in agent.tool_registry.get_all_tool_specs():
        assert spec["description"] != spec["name"]


# Packages and tools


@pytest.fixture
def service():
    """A web service on loopback that answers with its path."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(f"1.08 {self.path[1:]}".encode())

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


MCP_SERVER = """
import sys
from mcp.server.mcpserver import MCPServer

server = MCPServer("calendar", log_level="ERROR")

@server.tool()
def appointments(day: str) -> str:
    '''List the appointments of a day.'''
    return f"On {day}: dentist at 9."

server.run(transport="streamable-http", host="127.0.0.1", port=int(sys.argv[1]))
"""


@pytest.fixture
async def calendar():
    port = free_port()
    server = await asyncio.create_subprocess_exec(sys.executable, "-c", MCP_SERVER, str(port))
    try:
        async with within(60):
            while server.returncode is None:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    await asyncio.sleep(0.05)
                else:
                    writer.close()
                    break
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        if server.returncode is None:
            server.kill()
        await server.wait()


def blocks(name: str) -> list[str]:
    return [
        textwrap.dedent(code) for code in re.findall(r"^```python\n(.*?)^```", text(name), re.MULTILINE | re.DOTALL)
    ]


def test_every_block_of_the_page_of_packages_is_python():
    assert len([ast.parse(code) for code in blocks("packages.md")]) == 3


@pytest.mark.slow
async def test_the_tools_of_the_page_of_packages_work(service, calendar, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    scope: dict = {"RATES_URL": service, "CALENDAR_URL": calendar, "KNOWLEDGE_BASE_ID": "KB12345678"}
    for code in blocks("packages.md"):
        exec(compile(code, "packages.md", "exec"), scope)
    knowledge = scope["knowledge"]
    with Stubber(knowledge) as stubbed:
        stubbed.add_response(
            "retrieve",
            {"retrievalResults": [{"content": {"text": "The lamp has a warranty of two years."}}]},
            {
                "knowledgeBaseId": "KB12345678",
                "retrievalQuery": {"text": "warranty?"},
                "retrievalConfiguration": {"vectorSearchConfiguration": {"numberOfResults": 3}},
            },
        )
        tools = [scope["exchange_rate"], scope["look_up"], scope["calendar"]]
        agent = await asyncio.to_thread(lambda: Agent(model=FakeModel(), tools=tools, callback_handler=None))
        try:
            assert await result(agent.tool.exchange_rate, currency="USD") == "1.08 USD"
            assert await result(agent.tool.look_up, question="warranty?") == "The lamp has a warranty of two years."
            assert await result(agent.tool.calendar_appointments, day="Monday") == "On Monday: dentist at 9."
        finally:
            await asyncio.to_thread(scope["calendar"].stop, None, None, None)


async def result(tool, **inputs) -> str:
    outcome = await asyncio.to_thread(tool, **inputs)
    return outcome["content"][0]["text"]
