"""Redeploys and crashes of real workers under a conversation: nothing lost or doubled, and how long the gap is."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import statistics
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from segue.wire.claims import Claim
from segue.wire.frames import Ready
from tests.integration.fatal_claim import Door
from tests.integration.fleet import Client, Fleet, fleet
from tests.support.stage import Stage
from tests.support.waiting import eventually

pytestmark = [pytest.mark.emulator, pytest.mark.timeout(300)]

SESSIONS = int(os.environ.get("SEGUE_TEST_SESSIONS", "8"))
REDEPLOYS = int(os.environ.get("SEGUE_TEST_REDEPLOYS", "2"))
"""More of both are for a run of their own, which also tells the gap: pytest -s prints it."""

LONG_LEASE = {"SEGUE_LEASE_SECONDS": "600"}
"""Longer than a test may take: what changes hands within it was released, or taken over on evidence."""


@pytest.fixture
async def world(emulated: Stage, tmp_path: Path) -> AsyncIterator[Fleet]:
    async with fleet(emulated, tmp_path) as made:
        yield made


@pytest.fixture
async def clients(world: Fleet) -> AsyncIterator[list[Client]]:
    made = [Client(number) for number in range(SESSIONS)]
    serving = [asyncio.create_task(world.serve(client)) for client in made]
    yield made
    for task in serving:
        task.cancel()
    for result in await asyncio.gather(*serving, return_exceptions=True):
        assert isinstance(result, asyncio.CancelledError), result


def said_by(role: str, client: Client) -> list[str]:
    return [one.text for one in client.finals if one.role == role]


async def talk(clients: list[Client], turns: int) -> None:
    """Have each client say something, and wait for the answers."""
    before = [len(said_by("assistant", client)) for client in clients]
    for turn in range(turns):
        for client, answered in zip(clients, before, strict=True):
            client.say(f"repeat after me: {client.number} {answered + turn}.")
        for client, answered in zip(clients, before, strict=True):
            await eventually(lambda c=client, n=answered + turn: len(said_by("assistant", c)) > n, 60)


async def until_ended(world: Fleet, name: str) -> None:
    await eventually(lambda: world.processes[name].returncode is not None, 100)
    assert world.processes[name].returncode == 0, world.log(name)[-2000:]


async def test_redeploys_leave_a_gap_that_callers_do_not_notice(world: Fleet, clients: list[Client]) -> None:
    """None waits for a lease to run out, and none is restored in the gap. Its length is what the benchmarks measure."""
    await world.start("w0", "0", **LONG_LEASE)
    await talk(clients, 2)
    # The next worker would take a claim that was posted before this one was there, and have the session unprepared.
    await eventually(lambda: world.claims_in_the_queue() == 0)
    gaps: list[float] = []
    for number in range(1, REDEPLOYS + 1):
        await world.start(f"w{number}", str(number), **LONG_LEASE)
        before = [client.epoch for client in clients]
        world.signal(f"w{number - 1}", signal.SIGTERM)
        await until_ended(world, f"w{number - 1}")
        for client, epoch in zip(clients, before, strict=True):
            await eventually(lambda c=client, e=epoch: c.epoch > e)
        gaps += [client.gap(epoch) for client, epoch in zip(clients, before, strict=True)]
        await talk(clients, 1)
    for client in clients:
        assert said_by("assistant", client) == [f"{client.number} {turn}." for turn in range(2 + REDEPLOYS)]
        assert not client.pending
    opened = [line for number in range(1, REDEPLOYS + 1) for line in lines(world, f"w{number}", "session opened")]
    assert len(opened) == SESSIONS * REDEPLOYS, "each goes over once, to the newest"
    assert all(line["prepared"] for line in opened), "none is restored in the gap"
    gaps.sort()
    print(
        f"\nplanned handoff, {len(gaps)} sessions: p50 {statistics.median(gaps) * 1000:.0f} ms,"
        f" p99 {gaps[min(len(gaps) - 1, int(len(gaps) * 0.99))] * 1000:.0f} ms"
    )


def lines(world: Fleet, name: str, message: str) -> list[dict[str, Any]]:
    found = []
    for line in world.log(name).splitlines():
        with contextlib.suppress(ValueError):
            found.append(json.loads(line))
    return [line for line in found if line.get("message") == message]


async def test_a_worker_killed_in_the_middle_of_its_handoffs_loses_nothing(world: Fleet, clients: list[Client]) -> None:
    await world.start("old", "1")
    await talk(clients, 1)
    await world.start("new", "2")
    before = [client.epoch for client in clients]
    world.signal("old", signal.SIGTERM)
    await eventually(lambda: any(c.epoch > e for c, e in zip(clients, before, strict=True)), 60)
    world.signal("old", signal.SIGKILL)
    await talk(clients, 2)
    for client in clients:
        assert said_by("assistant", client) == [f"{client.number} {turn}." for turn in range(3)]
        item = world.item(client)
        assert item is not None
        assert item.holder == "new"


async def test_a_text_whose_holder_is_killed_before_the_answer_is_answered_once(
    world: Fleet, clients: list[Client]
) -> None:
    (client, *_) = clients
    await world.start("old", "1", pace=1.0)
    await eventually(lambda: all(one.of(Ready) for one in clients), 60)
    await world.start("new", "2")  # first: it takes as long as it takes, and the counting does not wait for it
    client.say("please count to 100")
    await eventually(lambda: client.acknowledged == 1, 30)
    assert said_by("assistant", client) == [], "the agent is still speaking, so there is no final transcript"
    world.kill("old")
    assert world.tell_stopped("old") == len(clients), "the client sends nothing that would reveal it"
    await eventually(lambda: said_by("assistant", client), 60)
    heard = [json.loads(line) for line in world.ledger.read_text().splitlines()]
    workers = [one["worker"] for one in heard if one["event"] == "heard" and one["text"] == "please count to 100"]
    assert workers == ["old", "new"]
    client.say("how many messages do you remember")
    await eventually(lambda: len(said_by("assistant", client)) == 2, 30)
    assert said_by("assistant", client)[1] == "I remember 2 messages.", "one question, one answer"


async def test_a_holder_that_is_stopped_is_replaced_on_evidence_and_finds_itself_fenced(
    world: Fleet, clients: list[Client]
) -> None:
    await world.start("old", "1", **LONG_LEASE)
    await talk(clients, 1)
    await world.start("new", "2", **LONG_LEASE)
    before = [client.epoch for client in clients]
    world.signal("old", signal.SIGSTOP)
    stopped_at = time.monotonic()
    await talk(clients, 1)
    assert {holder(world, client) for client in clients} == {"new"}
    assert {line["holder"] for line in lines(world, "new", "holder is hung")} == {"old"}
    ready = [
        min(at for at, frame in client.received if isinstance(frame, Ready) and (frame.epoch or 0) > epoch)
        for client, epoch in zip(clients, before, strict=True)
    ]
    print(f"\nfrom SIGSTOP to ready, {len(ready)} sessions: {max(ready) - stopped_at:.1f} s at most")
    world.signal("old", signal.SIGCONT)
    await eventually(lambda: len(lines(world, "old", "session ended")) == len(clients), 60)
    await account(clients, 2)


async def account(clients: list[Client], turns: int) -> None:
    """Everything that was said so far was acknowledged, and answered and recorded once."""
    for client in clients:
        client.say("how many messages do you remember")
    for client in clients:
        expected = [*(f"{client.number} {turn}." for turn in range(turns)), f"I remember {2 * turns} messages."]
        await eventually(lambda c=client: len(said_by("assistant", c)) > turns, 60)
        assert said_by("assistant", client) == expected
        await eventually(lambda c=client: not c.pending)


async def test_two_workers_that_are_stopped_at_once_leave_all_to_the_one_that_comes_later(
    world: Fleet, clients: list[Client]
) -> None:
    for name in ("left", "right"):
        await world.start(name, "1", SEGUE_CAPACITY=str(SESSIONS - 2))
    await talk(clients, 2)
    held = Counter(holder(world, client) for client in clients)
    assert min(held["left"], held["right"]) >= 2
    for name in ("left", "right"):
        world.signal(name, signal.SIGTERM)
    talking = asyncio.create_task(talk(clients, 2))
    for name in ("left", "right"):
        await until_ended(world, name)
    assert world.registered() == {}
    assert not any(item.held for client in clients if (item := world.item(client)) is not None)
    await world.start("third", "1")
    await talking
    await account(clients, 4)
    assert {holder(world, client) for client in clients} == {"third"}
    assert len(lines(world, "third", "session opened")) == SESSIONS


@pytest.mark.parametrize(
    ("prepare", "status"), [(True, 200), (False, 202)], ids=["it is ready", "it has said that it takes the session"]
)
async def test_a_successor_that_dies_in_the_middle_is_replaced(
    world: Fleet, clients: list[Client], unused_tcp_port: int, prepare: bool, status: int
) -> None:
    def is_fatal(claim: Claim, answered: int) -> bool:
        return claim.reason == "handoff" and claim.prepare is prepare and answered == status

    await world.start("old", "1")
    await talk(clients, 2)
    await world.start("other", "2")
    async with Door(unused_tcp_port, is_fatal, lambda: world.kill("new")) as door:
        await world.start("new", "3", SEGUE_WORKER_ENDPOINT=door.endpoint, SEGUE_WORKER_PORT=str(unused_tcp_port))
        world.signal("old", signal.SIGTERM)
        await talk(clients, 2)
        await until_ended(world, "old")
        assert door.fatal is not None, "the worker was asked, and died of its answer"
        await account(clients, 4)
    assert {holder(world, client) for client in clients} == {"other"}
    assert not lines(world, "new", "session ended"), "a worker that dies logs no end of a session"


def holder(world: Fleet, client: Client) -> str | None:
    item = world.item(client)
    return item.holder if item is not None and item.held else None
