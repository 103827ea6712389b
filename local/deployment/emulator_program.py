"""The emulator's program, closed to websites, and with functions that start quickly; run by the emulator's own Python.

The emulator checks no credentials, and lets every website read its answers (``Access-Control-Allow-Origin: *``). A
page in the developer's browser could read all sessions, put a text into the queue, which is answered on the user's key,
or deploy a function, which runs on this machine. Programs send neither ``Origin`` nor ``Sec-Fetch-Site``.
WebSocket connections have to show a token, which no other website has.

Code and layers of functions are unpacked once (``unpacked``), where ``SEGUE_UNPACKED`` says.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from pathlib import Path
from types import ModuleType
from typing import Any

type Scope = MutableMapping[str, Any]
type Receive = Callable[[], Awaitable[Any]]
type Send = Callable[[Any], Awaitable[None]]
type App = Callable[[Scope, Receive, Send], Awaitable[None]]

UNPACKED = "SEGUE_UNPACKED"
"""Variable with the folder of unpacked archives."""

HOST = re.compile(r"(127(\.\d{1,3}){3}|\[::1\]|([a-z0-9.-]+\.)?(localhost|amazonaws\.com))(:\d+)?", re.IGNORECASE)
"""Names that no attacker's DNS can point to loopback."""


def refusal(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """Say why a request is refused; None if it may go on."""
    for name, value in headers:
        match name.lower():
            case b"origin":
                return "a website asks"
            case b"sec-fetch-site" if value not in {b"none", b"same-origin"}:
                return "another website asks"
            case b"host" if not HOST.fullmatch(value.decode("latin-1")):
                return "Host is no name of this machine's"
            case _:
                pass
    return None


def closed_to_websites(app: App) -> App:
    """Put the check before an application."""

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        reason = refusal(scope["headers"]) if scope["type"] == "http" else None
        if reason is None:
            await app(scope, receive, send)
            return
        body = f"refused: {reason}\n".encode()
        headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 403, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return guarded


def neighbour(name: str) -> ModuleType:
    """Import a module of this folder: the emulator's Python does not know the package."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    if spec is None or spec.loader is None:
        raise ImportError(f"no module {name} beside {__file__}: check out the sources anew", name=name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def unpack_once(folder: Path) -> None:
    """Have the emulator unpack what functions consist of into a folder, once."""
    unpacked = neighbour("unpacked")
    runtime: Any = importlib.import_module("ministack.core.lambda_runtime")
    runtime.zipfile = unpacked.zipfile_that_links(unpacked.Unpacked(folder))


def main() -> None:
    """Run the emulator."""
    if (folder := os.environ.pop(UNPACKED, None)) is not None:  # functions would inherit it
        unpack_once(Path(folder))
    emulator: Any = importlib.import_module("ministack.app")
    emulator.app = closed_to_websites(emulator.app)  # its ``main`` serves what stands there
    emulator.main()


if __name__ == "__main__":
    main()
