"""Sessions that follow their sockets: which do, when, and to which worker."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from segue.wire.claims import ClientAddress, DirectAddress
from tests.support.waiting import eventually, promptly
from worker.direct import following as module
from worker.direct.following import TRIES, Following
from worker.direct.times import TransportTimes

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
            self.only = only
            found.append(only._endpoint)

        async def hand_over_if_ready(self) -> bool:
            return True

    monkeypatch.setattr(module, "Handoff", Handed)
    return found


class Room:
    """The other workers, some of them full."""

    def __init__(self) -> None:
        self.full: set[str] = set()
        self.looked: list[str] = []

    async def at(self, endpoint: str) -> str | None:
        self.looked.append(endpoint)
        return None if endpoint in self.full else endpoint


@pytest.fixture
def room() -> Room:
    return Room()


@pytest.fixture
def follow_with(room: Room) -> Callable[..., Following]:
    """Makes the following of a worker with time limits."""

    def make(**times: float) -> Following:
        return Following(room, None, HERE, "w1", times=TransportTimes(**times))  # type: ignore[arg-type]  # the handoff is a stand-in

    return make


@pytest.fixture
def following(follow_with: Callable[..., Following]) -> Following:
    return follow_with()


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_a_session_acquired_here_follows_its_socket_at_once(following: Following, went: list[str]) -> None:
    session = Session("http://there", None)
    following.hello(session, session.clients[0])
    await promptly(following.wait_until_settled(session))

    assert went == ["http://there"]


@pytest.mark.slow
async def test_a_session_that_was_handed_over_waits_and_follows_its_socket_then(
    follow_with: Callable[..., Following], went: list[str]
) -> None:
    following = follow_with(settled_seconds=0.2)
    session = Session("http://there", now())
    following.hello(session, session.clients[0])
    await asyncio.sleep(0)
    assert went == []
    session.clients = (client("http://elsewhere", 2),)
    following.hello(session, session.clients[0])
    await eventually(lambda: went)

    assert went == ["http://elsewhere"]


@pytest.mark.parametrize("end", ["drains", "ended", "came here"])
async def test_a_session_that_drains_ends_or_gets_its_client_back_does_not_follow(
    follow_with: Callable[..., Following], went: list[str], end: str
) -> None:
    session = Session("http://there", now())
    following = follow_with(settled_seconds=0.1 if end == "came here" else 3600.0)
    following.hello(session, session.clients[0])
    await asyncio.sleep(0)
    match end:
        case "drains":
            following.stop()
        case "ended":
            session.ended.set()
        case "came here":
            session.clients = (client(HERE, 2),)
    await promptly(following.wait_until_settled(session))

    assert went == []


async def test_a_session_opened_for_a_client_elsewhere_follows_without_a_hello(
    following: Following, went: list[str]
) -> None:
    session = Session("http://there", None)
    following.opened(session)
    following.hello(session, session.clients[0])
    await promptly(following.wait_until_settled(session))

    assert went == ["http://there"], "once for each connection"


async def test_a_session_opened_for_a_client_here_stays(following: Following, went: list[str]) -> None:
    session = Session(HERE, None)
    following.opened(session)
    await promptly(following.wait_until_settled(session))

    assert went == []


async def test_a_session_follows_when_the_worker_of_its_socket_has_room(
    follow_with: Callable[..., Following], room: Room, went: list[str]
) -> None:
    following = follow_with(room_look_seconds=0.01)
    room.full = {"http://there"}
    session = Session("http://there", None)
    following.opened(session)
    await eventually(lambda: len(room.looked) > 1)
    assert went == []
    room.full.clear()
    await promptly(following.wait_until_settled(session))

    assert went == ["http://there"]


async def test_a_session_that_waits_for_room_follows_its_next_socket_at_once(
    follow_with: Callable[..., Following], room: Room, went: list[str]
) -> None:
    following = follow_with(room_look_seconds=3600.0)
    room.full = {"http://there"}
    session = Session("http://there", None)
    following.opened(session)
    await eventually(lambda: room.looked)
    session.clients = (client("http://elsewhere", 2),)
    following.hello(session, session.clients[0])
    await promptly(following.wait_until_settled(session))

    assert went == ["http://elsewhere"]


@pytest.mark.parametrize("end", ["drains", "ended"])
async def test_a_session_waits_for_room_no_longer_than_it_can_follow(
    follow_with: Callable[..., Following], room: Room, went: list[str], end: str
) -> None:
    following = follow_with(room_look_seconds=3600.0)
    room.full = {"http://there"}
    session = Session("http://there", None)
    following.opened(session)
    await eventually(lambda: room.looked)
    if end == "drains":
        following.stop()
    else:
        session.ended.set()
    await promptly(following.wait_until_settled(session))

    assert went == []


@pytest.mark.parametrize(("refusals", "asked"), [(1, 2), (100, TRIES)])
async def test_a_worker_that_refuses_is_asked_again_and_not_for_ever(
    follow_with: Callable[..., Following], went: list[str], refusals: int, asked: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    following = follow_with(room_look_seconds=0.01)

    async def follow(self: Any) -> bool:
        self.only.refused = len(went) <= refusals
        return not self.only.refused

    monkeypatch.setattr(module.Handoff, "hand_over_if_ready", follow)
    session = Session("http://there", None)
    following.opened(session)
    await promptly(following.wait_until_settled(session))

    assert went == ["http://there"] * asked


@pytest.mark.parametrize("tries", [1, TRIES], ids=["not ready in time", "refused"])
async def test_a_hello_elsewhere_during_the_last_try_is_followed_after_it(
    follow_with: Callable[..., Following], went: list[str], tries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    following = follow_with(room_look_seconds=0.01)
    trying, tried = asyncio.Event(), asyncio.Event()

    async def follow(self: Any) -> bool:
        self.only.refused = tries > 1 and went[-1] == "http://there"
        if went == ["http://there"] * tries:
            trying.set()
            await tried.wait()
            # No turn boundary came in time, or the worker has refused for the last time.
        return False

    monkeypatch.setattr(module.Handoff, "hand_over_if_ready", follow)
    session = Session("http://there", None)
    following.hello(session, session.clients[0])
    await promptly(trying.wait())
    session.clients = (client("http://elsewhere", 2),)
    following.hello(session, session.clients[0])
    tried.set()
    await promptly(following.wait_until_settled(session))

    assert went == ["http://there"] * tries + ["http://elsewhere"]


async def test_a_session_not_ready_in_time_is_not_asked_again_for_the_same_connection(
    following: Following, went: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def follow(_: Any) -> bool:
        return False

    monkeypatch.setattr(module.Handoff, "hand_over_if_ready", follow)
    session = Session("http://there", None)
    for _ in range(2):
        following.hello(session, session.clients[0])
        await promptly(following.wait_until_settled(session))

    assert went == ["http://there"]


@pytest.mark.parametrize("first", ["full", "refuses"])
async def test_a_session_follows_to_the_worker_that_has_room(
    follow_with: Callable[..., Following], room: Room, went: list[str], first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    following = follow_with(room_look_seconds=0.01)
    if first == "full":
        room.full = {"http://a"}

    async def follow(self: Any) -> bool:
        self.only.refused = went[-1] == "http://a"
        return not self.only.refused

    monkeypatch.setattr(module.Handoff, "hand_over_if_ready", follow)
    session = Session("http://a", None)
    session.clients = (client("http://a", 1), client("http://b", 2))
    following.opened(session)
    await eventually(lambda: "http://b" in went)
    await promptly(following.wait_until_settled(session))

    assert went == (["http://b"] if first == "full" else ["http://a", "http://b"])
