"""Between Strands' own layouts and Segue, with Strands' own managers on both sides."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import boto3
import moto
import pytest
from strands import Agent, tool
from strands.agent.conversation_manager import SlidingWindowConversationManager, SummarizingConversationManager
from strands.bidi.agent import BidiAgent
from strands.hooks import BeforeToolCallEvent
from strands.session import FileSessionManager, S3SessionManager, SnapshotSessionManager
from strands.storage import LocalFileStorage, S3Storage

from segue import GuardedFileSessionManager
from segue.admin.fork import commits_of, create
from segue.clock import SystemClock
from segue.errors import SessionExists, SessionNotFound
from segue.history.fold import fold
from segue.journal.records import Record, decode_record, encode_record
from segue.session.runtime import Runtime
from segue.strands.file import file_stores
from segue.strands.transfer import PortableAgent, export, import_, portable
from tests.support.fake_model import FakeModel, tool_call
from tests.support.scripted_model import ScriptedModel, answered, calling, spoken, until
from tests.support.waiting import eventually

IMAGE = bytes(range(256))

Layout = Callable[[str], Any]


@pytest.fixture(params=["file", "s3", "snapshot", "snapshot on s3"])
def layout(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Layout]:
    """Makes Strands' managers of sessions in one of its layouts."""
    folder = str(tmp_path / "strands")
    if "s3" not in request.param:
        local = {
            "file": lambda session_id: FileSessionManager(session_id, storage_dir=folder),
            "snapshot": lambda session_id: SnapshotSessionManager(session_id, storage=LocalFileStorage(folder)),
        }
        yield local[request.param]
        return
    with moto.mock_aws():
        boto3.client("s3").create_bucket(Bucket="strands")
        remote = {
            "s3": lambda session_id: S3SessionManager(session_id, bucket="strands", prefix="agents"),
            "snapshot on s3": lambda session_id: SnapshotSessionManager(
                session_id, storage=S3Storage("strands", prefix="agents")
            ),
        }
        yield remote[request.param]


@pytest.fixture
def file_layout(tmp_path: Path) -> Layout:
    return lambda session_id: FileSessionManager(session_id, storage_dir=str(tmp_path / "strands"))


@pytest.fixture
def snapshot_layout(tmp_path: Path) -> Layout:
    storage = LocalFileStorage(str(tmp_path / "strands"))
    return lambda session_id: SnapshotSessionManager(session_id, storage=storage)


@tool
def weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny in {city}"


def agent_on(manager: Any, *replies: Any, **options: Any) -> Agent:
    return Agent(model=FakeModel(replies), session_manager=manager, callback_handler=None, tools=[weather], **options)


def bidi_on(manager: Any) -> BidiAgent:
    return BidiAgent(model=ScriptedModel(), session_manager=manager, tools=[weather])


def everything(agent: Any) -> dict[str, Any]:
    fields = ["messages", "state", "system_prompt"]
    if isinstance(agent, Agent):
        fields += ["conversation_manager_state", "interrupt_state", "model_state"]
    data: dict[str, Any] = agent.take_snapshot(include=fields).data
    return data


def stored(records: list[Record]) -> list[Record]:
    """Records as they come back from storage."""
    return [decode_record(encode_record(record)) for record in records]


def moved(source: Any, target: Any, agent_id: str = "default") -> list[Record]:
    """Import from one Strands session, export to another, and return what was in between."""
    records = stored(import_(source, agent_id))
    export(portable(records, agent_id), target)
    return records


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
def test_what_was_imported_is_a_segue_session(layout, tmp_path):
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


def test_the_system_prompt_moves_where_the_layout_has_it(layout, snapshot_layout, file_layout):
    moving = PortableAgent("default", "Agent", system_prompt=[{"text": "Be brief."}], state={"n": 1})
    export(moving, layout("talk"))

    prompts = [record.data for record in import_(layout("talk")) if record.kind == "prompt"]

    holds_it = isinstance(layout("talk"), SnapshotSessionManager)
    assert prompts == ([[{"text": "Be brief."}]] if holds_it else [])


