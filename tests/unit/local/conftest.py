"""A worker that stands in for the real one: it only reports health, and ends on SIGTERM as it is told to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from local.deployment.outputs import REQUIRED_OUTPUTS, Deployment
from local.processes.children import Guard
from local.settings import Settings

STAND_IN = """
import json, os, signal, sys, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

drain = os.environ.get("DRAIN", "at once")
if drain == "never starts":
    sys.exit("no such model")

class Health(BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"worker_id": os.environ["SEGUE_WORKER_ID"], "ready": True, "sessions": 1, "room": 2,
                           "draining": False, "version": os.environ["SEGUE_WORKER_VERSION"]}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass

server = ThreadingHTTPServer(("127.0.0.1", int(os.environ["SEGUE_WORKER_PORT"])), Health)

def end(*_):
    print("got SIGTERM", time.monotonic(), flush=True)
    if drain == "at once":
        threading.Thread(target=server.shutdown).start()

signal.signal(signal.SIGTERM, end)
print("started", time.monotonic(), flush=True)
server.serve_forever(poll_interval=0.02)
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    package = tmp_path / "functions" / "worker"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "__main__.py").write_text(STAND_IN)
    return replace(Settings(), home=tmp_path / "home", root=tmp_path)


@pytest.fixture
async def guard() -> AsyncIterator[Guard]:
    guard = Guard()
    await guard.start()
    yield guard
    await guard.stop()


@pytest.fixture
def make_deployment() -> Callable[..., Deployment]:
    def make(version: str = "1", drain: str = "at once") -> Deployment:
        names = {*REQUIRED_OUTPUTS} - {"ApiId", "StageName"}
        return Deployment(
            endpoint="http://127.0.0.1:4566",
            outputs={name: f"the-{name}" for name in names} | {"ApiId": "abc", "StageName": "local"},
            worker_environment={"SEGUE_WORKER_VERSION": version, "SEGUE_STAGE": "local", "DRAIN": drain},
        )

    return make
