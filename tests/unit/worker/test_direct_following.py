"""A session that was handed over a moment ago stays for a while before it follows its socket."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from segue.wire.claims import ClientAddress, DirectAddress
from tests.support.waiting import eventually, promptly
from worker.direct import following as module
from worker.direct.following import Following

HERE = "http://here"


def client(endpoint: str, connection: int) -> ClientAddress:
    direct = DirectAddress(endpoint=endpoint, socket="s", secret="x")
    return ClientAddress(client_id="c", connection_id=f"direct-{connection}", counter=connection, direct=direct)


class Session(SimpleNamespace):
    """A session whose client has its socket somewhere."""

    def __init__(self, endpoint: str, handed_over_at: float | None) -> None:
        super().__init__(
            key="p/s", epoch=1, clients=(client(endpoint, 1),), ended=asyncio.Event(), handed_over_at=handed_over_at
        )

    @property
    def open(self) -> bool:
        return not self.ended.is_set()


@pytest.fixture
def went(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Addresses that sessions were handed over to."""
    found: list[str] = []

    class Handed:
        def __init__(self, _: Any, only: Any, *__: Any, **___: Any) -> None:
            found.append(only._endpoint)

        async def follow(self) -> bool:
            return True

    monkeypatch.setattr(module, "Handoff", Handed)
    return found


@pytest.fixture
def following() -> Following:
    return Following(None, None, HERE, "w1")  # type: ignore[arg-type]  # the handoff is a stand-in


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_one_that_was_acquired_here_goes_at_once(following: Following, went: list[str]) -> None:
    session = Session("http://there", None)
    following.hello(session, session.clients[0])
    await promptly(following.settled(session))

    assert went == ["http://there"]


async def test_one_that_has_just_come_waits_and_goes_to_where_its_socket_is_then(
    following: Following, went: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SETTLED_SECONDS", 0.2)
    session = Session("http://there", now())
    following.hello(session, session.clients[0])
    await asyncio.sleep(0)
    assert went == []
    session.clients = (client("http://elsewhere", 2),)
    following.hello(session, session.clients[0])
    await eventually(lambda: went)

    assert went == ["http://elsewhere"]


@pytest.mark.parametrize("end", ["drains", "ended", "came here"])
async def test_what_happens_meanwhile_keeps_it(
    following: Following, went: list[str], end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = Session("http://there", now())
    monkeypatch.setattr(module, "SETTLED_SECONDS", 0.1 if end == "came here" else 3600.0)
    following.hello(session, session.clients[0])
    await asyncio.sleep(0)
    match end:
        case "drains":
            following.stop()
        case "ended":
            session.ended.set()
        case "came here":
            session.clients = (client(HERE, 2),)
    await promptly(following.settled(session))

    assert went == []
