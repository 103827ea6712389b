"""One connection's queue: one POST at a time, bounded, audio goes first, texts and acknowledgements never."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from segue.wire.frames import AudioOutput, InputAck, Received, Resume, TextOutput, Transcript
from segue.wire.memory import kept_bytes
from segue.wire.output import OutputNumbering
from tests.support.waiting import eventually, promptly
from tests.unit.worker.stand_ins import address, turns
from worker.aws.poster import PostOutcome
from worker.conversation import waiting_frames
from worker.conversation.outbox import Outbox
from worker.conversation.waiting_frames import WaitingLimits


@pytest.fixture
def box(clients):
    """Makes outboxes for connection "k1"; their senders are started by ``run``."""
    tasks: list[asyncio.Task[None]] = []

    class Made(Outbox):
        def __init__(self, ours: Any = lambda: True, sleep: Any = at_once, **limits: int) -> None:
            async def may_speak() -> bool:
                return bool(ours())

            numbering = OutputNumbering(7)
            super().__init__(
                address(),
                clients,
                lambda frame: numbering.stamp("c1", frame),
                may_speak,
                limits=WaitingLimits(**limits),
                sleep=sleep,
            )

        def begin(self) -> asyncio.Task[None]:
            tasks.append(asyncio.create_task(self.run()))
            return tasks[-1]

    yield Made
    for task in tasks:
        task.cancel()


async def at_once(_: float) -> None:
    """Leave the pause before a second attempt out."""
    await asyncio.sleep(0)


def spoken(number: int, size: int = 8) -> AudioOutput:
    return AudioOutput(audio=f"{number:0{size}d}", rate=16000)


def counted(made: Outbox) -> tuple[int, int]:
    return made._waiting._lasting_frames, made._waiting._lasting_bytes


def said(words: str) -> TextOutput:
    return TextOutput(text=words)


def test_bounds_of_waiting_output_are_documented():
    document = (Path(__file__).parents[3] / "docs" / "protocol.md").read_text(encoding="utf-8")
    limits = waiting_frames.WAITING_LIMITS
    assert f"beyond {limits.fleeting_bytes:,} characters of them" in document
    assert f"Beyond {limits.lasting_frames:,} of these, or {limits.lasting_bytes:,} bytes" in document
    assert f"{waiting_frames.AUDIO_SECONDS * 1000:.0f} ms of audio" in document


async def test_frames_go_one_at_a_time_in_order(box, clients):
    made = box()
    slow = clients.hold("k1")
    for number in range(5):
        made.put(said(str(number)))
    made.begin()
    await eventually(lambda: clients.posted["k1"])
    await turns()
    assert len(clients.messages["k1"]) == 1
    slow.set()
    await made.drained()
    assert [frame.text for frame in clients.posted["k1"]] == list("01234")
    assert clients.most_at_once == 1


async def test_a_number_is_never_used_up_without_being_sent(box, clients):
    made = box()
    for words in ("before", '"' * 40_000, "after"):
        made.put(said(words))
    made.begin()
    await made.drained()
    assert [frame.seq for frame in clients.posted["k1"]] == [1, 2, 3]
    assert [frame.text[:6] for frame in clients.posted["k1"]] == ["before", '"' * 6, "after"]


async def test_putting_never_waits_and_old_audio_is_dropped_first(box, clients):
    made = box(fleeting_bytes=100)
    made.put(said("kept"))
    made.put(InputAck(upto=1))
    for number in range(30):
        made.put(spoken(number, size=10))
    made.put(Transcript(role="user", text="kept too", final=True))
    made.begin()
    await made.drained()
    assert [frame.audio for frame in clients.of("k1", AudioOutput)] == [f"{number:010d}" for number in range(20, 30)]
    assert clients.kinds("k1")[:2] == ["TextOutput", "InputAck"]
    assert clients.kinds("k1")[-1] == "Transcript"


async def test_partials_are_fleeting_and_finals_are_not(box, clients):
    made = box(fleeting_bytes=10)
    for words in ("aaaaa", "bbbbb", "ccccc"):
        made.put(Transcript(role="user", text=words, final=False))
        made.put(Transcript(role="user", text=words, final=True))
    made.begin()
    await made.drained()
    shown = [(frame.text, frame.final) for frame in clients.posted["k1"]]
    assert shown == [("aaaaa", True), ("bbbbb", False), ("bbbbb", True), ("ccccc", False), ("ccccc", True)]


async def test_dropping_audio_leaves_the_rest(box, clients):
    made = box()
    made.put(spoken(1))
    made.put(said("kept"))
    made.put(spoken(2))
    made.drop_audio()
    made.put(spoken(3))
    made.begin()
    await made.drained()
    assert clients.kinds("k1") == ["TextOutput", "AudioOutput"]


async def test_a_newer_acknowledgement_replaces_an_older_one(box, clients):
    made = box()
    made.put(InputAck(upto=1))
    made.put(said("between"))
    made.put(InputAck(upto=2))
    made.begin()
    await made.drained()
    assert clients.kinds("k1") == ["InputAck", "TextOutput"]
    assert clients.of("k1", InputAck)[0].upto == 2


async def test_received_is_posted_before_all_waiting_frames(box, clients):
    """Behind a long answer it would keep the client from sending what is said over that."""
    made = box()
    for upto in (1, 2):
        made.put(said("answer"))
        made.put(Received(upto=upto))
    made.begin()
    await made.drained()
    assert clients.kinds("k1") == ["Received", "TextOutput", "TextOutput"]
    assert clients.of("k1", Received)[0].upto == 2


async def test_a_client_asked_to_send_again_hears_afterwards_what_has_come(box, clients):
    made = box()
    made.put(Received(upto=1))
    made.put(said("answer"))
    made.put(Resume())
    for upto in (2, 3):
        made.put(Received(upto=upto))
    made.begin()
    await made.drained()
    assert clients.kinds("k1") == ["Resume", "Received", "TextOutput"]
    assert clients.of("k1", Received)[0].upto == 3


async def test_a_connection_that_is_gone_ends_the_outbox(box, clients):
    made = box()
    clients.answers["k1"].append(PostOutcome.GONE)
    made.put(said("one"))
    made.put(said("two"))
    await promptly(made.begin(), 5)
    assert len(clients.messages["k1"]) == 1


@pytest.mark.parametrize("outcome", [PostOutcome.LIMITED, PostOutcome.UNKNOWN])
async def test_the_same_frame_is_sent_again_until_its_outcome_is_known(box, clients, outcome):
    made = box()
    clients.answers["k1"].extend([outcome, outcome, PostOutcome.DELIVERED])
    made.put(said("one"))
    made.put(said("two"))
    made.begin()
    await eventually(lambda: clients.posted["k1"])
    made.put(said("three"))
    await made.drained()
    sent = [[(frame.text, frame.seq) for frame in message] for message in clients.messages["k1"]]
    together = [("one", 1), ("two", 2)]
    assert sent == [together, together, together, [("three", 3)]], "what joins a message under way could come twice"


async def test_frames_that_wait_for_one_post_go_together(box, clients):
    made = box()
    slow = clients.hold("k1")
    made.begin()
    made.put(said("at once"))
    await eventually(lambda: clients.messages["k1"])
    for number in range(5):
        made.put(spoken(number, size=4268))  # 100 ms at 16 kHz
    made.put(said("end"))
    slow.set()
    await made.drained()
    assert [len(message) for message in clients.messages["k1"]] == [1, 2, 2, 2], "200 ms of audio at most"
    assert [frame.seq for frame in clients.posted["k1"]] == list(range(1, 8))


async def test_a_message_has_32_kb_at_most(box, clients):
    made = box()
    for _ in range(5):
        made.put(said("x" * 15_000))
    made.begin()
    await made.drained()
    assert [len(message) for message in clients.messages["k1"]] == [2, 2, 1]


async def test_too_many_requests_back_the_connection_off(box, clients):
    pauses: list[float] = []

    async def note(seconds: float) -> None:
        pauses.append(seconds)

    made = box(sleep=note)
    clients.answers["k1"].extend([PostOutcome.LIMITED] * 8)
    made.put(said("one"))
    made.begin()
    await made.drained()
    assert len(pauses) == 8
    assert 0.05 <= pauses[0] <= 0.1
    assert 1.0 <= pauses[-1] <= 2.0


async def test_a_refused_frame_is_left_out(box, clients):
    made = box()
    clients.answers["k1"].append(PostOutcome.REFUSED)
    made.put(said("one"))
    made.put(said("two"))
    made.begin()
    await made.drained()
    assert [frame.text for frame in clients.posted["k1"]] == ["one", "two"]


async def test_a_client_that_never_reads_is_disconnected(box, clients):
    made = box(lasting_frames=10)
    for number in range(12):
        made.put(said(str(number)))
    await promptly(made.begin(), 5)
    assert clients.closed == ["k1"]


async def test_lasting_frames_beyond_their_bytes_close_the_connection(box, clients):
    made = box(lasting_bytes=200_000)
    for number in range(6):
        made.put(said(f"{number}" + "x" * 30_000))
    assert made._waiting._lasting_bytes <= 200_000
    made.put(said("x" * 30_000))
    made.put(said("late"))
    assert not made._waiting, "all waiting frames are freed at once"
    await promptly(made.begin(), 5)
    assert clients.closed == ["k1"]
    assert clients.posted["k1"] == []


async def test_a_client_that_never_reads_is_given_up_also_while_a_post_gets_no_answer(box, clients):
    made = box(lasting_frames=10)
    clients.answers["k1"].extend([PostOutcome.UNKNOWN] * 10_000)
    made.put(said("first"))
    sender = made.begin()
    await eventually(lambda: len(clients.posted["k1"]) > 3)
    for number in range(12):
        made.put(said(str(number)))
    await promptly(sender, 5)
    assert clients.closed == ["k1"]
    assert {frame.text for frame in clients.posted["k1"]} == {"first"}


async def test_an_overfull_outbox_closes_a_newer_connection_that_is_not_told_again(box, clients):
    left, told_again, gone_on = box(lasting_frames=10), box(lasting_frames=10), box(lasting_frames=10)
    for number in range(12):
        left.put(said(str(number)))
    told_again.go_on_from(left, retold=True)
    gone_on.go_on_from(left)
    told_again.put(said("again"))
    told_again.begin()
    await told_again.drained()
    assert [frame.text for frame in clients.posted["k1"]] == ["again"]
    await promptly(gone_on.begin(), 5)
    assert clients.closed == ["k1"], "it would hear what follows as if nothing were missing"


async def test_lasting_frames_are_counted_until_posted_or_replaced(box, clients):
    made, newer = box(), box()
    for frame in (
        said("a"),
        InputAck(upto=1),
        spoken(1),
        Received(upto=1),
        InputAck(upto=2),
        Received(upto=2),
        Resume(),
    ):
        made.put(frame)
    lasting = [frame for frame in made._waiting._frames if not isinstance(frame, AudioOutput)]
    expected = len(lasting), sum(map(kept_bytes, lasting))
    assert counted(made) == expected
    newer.go_on_from(made)
    assert counted(newer) == expected
    newer.begin()
    await newer.drained()
    assert counted(newer) == (0, 0)


async def test_a_message_keeps_its_number_until_its_outcome_is_known(box, clients):
    clients.answers["k1"].extend([PostOutcome.LIMITED, PostOutcome.UNKNOWN, PostOutcome.LIMITED, PostOutcome.DELIVERED])
    made = box()
    made.begin()
    for words in ("one", "one"):
        made.put(said(words))
        await promptly(made.drained(), 5)
    assert clients.numbers["k1"] == [1, 1, 1, 1, 2]


async def test_nothing_is_posted_once_the_session_is_lost(box, clients):
    ours = [True]
    made = box(lambda: ours[0])
    clients.answers["k1"].append(PostOutcome.LIMITED)
    slow = clients.hold("k1")
    made.put(said("one"))
    sender = made.begin()
    await eventually(lambda: clients.posted["k1"])
    ours[0] = False
    slow.set()
    await promptly(sender, 5)
    assert len(clients.posted["k1"]) == 1
