"""Clients of one hosted conversation: they come, reconnect, and leave."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from msgspec import Struct
from msgspec.json import decode as json_decode
from msgspec.structs import replace
from strands.hooks import MessageUpdatedEvent

from segue.wire.claims import DirectAddress, encode_claim
from segue.wire.frames import (
    AudioOutput,
    Bye,
    Error,
    FrameError,
    ImageInput,
    InputAck,
    OutputAck,
    Ready,
    Tool,
    Transcript,
)
from tests.support.memory_manager import Latch
from tests.support.scripted_model import answered, calling
from tests.support.waiting import eventually
from tests.unit.worker.stand_ins import address, claim, delivery, finals, hello, speech, text


async def test_a_reconnecting_client_is_told_again_what_it_missed(host, clients):
    hosting = await host()
    hosting.model.emit(answered("One."))
    await eventually(lambda: finals(clients) == ["One."])
    seen = clients.of("k1", Transcript)[-1].record
    clients.gone.add("k1")
    hosting.model.emit(answered("Two.", content_id="c2"))
    hosting.model.emit(calling("weather", "u1", city="Bern"))
    await eventually(lambda: hosting.session.clients == ())
    hosting.session.deliver(delivery(hello(seen, connection=2), connection_id="k2", counter=2))
    await eventually(lambda: finals(clients, "k2") == ["One.", "Two."] and len(clients.of("k2", Tool)) == 2)
    first = clients.posted["k2"][0]
    assert isinstance(first, Ready)
    assert first.since == seen
    assert first.seq > clients.posted["k1"][-1].seq, "numbering goes on"


async def test_output_that_all_clients_are_about_to_hear_is_not_repeated_to_a_new_one(host, clients):
    hosting = await host()
    hosting.model.emit(answered("One."))
    await eventually(lambda: finals(clients) == ["One."])
    await hosting.session.spoken()  # or else what is on its way goes over the next connection, too

    def reconnect(_: MessageUpdatedEvent[Any]) -> None:
        """Just when a message is recorded and its event has not come out yet."""
        hosting.session.deliver(delivery(hello(-1, connection=2), connection_id="k2", counter=2))

    hosting.agent.hooks.add_callback(MessageUpdatedEvent, reconnect, order=2_000_000)
    hosting.model.emit(answered("Two.", content_id="c2"))
    await eventually(lambda: hosting.session.turn.at_boundary and "Two." in finals(clients, "k2"))
    await hosting.session.spoken()
    assert finals(clients, "k2") == ["One.", "Two."]


async def with_an_answer_that_waits(host, clients, storage):
    """Open a session that has said one answer, and the next one waits for its commit."""
    hosting = await host()
    hosting.model.emit(answered("One."))
    await eventually(lambda: finals(clients) == ["One."])
    await hosting.session.spoken()  # or else what is on its way goes over the next connection, too
    storage.before = latch = Latch("commit")
    hosting.model.emit(answered("Two.", content_id="c2"))
    await latch.reached.wait()
    return hosting, latch


async def test_output_repeated_to_a_new_connection_is_durable(host, clients, storage):
    hosting, latch = await with_an_answer_that_waits(host, clients, storage)
    hosting.session.deliver(delivery(hello(-1, connection=2), connection_id="k2", counter=2))
    await asyncio.sleep(0)
    assert clients.posted["k2"] == []
    latch.go.set()
    await eventually(lambda: finals(clients, "k2") == ["One.", "Two."])


async def test_hellos_that_come_while_storage_hangs_are_answered_once(host, clients, storage):
    """A client says hello until it is answered. Each answer says the missed part of the history again."""
    hosting, latch = await with_an_answer_that_waits(host, clients, storage)
    hosting.session.deliver(delivery(text("x", 9), connection_id="k2", counter=2))  # of a hello that was overtaken
    for _ in range(20):
        hosting.session.deliver(delivery(hello(-1, connection=2), connection_id="k2", counter=2))
    assert len(hosting.session._output.gate._waiting) < 8
    latch.go.set()
    await eventually(lambda: len(clients.of("k2", Ready)) == 2)
    await hosting.session.spoken()
    assert [ready.since for ready in clients.of("k2", Ready)] == [None, -1]
    assert finals(clients, "k2")[-2:] == ["One.", "Two."]

    hosting.session.deliver(delivery(hello(-1, connection=2), connection_id="k2", counter=2))
    await eventually(lambda: len(clients.of("k2", Ready)) == 3)


async def test_output_repeated_to_a_new_connection_is_bounded_in_bytes(host, clients, monkeypatch):
    hosting = await host()
    for number in range(6):
        hosting.model.emit(answered(f"{number}." + "x" * 1000, content_id=f"c{number}"))
    await eventually(lambda: len(finals(clients)) == 6)
    await hosting.session.spoken()  # or else what is on its way goes over the next connection, too
    records = [frame.record for frame in clients.of("k1", Transcript) if frame.final]
    monkeypatch.setattr("worker.conversation.output.RETOLD_BYTES", 4000)
    hosting.session.deliver(delivery(hello(-1, connection=2), connection_id="k2", counter=2))
    await eventually(lambda: len(finals(clients, "k2")) == 3)
    await hosting.session.spoken()
    assert [frame.record for frame in clients.of("k2", Transcript)] == records[3:]
    assert clients.of("k2", Ready)[-1].since == records[3]

    monkeypatch.setattr("worker.conversation.output.RETOLD_BYTES", 10)
    hosting.session.deliver(delivery(hello(records[0], connection=3), connection_id="k3", counter=3))
    await eventually(lambda: finals(clients, "k3"))
    await hosting.session.spoken()
    assert [frame.record for frame in clients.of("k3", Transcript)] == records[5:], "one of any size is said"


async def test_bye_frees_input_that_waits_for_a_missing_number(host, clients):
    hosting = await host()
    intake = hosting.session._input._intake
    for seq in (1, 3, 4):
        hosting.session.deliver(delivery(text(f"{seq}", seq)))
    for part in ImageInput.split(bytes(50_000), "image/png")[:1]:
        hosting.session.deliver(delivery(part))
    await eventually(lambda: hosting.session._input._images._bytes)
    hosting.session.deliver(delivery(Bye(), connection_id="k0"))
    assert intake.progress("c1") == (1, (3, 4)), "the client is here on a newer connection"
    hosting.session.deliver(delivery(Bye()))
    assert intake.progress("c1") == (1, ())
    assert hosting.session._input._images._bytes == 0
    await eventually(lambda: hosting.model.texts == ["1"])


async def test_bye_frees_early_input_of_a_connection_already_found_gone(host, clients):
    hosting = await host()
    hosting.session.deliver(delivery(text("3", 3)))
    clients.gone.add("k1")
    hosting.model.emit(answered("One."))
    await eventually(lambda: hosting.session.clients == ())
    hosting.session.deliver(delivery(Bye()))
    assert hosting.session._input._intake.progress("c1") == (0, ())


async def test_a_successor_says_again_what_its_predecessor_recorded(host, clients):
    first = await host()
    first.model.emit(answered("One."))
    first.model.emit(calling("weather", "u1", city="Bern"))
    await eventually(lambda: len(clients.of("k1", Tool)) == 2)
    shown = [frame for frame in clients.posted["k1"] if getattr(frame, "record", None) is not None]
    await first.session.stop()
    second = await host(who=())
    second.session.deliver(delivery(hello(-1, connection=2), connection_id="k2", counter=2))
    await eventually(lambda: len(clients.of("k2", Tool)) == 2)
    again = [frame for frame in clients.posted["k2"] if getattr(frame, "record", None) is not None]
    assert [(type(a), a.record) for a in again] == [(type(a), a.record) for a in shown]


async def test_output_repeated_to_a_new_connection_is_bounded_in_frames(host, clients, monkeypatch):
    monkeypatch.setattr("worker.conversation.output.RETOLD_FRAMES", 2)
    hosting = await host()
    for number in range(4):
        hosting.model.emit(answered(f"Number {number}.", content_id=f"c{number}"))
    await eventually(lambda: len(finals(clients)) == 4)
    await hosting.session.spoken()  # or else what is on its way goes over the next connection, too
    records = [frame.record for frame in clients.of("k1", Transcript) if frame.final]
    hosting.session.deliver(delivery(hello(-1, connection=2), connection_id="k2", counter=2))
    await eventually(lambda: finals(clients, "k2") == ["Number 2.", "Number 3."])
    assert clients.of("k2", Ready)[0].since == records[2]


async def test_after_a_reconnect_nothing_more_goes_to_the_old_connection(host, clients):
    hosting = await host()
    slow = clients.hold("k1")
    hosting.model.emit(speech() for _ in range(5))
    await eventually(lambda: clients.of("k1", AudioOutput) and hosting.model._events.empty())
    hosting.session.deliver(delivery(hello(connection=2), connection_id="k2", counter=2))
    await eventually(lambda: clients.of("k2", Ready))
    slow.set()
    hosting.model.emit([speech()])
    await eventually(lambda: clients.posted["k2"] and clients.posted["k2"][-1].seq == 8)
    assert len(clients.of("k1", AudioOutput)) == 1
    audio_on = [frame.seq for key in ("k1", "k2") for frame in clients.of(key, AudioOutput)]
    (ready,) = clients.of("k2", Ready)
    others = [seq for seq in range(2, 9) if seq != ready.seq]
    assert sorted(set(audio_on)) == others, "what waited for the old connection goes over the new one"


async def test_a_farewell_on_an_old_connection_does_not_end_the_new_one(host, clients):
    hosting = await host(who=(address(counter=2, connection_id="new"),))
    hosting.session.deliver(delivery(Bye(), connection_id="old", counter=1))
    assert hosting.session.clients == (address(counter=2, connection_id="new"),)


async def test_an_older_connection_does_not_replace_a_newer_one(host, clients):
    hosting = await host(who=(address(counter=2, connection_id="new"),))
    with pytest.raises(FrameError) as refused:
        hosting.session.deliver(delivery(hello(connection=1), connection_id="old", counter=1))
    assert refused.value.code == "superseded"
    hosting.session.deliver(delivery(text("late", 1), connection_id="old", counter=1))
    await eventually(lambda: hosting.model.texts == ["late"])
    assert hosting.session.clients == (address(counter=2, connection_id="new"),)


async def test_a_client_that_was_not_announced_is_greeted_at_its_first_frame(host, clients):
    hosting = await host(who=())
    hosting.session.deliver(delivery(text("hi", 1), client_id="c9", connection_id="k9"))
    await eventually(lambda: clients.of("k9", InputAck))
    assert isinstance(clients.posted["k9"][0], Ready)


async def test_nothing_is_heard_before_ready(host, clients, storage):
    hosting = await host()
    storage.before = latch = Latch("commit")
    hosting.session.deliver(delivery(text("hi", 1)))
    await latch.reached.wait()
    hosting.session.deliver(delivery(hello(client_id="c2"), client_id="c2", connection_id="k2"))
    hosting.model.emit([speech()])
    await eventually(lambda: clients.of("k1", AudioOutput))
    assert clients.posted["k2"] == [], "its ready shows input that is not durable yet"
    latch.go.set()
    await eventually(lambda: clients.of("k2", Ready))
    assert isinstance(clients.posted["k2"][0], Ready)


async def test_a_claim_for_a_session_held_here_adds_its_clients(host, clients):
    hosting = await host()
    hosting.session.welcome((address("c2", "k2"), address()))
    await eventually(lambda: clients.of("k2", Ready) and len(clients.of("k1", Ready)) == 2)
    assert {client.client_id for client in hosting.session.clients} == {"c1", "c2"}


async def test_bye_and_gone_connections_leave_no_client(host, clients):
    hosting = await host(who=(address(), address("c2", "k2")))
    left = []
    hosting.session.on_clients = left.append
    hosting.session.deliver(delivery(Bye()))
    assert left == [True]
    clients.gone.add("k2")
    hosting.model.emit([speech()])
    await eventually(lambda: left[-1] is False)
    hosting.session.deliver(delivery(Bye(), connection_id="another"))
    assert hosting.session.clients == ()


class OldAddress(Struct, frozen=True, kw_only=True):
    """A client's address, as releases before the direct transport read it."""

    client_id: str
    connection_id: str
    counter: int


