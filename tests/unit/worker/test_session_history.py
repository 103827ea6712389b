"""The conversation so far, for clients that ask for it: a page behind ``ready``, and then what is typed."""

from __future__ import annotations

import pytest

from segue.wire.claims import ClientAddress
from segue.wire.frames import FrameError, Hello, HistoryOutput, HistoryRequest, Ready, Transcript
from shared.conversation.history_pages import PAGES_AT_ONCE
from tests.support.memory_manager import Latch
from tests.support.scripted_model import answered, spoken
from tests.support.waiting import eventually
from tests.unit.worker.stand_ins import delivery, finals, text

SECOND = {"client_id": "c2", "connection_id": "k2"}


def asking(client_id: str = "c1", last_record: int | None = None, connection: int = 1) -> Hello:
    return Hello(session="talk", client_id=client_id, connection=connection, last_record=last_record, history=True)


def pages(clients, at="k1"):
    return [frame for frame in clients.of(at, HistoryOutput) if frame.more is not None]


def typed(clients, at="k1"):
    """New lines: the text of each, and the number if it is the client's own."""
    lines = [line for frame in clients.of(at, HistoryOutput) if frame.more is None for line in frame.lines]
    return [(line.text, line.input) for line in lines]


@pytest.fixture
async def talk(host, clients):
    """A conversation in which something was said and typed, by a client that has not asked."""
    hosting = await host()
    hosting.session.deliver(delivery(text("My name is Alice", 1)))
    await eventually(lambda: hosting.model.texts)
    hosting.model.emit(answered("Hello Alice."))
    await eventually(lambda: finals(clients) == ["Hello Alice."])
    return hosting


async def test_a_client_that_comes_new_is_told_both_sides_and_goes_on_from_there(talk, clients):
    talk.session.deliver(delivery(asking("c2"), **SECOND))
    await eventually(lambda: pages(clients, "k2"))
    assert clients.kinds("k2") == ["Ready", "HistoryOutput"]
    assert "history" in clients.of("k2", Ready)[0].features
    (page,) = pages(clients, "k2")
    assert [(line.role, line.kind, line.text) for line in page.lines] == [
        ("user", "text", "My name is Alice"),
        ("assistant", "transcript", "Hello Alice."),
    ]
    assert page.more is False
    talk.model.emit([*spoken("stop", role="user", content_id="u2"), *answered("Well.", content_id="c2")])
    await eventually(lambda: finals(clients, "k2") == ["stop", "Well."])
    shown = [frame.record for frame in clients.of("k2", Transcript) if frame.final]
    assert min(shown) > max(line.record for line in page.lines), "no line is shown twice"
    assert not clients.of("k1", HistoryOutput), "a client that has not asked gets no page"


async def test_typed_text_reaches_the_other_clients_when_it_is_durable(talk, clients, storage):
    talk.session.deliver(delivery(asking("c1", 5)))
    talk.session.deliver(delivery(asking("c2"), **SECOND))
    await eventually(lambda: pages(clients, "k2"))
    storage.before = latch = Latch("commit")
    talk.session.deliver(delivery(text("typed here", 2)))
    await latch.reached.wait()
    assert typed(clients, "k2") == []
    latch.go.set()
    await eventually(lambda: typed(clients, "k2"))
    assert typed(clients, "k2") == [("typed here", None)]
    assert typed(clients) == [("typed here", 2)]


async def test_missed_output_is_repeated_in_the_order_of_records(talk, clients):
    talk.session.deliver(delivery(asking("c2"), **SECOND))
    await eventually(lambda: pages(clients, "k2"))
    seen = max(line.record for line in pages(clients, "k2")[0].lines)
    talk.session.deliver(delivery(text("one", 2)))
    await eventually(lambda: "one" in talk.model.texts)
    talk.model.emit(answered("Two.", content_id="c5"))
    await eventually(lambda: finals(clients)[-1] == "Two.")
    newer = {"client_id": "c2", "connection_id": "k3", "counter": 2}
    talk.session.deliver(delivery(asking("c2", seen, 2), **newer))
    await eventually(lambda: finals(clients, "k3")[-1:] == ["Two."])
    # What was under way over the older connection goes over the newer one too, with its number: a client drops it.
    heard = {frame.seq for frame in clients.posted["k2"]}
    said = [frame for frame in clients.posted["k3"] if frame.seq not in heard]
    records = [frame.record for frame in said if getattr(frame, "record", None) is not None]
    assert records == sorted(records)
    assert typed(clients, "k3") == [("one", None)]
    assert not pages(clients, "k3")


async def test_a_successor_knows_who_typed_what_and_who_asked(talk, clients, host):
    talk.session.deliver(delivery(asking("c1", 0)))
    await talk.session.stop()
    second = await host(who=(ClientAddress(client_id="c1", connection_id="k7", counter=7, history=True),))
    second.session.deliver(delivery(asking("c1", -1, 7), connection_id="k7", counter=7))
    await eventually(lambda: typed(clients, "k7"))
    assert typed(clients, "k7") == [("My name is Alice", 1)]
    second.session.deliver(delivery(text("and now", 2), connection_id="k7", counter=7))
    await eventually(lambda: typed(clients, "k7")[1:] == [("and now", 2)])


async def test_older_pages_are_told_on_request_and_not_too_many(talk, clients):
    def ask():
        talk.session.deliver(delivery(HistoryRequest(before=1)))

    ask()
    await eventually(lambda: pages(clients))
    (page,) = pages(clients)
    assert page.before == 1
    assert all(line.record < 1 for line in page.lines)
    with pytest.raises(FrameError, match="too many") as refused:
        for _ in range(3 * PAGES_AT_ONCE):
            ask()
    assert refused.value.code == "too_fast"


async def test_pages_behind_hello_count_as_well(talk, clients):
    with pytest.raises(FrameError, match="too many") as refused:
        for _ in range(3 * PAGES_AT_ONCE):
            talk.session.deliver(delivery(asking()))
    assert refused.value.code == "too_fast"
    await eventually(lambda: pages(clients))
    assert len(pages(clients)) <= PAGES_AT_ONCE + 1
    talk.session.deliver(delivery(asking("c1", 0)))  # one that gets no page


async def test_redacted_content_is_in_no_page(talk, clients):
    await talk.manager.redact(talk.agent.messages[0]["tracking_id"], "[gone]")
    talk.session.deliver(delivery(asking("c2"), **SECOND))
    await eventually(lambda: pages(clients, "k2"))
    assert pages(clients, "k2")[0].lines[0].text == "[gone]"
