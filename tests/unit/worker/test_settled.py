"""Silence that is settled: acknowledged once storage has it, without a record for each."""

from __future__ import annotations

from typing import Any

import pytest

from segue.lease.item import GuardItem, Known
from segue.storage.interface import ConditionalWrite
from segue.wire.frames import InputAck, Ready
from tests.support.memory_manager import Hang
from tests.support.waiting import eventually
from tests.unit.worker.stand_ins import address, audio, delivery, text


@pytest.fixture(autouse=True)
def paced(monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker's sessions settle silence at once."""
    monkeypatch.setattr("worker.conversation.session.SETTLE_SECONDS", 0.01)
    monkeypatch.setattr("worker.conversation.input.unanswered_audio.SILENCE_SECONDS", 0.0)


def acknowledged(clients: Any, connection: str = "k1") -> int:
    return max((ack.upto for ack in clients.of(connection, InputAck)), default=0)


async def test_silence_is_acknowledged_and_makes_no_record(host, clients, storage):
    hosting = await host()
    await hosting.manager.durable()
    head = hosting.manager.head
    for seq in range(1, 6):
        hosting.session.deliver(delivery(audio(seq, sample=0)))
        await eventually(lambda upto=seq: acknowledged(clients) == upto)
    puts = [what for operation, what in storage.requests if operation == "put"]
    assert head == hosting.manager.head, "what the agent begins with is all that was recorded"
    assert len(puts) == 1
    item = GuardItem.parse(await storage.guard.read("default/talk") or {})
    assert item.inputs == {"c1": Known(5)}


async def test_settled_input_is_acknowledged_once_storage_has_it(host, clients, storage):
    """Neither by an acknowledgement nor by the ``ready`` of another connection: a client would forget its audio."""
    hosting = await host()
    hosting.session.deliver(delivery(audio(1, sample=0)))
    await eventually(lambda: acknowledged(clients) == 1)
    sent: list[Any] = []
    hang = Hang("beat")

    async def hold(operation: str, what: Any) -> None:
        if isinstance(what, ConditionalWrite) and "inputs" in what.assign and "head" not in what.assign:
            sent.append(what)
            await hang(operation, what)

    storage.before = hold
    hosting.session.deliver(delivery(audio(2, sample=0)))
    await eventually(lambda: sent)
    hosting.session.welcome((address(connection_id="k2", counter=2),))
    await eventually(lambda: clients.of("k2", Ready))
    assert clients.of("k2", Ready)[-1].known == Known(1)
    assert acknowledged(clients) == 1
    hang.end()
    await eventually(lambda: acknowledged(clients, "k2") == 2)


async def test_settled_silence_and_a_text_are_in_one_order(host, clients):
    hosting = await host()
    for seq in range(1, 4):
        hosting.session.deliver(delivery(audio(seq, sample=0)))
    hosting.session.deliver(delivery(text("hello", 4)))
    hosting.session.deliver(delivery(audio(5, sample=0)))
    await eventually(lambda: acknowledged(clients) == 5)
    assert hosting.model.texts == ["hello"]
    assert hosting.manager.inputs["c1"] == Known(5)
