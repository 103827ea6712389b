"""The command line on a directory, whose sessions the library's own writer wrote."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from segue.cli.app import segue
from segue.journal.records import Record
from segue.lease.lease import Lease
from segue.session.runtime import Runtime
from segue.session.session import Session
from segue.storage.stores import Stores
from segue.strands.file import file_stores
from tests.support.sessions import KEPT
from tests.support.skipping_clock import skipping_clock  # noqa: F401 - a fixture
from tests.support.steady_clock import steady_clock  # noqa: F401 - a fixture

NOON = 1_790_683_200_000
"""2026-09-29, 12:00:00 UTC, in milliseconds since 1970."""

VARIABLES = ("BUCKET", "LOCK_TABLE", "PREFIX", "REGION", "ENDPOINT_URL", "PROFILE", "DIRECTORY", "PRINCIPAL")


@pytest.fixture(autouse=True)
def nothing_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(f"SEGUE_{name}", raising=False)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    folder = tmp_path / "sessions"
    folder.mkdir()
    return folder


@pytest.fixture
def stores(directory: Path) -> Stores:
    return file_stores(Runtime.shared(), directory)


Keep = Callable[..., Session]


@pytest.fixture
def keep(stores: Stores) -> Iterator[Keep]:
    """Commit groups of records to a session; ``stay`` to hold it, ``crash`` to leave it without a word."""
    held: list[Session] = []

    def kept(
        key: str,
        *commits: Sequence[Record],
        stay: bool = False,
        crash: bool = False,
        within: Stores | None = None,
        holder: str = "a worker",
    ) -> Session:
        async def written() -> Session:
            runtime, there = Runtime.shared(), within or stores
            lease = Lease(there.guard, key, settings=KEPT, holder=holder, clock=runtime.clock)
            session = Session(lease, there, runtime.heartbeats, runtime.clock)
            await session.open(timeout=0.0)
            for commit in commits:
                session.append(*commit)
                await session.durable()
            if crash:
                lease.forget()
            elif stay:
                held.append(session)
            else:
                await session.close()
            return session

        return Runtime.shared().run_sync(written())

    yield kept
    for session in held:
        Runtime.shared().run_sync(session.close())


def said(text: str, role: str = "user", *, kind: str = "message", key: str | None = None, at: int = NOON) -> Record:
    message = {"role": role, "content": [{"text": text}], "tracking_id": key or text}
    return Record(kind=kind, data={"message": message}, at=at)


@pytest.fixture(name="said")
def _said() -> Callable[..., Record]:
    """A record of a message; its tracking id is its text unless told."""
    return said


@pytest.fixture
def conversation() -> list[list[Record]]:
    """Five commits: an agent, a question, a tool call and its result, an answer."""
    use = {"toolUse": {"toolUseId": "t1", "name": "weather", "input": {"city": "Paris"}}}
    result = {"toolResult": {"toolUseId": "t1", "status": "success", "content": [{"text": "sunny"}]}}
    return [
        [Record(kind="agent", data={"class": "BidiAgent", "name": "Concierge"}, at=NOON)],
        [said("What is the weather in Paris?", at=NOON + 1_000)],
        [
            Record(
                kind="message",
                data={"message": {"role": "assistant", "content": [use], "tracking_id": "use"}},
                at=NOON + 2_000,
            ),
            Record(kind="tool", data={"tool_use_id": "t1", "name": "weather", "phase": "started"}, at=NOON + 2_000),
        ],
        [
            Record(
                kind="message",
                data={"message": {"role": "user", "content": [result], "tracking_id": "result"}},
                at=NOON + 3_000,
            ),
            Record(
                kind="tool",
                data={"tool_use_id": "t1", "name": "weather", "phase": "ended", "status": "success", "ms": 12},
                at=NOON + 3_000,
            ),
        ],
        [
            said("Sunny, all day.", "assistant", at=NOON + 4_000),
            Record(kind="state", data={"city": "Paris"}, at=NOON + 4_000),
        ],
    ]


Run = Callable[..., Result]


@pytest.fixture
def run(directory: Path) -> Run:
    """Run ``segue sessions …`` on the directory; says what went wrong if the exit code is another."""

    def ran(*arguments: str, code: int = 0, place: Sequence[str] | None = None, **options: Any) -> Result:
        where = ["--directory", str(directory)] if place is None else list(place)
        result = CliRunner().invoke(segue, ["sessions", arguments[0], *where, *arguments[1:]], **options)
        assert result.exit_code == code, (result.output, result.exception)
        assert result.exception is None or isinstance(result.exception, SystemExit)
        assert "Traceback" not in result.output
        return result

    return ran


@pytest.fixture
def facts(run: Run) -> Callable[..., Any]:
    """The same with ``--json``: what it printed."""

    def found(*arguments: str, **options: Any) -> Any:
        result = run(*arguments, "--json", **options)
        return json.loads(result.stdout)

    return found
