"""Clients' own sockets at whole workers: conversations, redeployments, sessions that follow their socket."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Self

import msgspec
import pytest

from local.workers.balancer import Balancer, Target
from segue.client import Client
from segue.wire.frames import (
    Bye,
    Error,
    Ready,
    Reconnect,
    TextInput,
    Transcript,
)
from shared.ingress.default_limits import FRAME_BURST, FRAMES_PER_SECOND, SESSIONS_PER_PRINCIPAL
from tests.support.waiting import eventually, promptly
from tests.unit.worker.direct_workers import Workers, hello
from worker.conversation.session import HostedSession
from worker.direct.times import TransportTimes
from worker.direct.transport import DirectTransport
from worker.settings import Environment


@pytest.mark.slow
async def test_a_caller_talks_with_the_worker_it_is_connected_to(workers: Workers) -> None:
    await workers.start("w1")
    caller = await workers.connect("w1")
    assert caller.ws.protocol == "segue.v1"
    await caller.say(hello(binary=True))
    await eventually(lambda: caller.of(Ready))
    assert {"direct", "binary"} <= set(caller.of(Ready)[0].features)
    await caller.say(TextInput(text="repeat after me: hello there.", seq=1))
    await eventually(lambda: caller.heard)
    assert caller.heard == ["hello there."]
    assert caller.binary > 0
    assert workers.item().holder == "w1"


@pytest.mark.slow
async def test_frames_go_to_a_holder_elsewhere_and_its_output_comes_back(workers: Workers) -> None:
    await workers.start("w1")
    first = await workers.connect("w1")
    await first.say(hello())
    await eventually(lambda: first.of(Ready))
    await workers.start("w2")
    second = await workers.connect("w2")
    await second.say(hello(client_id="c2", modality="text"))  # no text function is asked
    await eventually(lambda: second.of(Ready))
    await second.say(TextInput(text="repeat after me: from afar.", seq=1))
    await eventually(lambda: second.heard and first.heard)
    assert first.heard == second.heard == ["from afar."]
    assert workers.item().holder == "w1", "worker w1 has a socket of the session, and keeps it"
    workers.services["w2"].stop.set()
    await eventually(lambda: second.of(Reconnect))
    await second.say(TextInput(text="repeat after me: until the end.", seq=2))
    await eventually(lambda: second.heard == ["from afar.", "until the end."])
    workers.services["w2"].hurry.set()
    await eventually(lambda: second.ws.close_code == 1012)
    assert not first.of(Reconnect), "the first client's worker stays"


class Talk:
    """Clients of the library behind the local stack's balancer, and the answers that each has shown."""

    def __init__(self, workers: Workers, count: int) -> None:
        self.workers = workers
        self.heard: list[list[str]] = [[] for _ in range(count)]
        self.said = 0
        self._balancer = Balancer(self._targets)
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self._balancer.start()
        self._stack.push_async_callback(self._balancer.stop)
        self._clients = [await self._client(number) for number in range(len(self.heard))]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def turn(self) -> None:
        """Have each client say something, and wait for the answers."""
        for number, client in enumerate(self._clients):
            await client.send_text(f"repeat after me: {number} {self.said}.")
        self.said += 1
        await eventually(lambda: all(len(words) >= self.said for words in self.heard), 60)

    async def _client(self, number: int) -> Client:
        client = Client(self._balancer.url, session=f"talk{number}", token=self.workers.issuer.token)
        await self._stack.enter_async_context(client)
        listening = asyncio.create_task(self._listen(number, client))
        self._stack.callback(listening.cancel)
        return client

    async def _listen(self, number: int, client: Client) -> None:
        async for event in client.events():
            if isinstance(event, Transcript) and event.final and event.role == "assistant":
                self.heard[number].append(event.text)

    def _targets(self) -> list[Target]:
        running = {name: one for name, one in self.workers.services.items() if not self.workers.running[name].done()}
        return [
            Target(name, port, one._status.draining)
            for name, one in running.items()
            if (port := one._status.sockets_port) is not None
        ]


@pytest.mark.slow
async def test_clients_go_through_redeployments_and_dead_sockets_without_losing_or_doubling_a_word(
    workers: Workers,
) -> None:
    await workers.start("w1")
    async with Talk(workers, 3) as talk:
        await talk.turn()
        for leaving, coming in (("w1", "w2"), ("w2", "w3")):
            await workers.start(coming, SEGUE_WORKER_VERSION=coming[1:])
            workers.services[leaving].stop.set()
            while not workers.running[leaving].done():
                await talk.turn()
            await talk.turn()
        assert len(workers.services["w3"]._sockets) == 3
        for socket in workers.services["w3"]._sockets.all():
            socket._transport.abort()  # as if a router had dropped them all
        await talk.turn()
    assert talk.heard == [[f"{number} {turn}." for turn in range(talk.said)] for number in range(3)]


