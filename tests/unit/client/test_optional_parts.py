"""The optional parts of the protocol, as a client speaks them: only where the latest ``ready`` names them."""

from __future__ import annotations

import msgspec
import pytest

from segue.client import Client, ClientSettings, NotOffered
from segue.client.conversation import Conversation
from segue.wire.frames import (
    AudioFormat,
    AudioFormats,
    AudioInput,
    AudioOutput,
    BargeIn,
    Hello,
    HistoryLine,
    HistoryOutput,
    HistoryRequest,
    OutputAck,
    Played,
    TextOutput,
    Transcript,
)
from tests.support.waiting import promptly
from tests.unit.client.conftest import Server, quick
from tests.unit.client.test_conversation import hear, outgoing, ready
from tests.unit.client.test_microphone import LOUD, QUIET

ALL = ("history", "played", "silence")


def line(record, text="hi", role="user", kind="text", **more):
    return HistoryLine(record=record, role=role, kind=kind, text=text, **more)


def page(seq, *lines, before=None, more=False, epoch=1):
    return HistoryOutput(epoch=epoch, seq=seq, lines=lines, before=before, more=more)


def newly(seq, *lines, epoch=1):
    return HistoryOutput(epoch=epoch, seq=seq, lines=lines)


def ready_with(*features, **fields):
    return msgspec.structs.replace(ready(**fields), features=features)


def talking(*features, history=True, head=3):
    client = Conversation("s", "c", "voice", ClientSettings(), history=history)
    client.connected(0.0)
    (hello,) = outgoing(client, 0.0)
    assert hello.history is history
    hear(client, ready_with(*features, head=head))
    return client


def requests(client, now):
    return [frame for frame in outgoing(client, now) if isinstance(frame, HistoryRequest)]


# --- history


def test_the_first_page_is_an_event_once_and_moves_on_what_was_shown():
    client = talking(*ALL)
    first = page(2, line(0), line(2, kind="transcript", role="assistant"), line(4))
    assert hear(client, first) == [first]
    assert client.last_record == 4, "recorded, and not committed when ready was said"
    assert hear(client, page(3, line(0))) == [], "hello was repeated"
    assert requests(client, 100.0) == []


def test_a_first_page_that_does_not_come_is_asked_for():
    client = talking(*ALL)
    assert requests(client, 1.0) == []
    assert requests(client, 5.0) == [HistoryRequest(last_record=2)]
    assert requests(client, 6.0) == []
    assert client.wakeup(6.0, client.counter) <= 4.5
    assert requests(client, 10.0) == [HistoryRequest(last_record=2)]
    assert hear(client, page(2, line(0)), now=10.0) == [page(2, line(0))]


def test_no_history_is_asked_of_an_old_holder_or_by_a_client_that_wants_none():
    for client in (talking(history=True), talking(*ALL, history=False)):
        assert requests(client, 100.0) == []


def test_each_content_is_shown_once_in_a_page_or_as_it_comes():
    client = talking(*ALL)
    hear(client, page(2, line(0), line(2)))
    spoken = Transcript(epoch=1, seq=3, role="user", text="a", final=True, record=3)
    said = TextOutput(epoch=1, seq=4, text="b", record=4)
    typed = newly(5, line(5, "c", input=1))
    assert hear(client, spoken, said, typed) == [spoken, said, typed]
    client.pages.ask(None, 9.0)
    assert requests(client, 9.0) == [HistoryRequest(last_record=5)]
    newest = (line(2), line(3, "a", kind="transcript"), line(4, "b", "assistant"), line(5, "c"), line(5, kind="image"))
    hear(client, page(6, *newest), now=9.0)
    assert client.pages.come[None].lines == (line(5, kind="image"),)
    again = msgspec.structs.replace(typed, seq=8)
    since = msgspec.structs.replace(ready_with(*ALL, seq=7, head=6), since=5)
    assert hear(client, since, again) == [since], "said again behind ready"


def test_lines_of_an_older_page_that_is_asked_for_again_are_shown_once():
    client = talking(*ALL, head=9)
    hear(client, page(2, line(6), line(7), line(8), more=True))
    redacted = line(8, "[redacted]", "assistant")  # of the record 8, and yet between 4 and 5
    shown = []
    for seq, before, lines in (
        (3, 6, (line(4), redacted, line(5))),
        (4, 6, (line(4), redacted, line(5))),
        (5, 5, (line(3), line(4))),
        (6, 2, (line(0), line(1))),
        (7, 3, (line(1), line(2))),
    ):
        client.pages.ask(before, 1.0)
        hear(client, page(seq, *lines, before=before, more=True), now=1.0)
        shown.append(client.pages.come.pop(before).lines)
    assert shown == [
        (line(4), redacted, line(5)),
        (),
        (line(3),),
        (line(0), line(1)),  # from further back, as it was asked for
        (line(1), line(2)),
    ]


