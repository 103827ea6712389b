"""The search for a successor when it fails, or when there is no time for it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from types import SimpleNamespace
from typing import Any

import pytest

from segue.wire.claims import Claim, ClientAddress, DirectAddress
from shared.background import first_of
from shared.registered_worker import RegisteredWorker
from tests.support.waiting import promptly
from tests.unit.worker.stand_ins import FakeQueue, address
from worker.direct.following import Following
from worker.hosting.drain import Drain
from worker.hosting.handoff import Handoff
from worker.hosting.successors import Promise

PEER = RegisteredWorker("w2", "http://w2", "token", "1", 5)


class Passed(SimpleNamespace):
    """A session between two turns. What it is asked to do fails by name."""

    def __init__(self) -> None:
        super().__init__(
            key="p/s", epoch=1, open=True, clients=(address(),), position=1, lost=False, ended=asyncio.Event(), stays=0
        )
        self.failing = ""
        self.refuses = False
        self.stops = 0
        self.turn = SimpleNamespace(at_boundary=True, boundary=self.nothing)

    async def nothing(self) -> None:
        """Nothing is waited for."""

    async def saved(self) -> None:
        if self.failing == "saved":
            raise ValueError(self.failing)

    async def spoken(self) -> None:
        if self.failing == "spoken" and self.refuses:
            raise ValueError(self.failing)

    async def stop(self) -> None:
        self.stops += 1

    async def settle(self) -> None:
        if self.failing == "settle":
            raise ValueError(self.failing)

    async def durable(self) -> None:
        if self.failing == "durable":
            raise ValueError(self.failing)

    async def release(self) -> bool:
        if self.failing == "release":
            raise ValueError(self.failing)
        return True

    def stay(self) -> None:
        self.stays += 1

    def refuse_frames(self) -> None:
        self.refuses = True

    def say_moved(self) -> None:
        """Nothing is sent."""


class Search:
    """Finds one worker, which has the session ready and does not take it; no other can be found."""

    def __init__(self) -> None:
        self.failing = ""
        self.hangs = ""
        self.asked: list[str] = []
        self.reached = asyncio.Event()
        self.cancelled: list[str] = []

    async def prepare(self, _claim: Claim, _again: Any = None) -> Promise:
        await self._ask("prepare")
        return Promise(PEER, 1)

    async def offer_claim(self, _peer: Any, _claim: Claim) -> bool:
        await self._ask("take")
        return False

    async def find_holder(self, _claim: Claim, *, avoid: str | None = None) -> None:
        assert avoid == PEER.endpoint
        await self._ask("give")

    async def _ask(self, what: str) -> None:
        self.asked.append(what)
        if self.failing == what:
            raise ValueError(what)
        if self.hangs == what:
            self.reached.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.cancelled.append(what)
                raise


class Parts:
    """A handoff with its surroundings."""

    def __init__(self) -> None:
        self.session, self.search, self.queue, self.hurry = Passed(), Search(), FakeQueue(), asyncio.Event()
        session: Any = self.session
        self.handoff = Handoff(session, self.search, self.queue, self._bounded, worker_id="w1", hurry=self.hurry)

    async def _bounded(self, work: Coroutine[Any, Any, Any], seconds: float) -> None:
        await first_of(work, self.hurry.wait(), timeout=seconds)

    def fail(self, what: str) -> None:
        self.session.failing = self.search.failing = what


@pytest.fixture
async def parts() -> Parts:
    return Parts()


@pytest.mark.parametrize("what", ["settle", "prepare", "durable"])
async def test_an_error_of_the_search_is_raised_and_the_session_stays(parts: Parts, what: str) -> None:
    parts.fail(what)
    with pytest.raises(ValueError, match=what):
        await promptly(parts.handoff.hand_over_if_ready())

    assert parts.session.stays == 1
    assert parts.queue.sent == []


@pytest.mark.parametrize("what", ["saved", "settle", "prepare"])
async def test_a_session_whose_search_fails_is_passed_on_by_the_queue_and_the_error_logged(
    parts: Parts, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    parts.fail(what)
    await promptly(parts.handoff.run())

    assert [one.reason for one in parts.queue.sent] == ["handoff"]
    assert "no successor was found" in caplog.text
    assert f"ValueError: {what}" in caplog.text


async def test_a_session_whose_last_words_cannot_be_waited_for_is_passed_on_and_the_error_logged(
    parts: Parts, caplog: pytest.LogCaptureFixture
) -> None:
    parts.fail("spoken")
    assert await promptly(parts.handoff.hand_over_if_ready())

    assert parts.search.asked == ["prepare", "take", "give"]
    assert len(parts.queue.sent) == 1
    assert "an answer was not waited for" in caplog.text
    assert "ValueError: spoken" in caplog.text


@pytest.mark.parametrize("way", ["run", "hand_over_if_ready"])
async def test_a_session_that_refuses_frames_and_cannot_be_passed_on_is_stopped(parts: Parts, way: str) -> None:
    parts.fail("release")
    with pytest.raises(ValueError, match="release"):
        await promptly(getattr(parts.handoff, way)())

    assert parts.session.stops == 1, "its lease is released: its clients' next frames find another holder"


async def test_a_preparation_that_is_not_waited_for_any_longer_is_given_up(parts: Parts) -> None:
    parts.search.hangs = "prepare"
    running = asyncio.create_task(parts.handoff.run())
    await promptly(parts.search.reached.wait())
    parts.hurry.set()
    await promptly(running)

    assert parts.search.cancelled == ["prepare"]
    assert len(parts.queue.sent) == 1


async def test_a_claim_that_is_not_taken_goes_to_another_worker_and_then_into_the_queue(parts: Parts) -> None:
    await promptly(parts.handoff.run())

    assert parts.search.asked == ["prepare", "take", "give"]
    assert len(parts.queue.sent) == 1


@pytest.mark.parametrize("since", ["take", "give"])
async def test_in_a_hurry_a_claim_that_is_not_taken_goes_straight_into_the_queue(parts: Parts, since: str) -> None:
    search = parts.search
    search.hangs = "give"
    if since == "take":
        ask = search._ask

        async def hurried(what: str) -> None:
            if what == "take":
                parts.hurry.set()
            await ask(what)

        search._ask = hurried  # type: ignore[method-assign]
    running = asyncio.create_task(parts.handoff.run())
    if since == "give":
        await promptly(search.reached.wait())
        parts.hurry.set()
    await promptly(running)

    assert len(parts.queue.sent) == 1
    assert search.asked == ["prepare", "take", *(["give"] if since == "give" else [])]


async def test_a_second_signal_hurries_the_search_of_a_drain(parts: Parts) -> None:
    parts.search.hangs = "give"
    draining = asyncio.create_task(drain(parts).run())
    await promptly(parts.search.reached.wait())
    parts.hurry.set()
    await promptly(draining)

    assert len(parts.queue.sent) == 1


def drain(parts: Parts, **others: Any) -> Drain:
    """A drain of a host with the one session; ``others`` are waits of the host's that do something."""
    nothing = parts.session.nothing
    host: Any = SimpleNamespace(
        sessions=(parts.session,),
        until_opened=others.get("until_opened", nothing),
        standbys=SimpleNamespace(clear=others.get("clear", nothing)),
    )
    claims: Any = SimpleNamespace(stop=parts.session.say_moved, stopped=nothing)
    return Drain(host, claims, parts.queue, parts.hurry, parts.search, "w1")


