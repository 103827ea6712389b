"""The emulator answers programs, and no website."""

from __future__ import annotations

import asyncio
import subprocess

import pytest

from local.deployment import emulator_program
from local.deployment.emulator import PROGRAM
from local.deployment.emulator_program import closed_to_websites
from local.settings import Settings


async def served(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})


async def status(headers: dict[str, str], kind: str = "http") -> int:
    said: list[dict] = []

    async def send(message):
        said.append(message)

    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await closed_to_websites(served)({"type": kind, "headers": raw}, asyncio.Event().wait, send)
    assert not any(name.startswith(b"access-control") for message in said for name, _ in message.get("headers", ()))
    return said[0]["status"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "127.0.0.1:4566"},
        {"Host": "localhost"},
        {"Host": "[::1]:4566"},
        {"Host": "s3.us-east-1.amazonaws.com"},
        {"Host": "127.0.0.1:4566", "Sec-Fetch-Mode": "cors"},  # Node's fetch
        {"Host": "127.0.0.1:4566", "Sec-Fetch-Site": "none"},  # typed into the address bar
    ],
    ids=str,
)
async def test_emulator_answers_programs(headers):
    assert await status(headers) == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:4566"},  # a bucket's page, which the attacker may have put there
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "navigate"},
        {"Host": "rebound.example:4566"},
        {"Host": "127.0.0.1.evil.example"},
        {"Host": "evil.example#.localhost"},
    ],
    ids=str,
)
async def test_emulator_refuses_requests_of_websites(headers):
    assert await status({"Host": "127.0.0.1:4566", **headers}) == 403


async def test_a_websocket_connection_is_the_authorizers_matter():
    assert await status({"Host": "127.0.0.1:4566", "Origin": "http://127.0.0.1:1"}, "websocket") == 200


PROBE = """
import asyncio, runpy, sys
import ministack.app as emulator

async def ask():
    said = []
    async def receive(): return {"type": "http.request", "body": b"", "more_body": False}
    async def send(message): said.append(message.get("status"))
    for more in [], [(b"origin", b"https://evil.example")]:
        await emulator.app({
            "type": "http", "method": "GET", "path": "/_ministack/health", "raw_path": b"/_ministack/health",
            "query_string": b"", "headers": [(b"host", b"127.0.0.1"), *more], "http_version": "1.1", "scheme": "http",
            "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2), "root_path": "", "extensions": {},
        }, receive, send)
    print([one for one in said if one])

emulator.main = lambda: asyncio.run(ask())
runpy.run_path(sys.argv[1], run_name="__main__")
"""


@pytest.mark.slow
def test_the_stack_starts_the_emulator_behind_it():
    assert PROGRAM[-1] == emulator_program.__file__
    emulator = Settings().emulator_python
    if not emulator.exists():
        pytest.skip("the emulator is not installed")
    asked = subprocess.run(
        [emulator, "-P", "-c", PROBE, PROGRAM[-1]], capture_output=True, text=True, check=False, timeout=100
    )
    assert asked.stdout.splitlines()[-1:] == ["[200, 403]"], asked.stderr