class OldClaim(Struct, frozen=True, kw_only=True):
    """The clients of a claim, as they read it."""

    clients: tuple[OldAddress, ...] = ()


async def test_an_earlier_release_takes_a_sockets_address_for_a_gone_connection(host, clients):
    """It reads no ``direct`` in a claim, and API Gateway knows no connection by that name: its other clients go on."""
    at = DirectAddress(endpoint="http://10.0.0.7:8080", socket="s1", secret="hush")
    body = encode_claim(claim("talk", address(), replace(address("c2", "direct-s1"), direct=at)))
    read = json_decode(body, type=OldClaim)
    hosting = await host(who=tuple(address(one.client_id, one.connection_id, one.counter) for one in read.clients))
    clients.gone.add("direct-s1")
    hosting.model.emit([speech()])
    await eventually(lambda: hosting.session.clients == (address(),))
    await eventually(lambda: clients.kinds("k1") == ["Ready", "AudioOutput"])


async def test_a_client_that_vanished_silently_is_found_out(host, clients, monkeypatch):
    monkeypatch.setattr("worker.conversation.audience.QUIET_SECONDS", 0.02)
    hosting = await host(who=(address(), address("c2", "k2")))
    clients.gone.add("k1")
    await eventually(lambda: hosting.session.clients == (address("c2", "k2"),))
    assert clients.kinds("k1") == ["Ready"], "no frame had to be posted to find the client gone"