def window() -> dict[str, Any]:
    return {"conversation_manager": SlidingWindowConversationManager(window_size=4)}


def test_messages_that_a_window_took_out_move_too(file_layout):
    """The message layouts keep them, and count them when they restore."""
    agent = agent_on(file_layout("talk"), **window())
    for number in range(6):
        agent(f"question {number}")
    before = everything(agent_on(file_layout("talk"), **window()))
    assert before["conversation_manager_state"]["removed_message_count"] == 8

    records = moved(file_layout("talk"), file_layout("again"))

    assert everything(agent_on(file_layout("again"), **window())) == before
    log = file_layout("again").list_messages("again", "default")
    assert [entry.message["content"] for entry in log] == [
        entry.message["content"] for entry in file_layout("talk").list_messages("talk", "default")
    ]
    assert len(fold(records).agents["default"].messages) == 4


def test_a_window_without_its_removed_messages_starts_a_log_of_its_own(file_layout, snapshot_layout):
    """A snapshot counts removed messages that it does not have: skipping so many would skip living ones."""
    agent = agent_on(snapshot_layout("talk"), **window())
    for number in range(6):
        agent(f"question {number}")

    moved(snapshot_layout("talk"), snapshot_layout("same"))
    moved(snapshot_layout("talk"), file_layout("other"))

    same, other = agent_on(snapshot_layout("same"), **window()), agent_on(file_layout("other"), **window())
    assert everything(same) == everything(agent_on(snapshot_layout("talk"), **window()))
    assert same.conversation_manager.removed_message_count == 8
    assert other.messages == same.messages
    assert other.conversation_manager.removed_message_count == 0


def test_a_summary_stays_in_front_once(file_layout, snapshot_layout):
    def summarizing() -> dict[str, Any]:
        manager = SummarizingConversationManager(summary_ratio=0.5, preserve_recent_messages=2)
        return {"conversation_manager": manager}

    agent = agent_on(file_layout("talk"), **summarizing())
    for number in range(4):
        agent(f"question {number}")
    agent.conversation_manager.reduce_context(agent)
    agent("and now?")
    before = everything(agent_on(file_layout("talk"), **summarizing()))
    assert before["conversation_manager_state"]["summary_message"] == before["messages"][0]

    moved(file_layout("talk"), file_layout("again"))
    moved(file_layout("talk"), snapshot_layout("shot"))
    moved(snapshot_layout("shot"), file_layout("back"))

    assert everything(agent_on(file_layout("again"), **summarizing())) == before
    assert everything(agent_on(snapshot_layout("shot"), **summarizing()))["messages"] == before["messages"]
    assert everything(agent_on(file_layout("back"), **summarizing()))["messages"] == before["messages"]


def test_what_a_guardrail_redacted_stays_out(file_layout):
    manager = file_layout("talk")
    agent = bidi_on(manager)
    manager.append_message({"role": "user", "content": [{"text": "my secret"}], "tracking_id": "s"}, agent)
    manager.redact_latest_message({"role": "user", "content": [{"text": "[redacted]"}], "tracking_id": "s"}, agent)
    (path,) = Path(manager.storage_dir).rglob("message_0.json")
    assert "my secret" in path.read_text()  # Strands keeps it beside the replacement

    records = moved(file_layout("talk"), file_layout("again"))

    assert not [record for record in records if b"my secret" in encode_record(record)]
    (written,) = Path(manager.storage_dir).rglob("session_again/**/message_0.json")
    assert "my secret" not in written.read_text()
    assert "[redacted]" in written.read_text()


