"""The client needs msgspec and websockets, and nothing else that is not Python's own."""

from __future__ import annotations

import importlib.util
import tomllib
from pathlib import Path

import pytest

from infra.constants import ROOT, SESSION_LAYER

PACKAGES = ("msgspec", "websockets")

EVERY_MODULE = """
import importlib, pkgutil
import segue.client, segue.wire
for package in (segue.client, segue.wire):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        print(importlib.import_module(module.name).__name__)
"""

CONVERSATION = """
import asyncio
from websockets.asyncio.server import serve
from segue.client import Client
from segue.lease.item import Known
from segue.wire.frames import Hello, InputAck, Ready, TextInput, TextOutput, decode_client_frame, encode_batch

async def hold(socket):
    async for message in socket:
        match decode_client_frame(message):
            case Hello(session=session):
                answer = [Ready(epoch=1, seq=1, session=session, known=Known(), history=0, head=0)]
            case TextInput(text=text, seq=1):
                answer = [InputAck(epoch=1, seq=2, upto=1), TextOutput(epoch=1, seq=3, text=text.upper(), record=0)]
            case _:
                continue
        await socket.send(encode_batch(answer))

async def main():
    async with serve(hold, "127.0.0.1", 0, compression=None) as server:
        port = server.sockets[0].getsockname()[1]
        async with Client(f"ws://127.0.0.1:{port}", session="s") as client:
            await client.send_text("hello")
            await client.flush(timeout=20)
            async for event in client.events():
                if isinstance(event, TextOutput):
                    print(event.text)
                    break

asyncio.run(main())
"""


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    """A folder with the two packages, as they are installed here."""
    folder = tmp_path / "packages"
    folder.mkdir()
    for name in PACKAGES:
        (found,) = importlib.util.find_spec(name).submodule_search_locations
        (folder / name).symlink_to(found)
    return folder


def test_every_module_imports(bare, packages):
    imported = bare(EVERY_MODULE, SESSION_LAYER / "python", packages).split()

    assert {"segue.client.connections", "segue.wire.schema", "segue.wire.sender"} <= set(imported)


def test_a_client_alone_with_its_dependencies_talks_to_a_server(bare, packages):
    assert bare(CONVERSATION, SESSION_LAYER / "python", packages) == "HELLO\n"


def test_the_interpreter_sees_nothing_else(bare, packages):
    """Otherwise the tests above would show nothing."""
    seen = bare(
        "import importlib.util as u; print([u.find_spec(n) for n in ('boto3', 'strands', 'typing_extensions')])",
        SESSION_LAYER / "python",
        packages,
    )

    assert seen == "[None, None, None]\n"


def test_the_page_names_the_versions_that_the_project_asks_for():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = [*project["dependencies"], *project["optional-dependencies"]["client"]]
    wanted = [f"'{one}'" for one in asked if one.startswith(PACKAGES)]

    assert len(wanted) == len(PACKAGES)
    assert f"pip install {' '.join(wanted)}" in (ROOT / "docs" / "client.md").read_text(encoding="utf-8")