async def test_ready_says_how_the_agent_hears_and_speaks(host, clients):
    await host()
    formats = clients.of("k1", Ready)[0].audio
    assert (formats.input.rate, formats.output.rate, formats.output.format) == (16000, 24000, "pcm")


async def test_a_hello_while_the_agent_starts_is_answered_after_it(host, clients):
    hosting = await host(start=False)
    starting = asyncio.create_task(hosting.session.start(()))
    hosting.session.deliver(delivery(hello(-1)))
    hosting.session.deliver(delivery(text("early", 1)))
    await starting
    await eventually(lambda: hosting.model.texts == ["early"] and clients.of("k1", Ready))
    assert clients.of("k1", Ready)[0].since == -1


async def test_acknowledgements_of_output_need_no_answer(host, clients):
    hosting = await host()
    hosting.session.deliver(delivery(OutputAck(epoch=1, seq=1)))
    hosting.session.deliver(delivery(text("hi", 1)))
    await eventually(lambda: clients.of("k1", InputAck))
    assert not clients.of("k1", Error)


@pytest.mark.parametrize(("holder", "told"), [("w1-3f2a", "w1-3f2a"), ("10.0.3.7:8080", None)])
async def test_a_client_is_told_which_worker_holds_its_session(host, clients, holder, told):
    await host(holder=holder)
    assert clients.of("k1", Ready)[0].holder == told
