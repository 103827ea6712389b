"""A client that goes over to a newer connection while it is spoken to."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from segue.lease.item import Known
from segue.wire.frames import AudioOutput, Ready, TextOutput
from segue.wire.output import OutputOrder
from tests.support.waiting import eventually, promptly
from tests.unit.worker.stand_ins import address, turns
from worker.aws.poster import PostOutcome
from worker.conversation.audience import SOUNDS, Arrival, Audience

OLD, NEW = address(connection_id="old", counter=1), address(connection_id="new", counter=2)


def ready() -> Ready:
    return Ready(session="talk", known=Known(), history=0, head=0)


def speech(number: int) -> AudioOutput:
    return AudioOutput(audio=f"{number:08d}", rate=24000)


def heard(clients, *connections):
    """Return a client's frames from several connections, by the protocol's own order."""
    order, frames = OutputOrder(), []
    for connection in connections:
        for frame in clients.posted[connection]:
            frames += order.offer(frame, 0.0)
    return [frame for frame in frames if not isinstance(frame, Ready)]


async def may_speak():
    return True


@pytest.fixture
async def audience(clients):
    made = Audience(7, clients, may_speak)
    made.add_client(OLD)
    made.send(ready())
    await eventually(lambda: clients.of("old", Ready))
    await made.drained()
    yield made
    made.silence()
    await turns(3)


async def test_waiting_frames_go_over_the_newer_connection_once_and_in_order(audience, clients):
    clients.hold("old")
    said = [speech(1), TextOutput(text="two", record=2), speech(3), TextOutput(text="four", record=4)]
    for frame in said[:1]:
        audience.send(frame)
    await eventually(lambda: clients.of("old", AudioOutput))  # on its way: it may arrive, or not
    for frame in said[1:]:
        audience.send(frame)
    assert audience.add_client(NEW) is Arrival.NEW
    audience.send(speech(5))  # spoken before the ``ready`` of the newer connection
    audience.send(ready())
    await promptly(audience.drained(), 5)
    numbers = [frame.seq for frame in clients.posted["new"]]
    assert numbers == [2, 3, 4, 5, 6, 7], "what was on its way keeps its number, and nothing is missing"
    assert [type(frame) for frame in heard(clients, "old", "new")] == [
        AudioOutput,
        TextOutput,
        AudioOutput,
        TextOutput,
        AudioOutput,
    ]
    assert clients.kinds("old") == ["Ready", "AudioOutput"]


async def test_frames_that_a_hello_brings_again_are_not_moved_but_audio_is(audience, clients):
    clients.hold("old")
    audience.send(speech(1))
    await eventually(lambda: clients.of("old", AudioOutput))
    for frame in (TextOutput(text="two", record=2), speech(3), ready()):
        audience.send(frame)
    audience.add_client(NEW, retold=True)
    for frame in (TextOutput(text="four", record=4), speech(5), ready(), TextOutput(text="two", record=2)):
        audience.send(frame)
    await promptly(audience.drained(), 5)
    assert clients.kinds("new") == ["AudioOutput"] * 3 + ["Ready", "TextOutput"]


async def test_delivered_frames_are_not_sent_over_the_newer_connection(audience, clients):
    audience.send(speech(1))
    await audience.drained()
    audience.add_client(NEW)
    audience.send(speech(2))
    await promptly(audience.drained(), 5)
    assert [frame.audio for frame in clients.of("old", AudioOutput)] == [speech(1).audio]
    assert [frame.audio for frame in clients.of("new", AudioOutput)] == [speech(2).audio]


async def test_a_pause_after_a_429_is_not_lost_with_its_message(audience, clients):
    clients.answers["old"].extend([PostOutcome.LIMITED] * 100)
    audience.send(speech(1))
    await eventually(lambda: clients.of("old", AudioOutput))
    audience.add_client(NEW)
    await promptly(audience.drained(), 5)
    assert [frame.seq for frame in clients.posted["new"]] == [2]


async def test_a_sender_that_waits_for_the_queue_waits_for_the_newer_connection_too(audience, clients):
    clients.hold("old")
    free = clients.hold("new")
    audience.send(speech(1))
    drained = asyncio.create_task(audience.drained())
    await eventually(lambda: clients.of("old", AudioOutput))
    audience.add_client(NEW)
    await eventually(lambda: clients.of("new", AudioOutput))
    await turns()
    assert not drained.done()
    free.set()
    await promptly(drained, 5)


async def test_the_user_speaking_over_it_drops_the_audio_that_moved(audience, clients):
    clients.hold("old")
    free = clients.hold("new")
    audience.send(TextOutput(text="on its way"))
    await eventually(lambda: clients.of("old", TextOutput))
    for number in range(5):
        audience.send(speech(number))
    audience.add_client(NEW)
    audience.drop_audio()
    free.set()
    await promptly(audience.drained(), 5)
    assert clients.kinds("new") == ["TextOutput"]


async def test_the_sound_of_clients_that_are_gone_is_not_kept_for_ever(clients):
    """Each page that is loaded again is a new client."""
    audience = Audience(7, clients, may_speak)
    for number in range(2 * SOUNDS):
        audience.add_client(address(client_id=f"c{number}", connection_id=f"k{number}"))
        audience.send(ready())
        audience.send(speech(1))
        await promptly(audience.drained(), 5)
        if number % 2:
            audience.remove_client(f"c{number}", f"k{number}")
    assert len(audience._sounds) <= SOUNDS
    assert f"c{2 * SOUNDS - 1}" not in audience._sounds, "a client that said bye has no sounds"
    audience.silence()
    await turns(3)


async def test_only_a_client_that_is_here_and_has_asked_for_nothing_new_need_not_be_met(audience):
    before = audience._listeners["c1"].heard_at
    assert audience.hears("c1", "old", history=False)
    assert audience._listeners["c1"].heard_at >= before
    assert not audience.hears("c1", "old", history=True), "client c1's wish for history is noted"
    assert not audience.hears("c1", "new", history=False), "client c1 is on another connection now"
    assert not audience.hears("c2", "old", history=False), "client c2 was not met yet"
    audience.add_client(msgspec.structs.replace(OLD, history=True))
    assert audience.hears("c1", "old", history=True)


async def test_a_connection_that_comes_back_has_greater_message_numbers(audience, clients):
    assert audience.remove_client(OLD.client_id, OLD.connection_id)
    audience.add_client(OLD)
    audience.send(ready())
    await promptly(audience.drained(), 5)
    assert clients.numbers["old"] == [1, 2], "or else its socket would take the second for the first, sent again"