def test_lines_of_a_page_that_comes_too_late_are_in_the_one_that_is_asked_for_next():
    client = talking(*ALL)
    hear(client, page(2, line(0)))
    hear(client, TextOutput(epoch=1, seq=3, text="b", record=3))
    client.pages.ask(None, 1.0)
    client.pages.drop_page(None)  # the caller's time was over
    late = page(4, line(0), line(3, "b", "assistant"), line(4))
    hear(client, late)
    client.pages.ask(None, 2.0)
    hear(client, msgspec.structs.replace(late, seq=5), now=2.0)
    assert client.pages.come[None].lines == (line(4),)


def test_typed_lines_wait_behind_a_gap_as_all_journal_content():
    client = talking(*ALL)
    assert hear(client, newly(3, line(4)), now=1.0) == []
    assert client.tick(2.0) == []
    (hello,) = [frame for frame in outgoing(client, 2.0) if isinstance(frame, Hello)]
    assert (hello.last_record, hello.history) == (2, True)
    since = msgspec.structs.replace(ready_with(*ALL, seq=4, head=6), since=2)
    assert hear(client, since, newly(5, line(3)), newly(6, line(4)), now=2.0)[1:] == [
        newly(5, line(3)),
        newly(6, line(4)),
    ]


def test_a_page_is_asked_for_again_after_another_holder_came():
    client = talking(*ALL)
    hear(client, page(2, line(0), more=True))
    client.pages.ask(0, 1.0)
    assert requests(client, 1.0) == [HistoryRequest(before=0, last_record=2)]
    hear(client, ready_with(*ALL, epoch=2, head=3), now=2.0)
    assert requests(client, 6.6) == [HistoryRequest(before=0, last_record=2)]


# --- what was played


def acks(client, now):
    return [frame for frame in outgoing(client, now) if isinstance(frame, OutputAck)]


def test_played_audio_is_acknowledged_at_once_after_a_barge_in():
    client = talking(*ALL, history=False)
    sound = AudioOutput(epoch=1, seq=2, audio="AAAA", rate=8000)
    hear(client, sound)
    client.played(sound, 20.0, 1.0)
    assert acks(client, 1.0) == []
    hear(client, BargeIn(epoch=1, seq=3), now=2.0)
    assert acks(client, 2.0) == [], "the player has not stopped"
    client.played(sound, 61.4, 2.0)
    assert acks(client, 2.0) == [OutputAck(epoch=1, seq=3, played=Played(seq=2, ms=61))]
    client.played(sound, 61.4, 2.1)
    assert acks(client, 2.1) == []


@pytest.mark.parametrize(
    "sound", [None, AudioOutput(epoch=0, seq=9, audio="AAAA", rate=8000)], ids=["none", "of an earlier epoch"]
)
def test_a_barge_in_before_any_sound_of_its_epoch_reports_nothing_played(sound):
    client = talking(*ALL, history=False)
    hear(client, BargeIn(epoch=1, seq=2))
    client.played(sound, 50.0, 1.0)
    assert acks(client, 1.0) == [OutputAck(epoch=1, seq=2, played=Played(seq=0, ms=0))]


def test_played_is_not_sent_to_a_holder_that_does_not_announce_it():
    client = talking(history=False)
    hear(client, BargeIn(epoch=1, seq=2))
    client.played(None, 0.0, 1.0)
    assert acks(client, 1.0) == [OutputAck(epoch=1, seq=2)]


# --- on sockets


class NewServer(Server):
    """A server that knows all of it."""

    features = ALL

    async def _take(self, socket, frame):
        await super()._take(socket, frame)
        if isinstance(frame, HistoryRequest):
            await self.post(self.heard[0].client_id, page(None, line(1), before=frame.before, epoch=None))


@pytest.fixture
async def server():
    started = await NewServer().start()
    yield started
    await started.stop()


async def test_a_program_asks_for_a_page(server):
    async with Client(server.url, session="s", history=True, settings=quick()) as client:
        got = await promptly(client.history(before=7), 20)
        assert (got.lines, got.before) == ((line(1),), 7)


async def test_a_program_is_told_that_there_is_no_history(server):
    server.features = ()
    async with Client(server.url, session="s", settings=quick()) as client:
        with pytest.raises(NotOffered, match="do without them"):
            await client.history()
        await client.send_text("the client goes on")
        await client.flush(timeout=20)


async def test_an_open_microphone_sends_markers(server):
    pcm = AudioFormat(rate=16_000, channels=1, format="pcm")
    async with Client(server.url, session="s", silence="mark", settings=quick()) as client:
        # The server of these tests neither hears nor speaks.
        client._conversation.last_ready = msgspec.structs.replace(
            client.ready, audio=AudioFormats(input=pcm, output=pcm)
        )
        for piece in [LOUD, *[QUIET] * 14]:
            await client.send_audio(piece)
        await server.heard_all(lambda one: any(isinstance(frame, AudioInput) and frame.silence for frame in one.heard))
        heard = [frame for frame in server.heard if isinstance(frame, AudioInput)]
        assert len({frame.seq for frame in heard}) == 12
        (marker,) = {frame.seq for frame in heard if frame.silence}
        assert marker == 12
