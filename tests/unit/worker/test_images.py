"""Images, pieces of audio that their client has given up, and answers to approvals, as the agent gets them."""

from __future__ import annotations

import msgspec

from segue.lease.item import Known
from segue.wire.frames import AnswerInput, AudioInput, Error, ImageInput, InputAck, Response
from tests.support.waiting import eventually
from tests.unit.worker.stand_ins import address, audio, delivery, text
from worker.conversation.input.images import UnfinishedImages

PICTURE = b"\x89PNG" + bytes(50_000)


def parts(first_seq=1):
    frames = ImageInput.split(PICTURE, "image/png")
    return [msgspec.structs.replace(frame, seq=first_seq + at) for at, frame in enumerate(frames)]


def pictures(model):
    return [block for said in model.sent for block in getattr(said, "content", ()) if hasattr(block, "format")]


def acknowledged(clients, upto):
    return lambda: clients.of("k1", InputAck) and clients.of("k1", InputAck)[-1].upto == upto


async def test_the_parts_of_an_image_reach_the_agent_as_one_and_are_acknowledged_together(host, clients):
    hosting = await host()
    for part in reversed(parts()):
        hosting.session.deliver(delivery(part))
    await eventually(acknowledged(clients, 3))
    (picture,) = pictures(hosting.model)
    assert (picture.format, picture.source) == ("png", {"bytes": PICTURE})
    assert hosting.manager.inputs["c1"] == Known(3)


async def test_an_image_without_numbers_is_taken_as_it_comes(host):
    hosting = await host()
    for part in ImageInput.split(PICTURE, "image/png"):
        hosting.session.deliver(delivery(part))
    await eventually(lambda: pictures(hosting.model))
    assert hosting.manager.inputs == {}


async def test_parts_that_make_no_image_are_refused_and_leave_no_hole(host, clients):
    hosting = await host()
    first, _, last = parts()
    for frame in (first, msgspec.structs.replace(last, seq=2), text("hello", 3)):
        hosting.session.deliver(delivery(frame))
    await eventually(acknowledged(clients, 3))
    assert [error.code for error in clients.of("k1", Error)] == ["bad_image"]
    assert pictures(hosting.model) == []
    assert hosting.model.texts == ["hello"]


async def test_audio_that_its_client_has_given_up_is_not_given_to_the_model(host):
    hosting = await host()
    hosting.session.deliver(delivery(AudioInput(audio="", seq=1)))
    hosting.session.deliver(delivery(audio(2)))
    await eventually(lambda: hosting.model.audio)
    assert hosting.model.audio == [audio().pcm]


async def test_unfinished_images_are_bounded_for_the_whole_session(host, clients):
    hosting = await host(who=(address("c1", "k1"), address("c2", "k2")))
    hosting.session._input._images = UnfinishedImages(most_bytes=len(PICTURE))
    first, second, last = parts()
    for frame in (first, second):
        hosting.session.deliver(delivery(frame))
    for frame in (first, second, last):
        hosting.session.deliver(delivery(frame, client_id="c2", connection_id="k2"))
    hosting.session.deliver(delivery(text("hello", 3)))
    await eventually(acknowledged(clients, 3))
    await eventually(lambda: pictures(hosting.model))
    assert [error.code for error in clients.of("k1", Error)] == ["bad_image"]
    assert clients.of("k2", Error) == []
    assert hosting.model.texts == ["hello"]


def test_only_so_many_clients_have_an_image_under_way():
    images = UnfinishedImages(clients=2)
    first, second, _ = parts()
    for client_id in ("a", "b"):
        assert images.add_part(client_id, first) is None
    images.add_part("a", second)
    assert images.crowded_out() == []
    images.add_part("c", first)
    assert [(client_id, refusal.seqs) for client_id, refusal in images.crowded_out()] == [("b", (1,))]


async def test_an_answer_to_an_approval_is_refused_by_a_voice_agent_and_leaves_no_hole(host, clients):
    hosting = await host()
    answer = AnswerInput(approval=3, responses=(Response(id="i", response=True),), seq=1)
    for frame in (answer, text("hello", 2)):
        hosting.session.deliver(delivery(frame))
    await eventually(acknowledged(clients, 2))
    assert [error.code for error in clients.of("k1", Error)] == ["approval_closed"]
    assert hosting.model.texts == ["hello"]
