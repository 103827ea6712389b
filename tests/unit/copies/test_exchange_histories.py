"""Histories that move between layouts: windows, summaries, redactions, cut turns, earlier points."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from strands.agent.conversation_manager import SlidingWindowConversationManager, SummarizingConversationManager
from strands.bidi.agent import BidiAgent

from segue.history.fold import fold
from segue.journal.records import Record, encode_record
from segue.strands.transfer import export, import_, portable
from tests.support.scripted_model import ScriptedModel
from tests.unit.copies.exchanging import agent_on, bidi_on, everything, moved


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


def test_a_guardrails_redaction_is_kept_by_import_and_export(file_layout):
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