async def broken(*_: Any) -> None:
    raise ValueError("broken")


@pytest.mark.parametrize("where", ["before", "until_opened", "clear"])
async def test_a_wait_of_a_drain_that_fails_is_logged_and_keeps_no_session_here(
    parts: Parts, where: str, caplog: pytest.LogCaptureFixture
) -> None:
    leaving = drain(parts, **{where: broken})
    if where == "before":
        leaving.before = broken
    await promptly(leaving.run())

    assert [one.reason for one in parts.queue.sent] == ["handoff"]
    assert "ValueError: broken" in caplog.text


async def test_a_second_signal_hurries_a_session_that_follows_its_socket(parts: Parts) -> None:
    search: Any = parts.search

    async def at(_: str) -> RegisteredWorker:
        return PEER

    async def prepare_at(_: RegisteredWorker, claim: Claim) -> Promise:
        return await parts.search.prepare(claim)

    search.at, search.prepare_at, search.hangs = at, prepare_at, "give"
    there = DirectAddress(endpoint=PEER.endpoint, socket="s", secret="x")
    session: Any = parts.session
    session.clients = (ClientAddress(client_id="c", connection_id="direct-1", counter=1, direct=there),)
    session.handed_over_at = None
    following = Following(search, parts.queue, "http://w1", "w1", parts.hurry)
    following.opened(session)
    await promptly(search.reached.wait())
    following.stop()
    parts.hurry.set()
    await promptly(following.wait_until_settled(session))

    assert len(parts.queue.sent) == 1
