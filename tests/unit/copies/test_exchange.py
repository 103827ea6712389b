"""Sessions that move between Strands' own layouts and Segue, and come back the same."""

from __future__ import annotations

import asyncio

import pytest
from strands.session import SnapshotSessionManager

from segue import GuardedFileSessionManager
from segue.admin.fork import commits_of, create
from segue.clock import SystemClock
from segue.errors import SessionExists, SessionNotFound
from segue.journal.records import Record
from segue.session.runtime import Runtime
from segue.strands.file import file_stores
from segue.strands.transfer import PortableAgent, export, import_, portable
from tests.support.fake_model import tool_call
from tests.support.scripted_model import answered, calling, spoken, until
from tests.support.waiting import eventually
from tests.unit.copies.exchanging import agent_on, bidi_on, everything, moved

IMAGE = bytes(range(256))


@pytest.mark.slow
def test_an_agents_session_comes_back_the_same(layout):
    agent = agent_on(layout("talk"), "Hello.", tool_call("weather", "t1", city="Paris"), "Sunny.", state={"n": 1})
    agent("hi")
    agent([{"text": "weather in this place?"}, {"image": {"format": "png", "source": {"bytes": IMAGE}}}])
    agent.state.set("city", "Paris")
    agent("thanks")
    before = everything(agent_on(layout("talk")))
    assert len(before["messages"]) == 8
    assert before["state"] == {"n": 1, "city": "Paris"}
    assert before["messages"][2]["content"][1]["image"]["source"]["bytes"] == IMAGE

    moved(layout("talk"), layout("again"))

    assert everything(agent_on(layout("again"))) == before


@pytest.mark.slow
async def test_a_voice_session_comes_back_the_same(layout):
    """It is the same as far as the layout kept it: message layouts lose streamed transcripts, and keep placeholders."""
    agent = bidi_on(layout("call"))
    agent.state.set("caller", "Alice")
    await agent.start()
    heard = asyncio.create_task(until(agent, "bidi_response_stop"))
    await agent.send("My name is Alice")
    agent.model.emit(spoken("hello there", role="user", content_id="u1"))
    agent.model.emit(calling("weather", "t1", city="Paris"))
    await eventually(lambda: any("sunny in Paris" in str(message) for message in agent.messages))
    agent.model.emit(answered("Good morning, Alice."))
    await heard
    await agent.stop()
    before = everything(bidi_on(layout("call")))
    whole = [message for message in before["messages"] if message["content"]]
    assert any("sunny in Paris" in str(message) for message in whole)

    records = moved(layout("call"), layout("again"))

    after = everything(bidi_on(layout("again")))
    assert after == {**before, "messages": whole}
    assert records[0].data["class"] == "BidiAgent"
    assert "internal" not in {record.kind for record in records}


@pytest.mark.slow
def test_an_imported_session_restores_and_goes_on(layout, tmp_path):
    agent = agent_on(layout("talk"), "Hello.", state={"n": 1})
    agent("hi")
    before = everything(agent_on(layout("talk")))
    runtime = Runtime.shared()
    stores = file_stores(runtime, tmp_path / "segue")
    records = import_(layout("talk"))

    runtime.run_sync(create(stores, "default/talk", commits_of(records), SystemClock()))

    manager = GuardedFileSessionManager("talk", tmp_path / "segue")
    restored = agent_on(manager, "Yes.")
    assert everything(restored) == {**before, "system_prompt": None}
    restored("still there?")
    manager.close_sync()
    again = GuardedFileSessionManager("talk", tmp_path / "segue")
    assert len(agent_on(again).messages) == 4
    again.close_sync()


@pytest.mark.slow
def test_the_system_prompt_moves_where_the_layout_has_it(layout, snapshot_layout, file_layout):
    moving = PortableAgent("default", "Agent", system_prompt=[{"text": "Be brief."}], state={"n": 1})
    export(moving, layout("talk"))

    prompts = [record.data for record in import_(layout("talk")) if record.kind == "prompt"]

    holds_it = isinstance(layout("talk"), SnapshotSessionManager)
    assert prompts == ([[{"text": "Be brief."}]] if holds_it else [])


@pytest.mark.slow
def test_nothing_that_is_there_is_overwritten(layout):
    agent_on(layout("talk"))("hi")
    before = everything(agent_on(layout("talk")))

    with pytest.raises(SessionExists, match="talk"):
        export(PortableAgent("default", "Agent", [{"role": "user", "content": [{"text": "new"}]}]), layout("talk"))

    assert everything(agent_on(layout("talk"))) == before
    export(PortableAgent("second", "Agent", [{"role": "user", "content": [{"text": "new"}]}]), layout("talk"))
    assert len(agent_on(layout("talk"), agent_id="second").messages) == 1


def test_importing_a_missing_agent_raises_session_not_found(layout):
    with pytest.raises(SessionNotFound, match="ghost"):
        import_(layout("talk"), "ghost")
    with pytest.raises(SessionNotFound, match="ghost"):
        portable([Record(kind="agent", data={"class": "Agent"})], "ghost")


def test_progress_counts_messages(snapshot_layout):
    messages = [{"role": "user", "content": [{"text": str(number)}]} for number in range(3)]
    seen: list[tuple[int, int]] = []

    assert (
        export(PortableAgent("default", "BidiAgent", messages), snapshot_layout("talk"), lambda *at: seen.append(at))
        == 3
    )

    assert seen == [(1, 3), (2, 3), (3, 3)]