def test_a_sockets_limits_are_those_of_the_gateway() -> None:
    limits = {each.name: each.default for each in msgspec.structs.fields(Environment)}
    assert limits["sessions_per_principal"] == SESSIONS_PER_PRINCIPAL
    assert limits["frames_per_second"] == FRAMES_PER_SECOND
    assert limits["frame_burst"] == FRAME_BURST


@pytest.mark.slow
async def test_a_session_goes_to_where_its_socket_is_between_two_turns(workers: Workers) -> None:
    await workers.start("w1")
    first = await workers.connect("w1")
    await first.say(hello())
    await eventually(lambda: first.of(Ready))
    await first.say(TextInput(text="repeat after me: one.", seq=1))
    await eventually(lambda: first.heard)
    await workers.start("w2")
    second = await workers.connect("w2")  # the same client, as after a network's change
    await second.say(hello(2, last_record=first.of(Ready)[0].head - 1))
    await eventually(lambda: workers.item().holder == "w2", 60)
    await first.ws.close()
    await second.say(TextInput(text="repeat after me: two.", seq=2))
    await eventually(lambda: "two." in second.heard)
    assert [one.holder for one in second.of(Ready)][-1] == "w2"
    assert workers.services["w1"]._sockets.full is False


@pytest.mark.slow
async def test_a_worker_that_ends_asks_its_clients_to_go_over_and_then_closes_what_is_left(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited, gone_over = [], DirectTransport.gone_over

    async def noted(transport: DirectTransport, session: HostedSession) -> None:
        waited.append((session.key.partition("/")[2], session.open))
        await gone_over(transport, session)

    monkeypatch.setattr(DirectTransport, "gone_over", noted)
    await workers.start("w1", TransportTimes(last_seconds=600.0))
    moving, staying = await workers.connect("w1"), await workers.connect("w1")
    await moving.say(hello(session="moving"))
    await staying.say(hello(session="staying"))
    await eventually(lambda: moving.of(Ready) and staying.of(Ready))
    await workers.start("w2", SEGUE_WORKER_VERSION="1")
    workers.services["w1"].stop.set()
    await eventually(lambda: moving.of(Reconnect) and staying.of(Reconnect))
    late = await workers.http.ws_connect(f"http://127.0.0.1:{workers.port('w1')}/", protocols=("segue.v1",))
    assert (await promptly(late.receive(), 10)).data == 1013
    beside = await workers.connect("w2")
    await beside.say(hello(2, session="moving"))
    await eventually(lambda: beside.of(Ready))
    await moving.ws.close()
    await beside.say(TextInput(text="repeat after me: here.", seq=1))
    await eventually(lambda: beside.heard == ["here."], 60)
    await eventually(lambda: workers.item("moving").holder == "w2", 60)
    # The other one does not know `reconnect`: its session goes over, its frames too, and at the end it is told.
    await eventually(lambda: workers.item("staying").holder == "w2", 60)
    while not staying.heard:
        await staying.say(TextInput(text="repeat after me: still.", seq=1))
        await asyncio.sleep(0.1)
    assert staying.heard == ["still."]
    assert sorted(waited) == [("moving", True), ("staying", True)], "no session goes before its clients could"
    workers.services["w1"].hurry.set()
    await promptly(workers.running["w1"], 60)
    await eventually(lambda: staying.ws.close_code == 1012)
    assert not [one for one in staying.of(Error) if not one.retryable]


@pytest.mark.slow
async def test_a_worker_without_room_passes_the_claim_on_and_forwards_until_it_has_room(
    workers: Workers,
) -> None:
    await workers.start("w1", TransportTimes(room_look_seconds=1.0), SEGUE_CAPACITY="1", SEGUE_LINGER_SECONDS="0")
    first = await workers.connect("w1")
    await first.say(hello(session="first"))
    await eventually(lambda: first.of(Ready))
    await workers.start("w2")
    second = await workers.connect("w1")
    await second.say(hello(session="second"))
    await eventually(lambda: second.of(Ready), 60)
    assert workers.item("second").holder == "w2"
    await second.say(TextInput(text="repeat after me: far.", seq=1))
    await eventually(lambda: second.heard == ["far."])
    await first.say(Bye())
    await eventually(lambda: workers.item("second").holder == "w1", 60)
    await second.say(TextInput(text="repeat after me: near.", seq=2))
    await eventually(lambda: second.heard == ["far.", "near."])


@pytest.mark.slow
async def test_another_principal_of_the_same_session_id_has_another_session(workers: Workers) -> None:
    await workers.start("w1")
    alice, bob = await workers.connect("w1"), await workers.connect("w1", subject="bob")
    for caller in (alice, bob):
        await caller.say(hello())
    await eventually(lambda: alice.of(Ready) and bob.of(Ready))
    await alice.say(TextInput(text="repeat after me: secret.", seq=1))
    await eventually(lambda: alice.heard)
    assert bob.heard == []
    assert len(workers.services["w1"]._sockets) == 2