def test_placeholders_are_dropped_and_tool_pairs_kept(file_layout):
    manager = file_layout("talk")
    pending = {"role": "assistant", "content": [], "metadata": {"custom": {"bidi": {"status": "pending"}}}}
    use = {"role": "assistant", "content": [{"toolUse": {"toolUseId": "t", "name": "weather", "input": {}}}]}
    result = {
        "role": "user",
        "content": [{"toolResult": {"toolUseId": "t", "status": "success", "content": [{"text": "sunny"}]}}],
    }
    BidiAgent(model=ScriptedModel(), session_manager=manager, messages=[pending, use, result])

    messages = [record.data["message"] for record in import_(file_layout("talk")) if record.kind == "message"]

    assert [message["content"] for message in messages] == [use["content"], result["content"]]


def test_messages_get_tracking_ids_of_their_own(file_layout):
    manager = file_layout("talk")
    same = {"role": "user", "content": [{"text": "b"}], "tracking_id": "x"}
    BidiAgent(
        model=ScriptedModel(),
        session_manager=manager,
        messages=[{"role": "user", "content": [{"text": "a"}]}, same, same],
    )
    for path in Path(manager.storage_dir).rglob("message_0.json"):  # as an older Strands wrote it
        body = json.loads(path.read_text())
        body["message"].pop("tracking_id", None)
        path.write_text(json.dumps(body))

    ids = [record.data["message"]["tracking_id"] for record in import_(file_layout("talk")) if record.kind == "message"]

    assert ids[1] == "x"
    assert len(set(ids)) == 3
    assert all(ids)


def test_messages_keep_the_time_they_were_written(file_layout):
    agent_on(file_layout("talk"))("hi")
    entries = file_layout("talk").list_messages("talk", "default")

    records = [record for record in import_(file_layout("talk")) if record.kind == "message"]

    assert [record.at for record in records] == [
        int(datetime.fromisoformat(entry.created_at).timestamp() * 1000) for entry in entries
    ]


@pytest.mark.slow
def test_nothing_that_is_there_is_overwritten(layout):
    agent_on(layout("talk"))("hi")
    before = everything(agent_on(layout("talk")))

    with pytest.raises(SessionExists, match="talk"):
        export(PortableAgent("default", "Agent", [{"role": "user", "content": [{"text": "new"}]}]), layout("talk"))

    assert everything(agent_on(layout("talk"))) == before
    export(PortableAgent("second", "Agent", [{"role": "user", "content": [{"text": "new"}]}]), layout("talk"))
    assert len(agent_on(layout("talk"), agent_id="second").messages) == 1


def test_an_agent_that_is_not_there(layout):
    with pytest.raises(SessionNotFound, match="ghost"):
        import_(layout("talk"), "ghost")
    with pytest.raises(SessionNotFound, match="ghost"):
        portable([Record(kind="agent", data={"class": "Agent"})], "ghost")


def test_a_crash_cut_history_is_exported_fit_to_use(snapshot_layout):
    use = {"role": "assistant", "content": [{"toolUse": {"toolUseId": "t", "name": "weather", "input": {}}}]}
    records = [
        Record(kind="agent", data={"class": "BidiAgent"}),
        Record(kind="message", data={"message": {**use, "tracking_id": "u"}}),
    ]

    export(portable(records), snapshot_layout("talk"))

    restored = bidi_on(snapshot_layout("talk")).messages
    assert [list(message["content"][0]) for message in restored] == [["toolUse"], ["toolResult"]]


def test_an_earlier_point_moves_as_it_was_then_and_as_it_may_be_shown_now():
    def said(text: str, key: str, kind: str = "message") -> Record:
        message = {"role": "user", "content": [{"text": text}], "tracking_id": key}
        return Record(kind=kind, data={"message": message})

    records = [said("secret", "a"), said("b", "b"), said("c", "c"), said("gone", "a", "redact")]

    found = portable(records, upto=2)

    assert [message["content"][0]["text"] for message in found.messages] == ["gone", "b"]
    assert found.kind == "BidiAgent"
    assert portable(records, kind="Agent").kind == "Agent"


def test_progress_counts_messages(snapshot_layout):
    messages = [{"role": "user", "content": [{"text": str(number)}]} for number in range(3)]
    seen: list[tuple[int, int]] = []

    assert (
        export(PortableAgent("default", "BidiAgent", messages), snapshot_layout("talk"), lambda *at: seen.append(at))
        == 3
    )

    assert seen == [(1, 3), (2, 3), (3, 3)]


# Pauses: see tests/unit/session/test_pauses.py for those that do not move.


def approve(event: BeforeToolCallEvent) -> None:
    if event.interrupt("approve", reason=event.tool_use["input"]) != "yes":
        event.cancel_tool = "not approved"


def approve_one(event: BeforeToolCallEvent) -> None:
    if event.tool_use["toolUseId"] == "w":
        approve(event)


WEATHER = tool_call("weather", "w", city="Rome")
PAUSES: dict[str, dict[str, Any]] = {
    "approval": {"hooks": [approve]},
    "approval beside a tool that ran": {"hooks": [approve_one]},
    "checkpoint": {"checkpointing": True},
}


def put(folder: Path, records: list[Record]) -> None:
    """Make a Segue session of imported records."""
    runtime = Runtime.shared()
    stores = file_stores(runtime, folder / "segue")
    runtime.run_sync(create(stores, "default/moved", commits_of(records), SystemClock()))


def resuming(result: Any) -> Any:
    if result.checkpoint is not None:
        return {"checkpointResume": {"checkpoint": result.checkpoint.to_dict()}}
    return [{"interruptResponse": {"interruptId": each.id, "response": "yes"}} for each in result.interrupts]


def resumed(manager: Any, result: Any, **options: Any) -> list[Any]:
    """Let an agent go on from where another one was stopped; return its messages."""
    agent = agent_on(manager, *["It is sunny"] * 2, **options)
    while result.stop_reason != "end_turn":
        result = agent(resuming(result))
    uses = [use for message in agent.messages for block in message["content"] if (use := block.get("toolUse"))]
    results = [one for message in agent.messages for block in message["content"] if (one := block.get("toolResult"))]
    assert sorted(use["toolUseId"] for use in uses) == sorted(one["toolUseId"] for one in results)
    assert results[-1]["content"] == [{"text": "sunny in Rome"}]
    return agent.messages


@pytest.mark.slow
@pytest.mark.parametrize("name", PAUSES)
def test_a_pause_moves_into_segue_and_is_resumed_there(name: str, layout: Layout, tmp_path: Path) -> None:
    options = PAUSES[name]
    calls = [tool_call("weather", "v", city="Oslo"), WEATHER] if "beside" in name else WEATHER
    result = agent_on(layout("a"), calls, **options)("How is the weather?")
    assert result.stop_reason in ("interrupt", "checkpoint")

    put(tmp_path, stored(import_(layout("a"))))
    manager = GuardedFileSessionManager("moved", tmp_path / "segue")
    in_segue = resumed(manager, result, **options)
    manager.close_sync()

    in_strands = resumed(layout("a"), result, **options)
    assert [one["content"] for one in in_segue] == [one["content"] for one in in_strands]
    heir = agent_on(again := GuardedFileSessionManager("moved", tmp_path / "segue"), **options)
    assert heir.messages == in_segue
    again.close_sync()


@pytest.mark.slow
@pytest.mark.parametrize("name", PAUSES)
def test_a_pause_moves_out_of_segue_and_is_resumed_there(name: str, layout: Layout, tmp_path: Path) -> None:
    options = PAUSES[name]
    calls = [tool_call("weather", "v", city="Oslo"), WEATHER] if "beside" in name else WEATHER
    manager = GuardedFileSessionManager("moved", tmp_path / "segue")
    result = agent_on(manager, calls, **options)("How is the weather?")
    manager.flush_sync()
    records = list(manager._run_sync(manager._slot.require().read()).records)
    manager.close_sync()

    export(portable(records), layout("b"))

    in_strands = resumed(layout("b"), result, **options)
    in_segue = resumed(manager := GuardedFileSessionManager("moved", tmp_path / "segue"), result, **options)
    manager.close_sync()
    assert [one["content"] for one in in_strands] == [one["content"] for one in in_segue]
