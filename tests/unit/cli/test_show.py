from __future__ import annotations

import logging

import pytest

from segue.cli.output import clean
from segue.journal.records import Record
from tests.unit.cli.conftest import NOON

KEY = "default/talk"


def test_a_transcript_is_readable(keep, run, conversation):
    keep(KEY, *conversation)

    assert run("show", "talk").stdout.splitlines() == [
        "2026-09-29",
        "12:00:01  user       What is the weather in Paris?",
        '12:00:02  assistant  calls weather({"city": "Paris"})',
        "12:00:03  tool       success: sunny",
        "12:00:04  assistant  Sunny, all day.",
    ]


def test_show_at_a_point_shows_the_session_as_it_was(keep, run, conversation):
    keep(KEY, *conversation)

    then = run("show", "talk", "--at", "4").stdout.splitlines()

    assert then[-2:] == [
        '12:00:02  assistant  calls weather({"city": "Paris"})',
        "12:00:02  tool       weather is under way, or was cut off",
    ]
    assert run("show", "talk", "--at", "2026-09-29T12:00:01").stdout.splitlines()[1:] == [
        "12:00:01  user       What is the weather in Paris?"
    ]
    result = run("show", "talk", "--at", "3", code=2)
    assert "nearest points are: 2 and 4" in result.stderr


def test_an_earlier_point_shows_the_redacted_form(keep, run, said):
    keep(KEY, [said("my secret", key="m")], [said("b")], [said("[redacted]", kind="redact", key="m")])

    assert run("show", "talk", "--at", "1").stdout.splitlines()[1] == "12:00:00  user       [redacted]"


def test_json_of_show_has_fixed_names(keep, facts, conversation):
    keep(KEY, *conversation)

    found = facts("show", "talk", "--last", "2")

    assert list(found) == ["session", "point", "agents"]
    assert found["session"] == KEY
    assert list(found["point"]) == ["records", "epoch", "commit_id", "at"]
    agent = found["agents"]["default"]
    assert list(agent) == ["messages", "state", "system_prompt", "tools", "connection", "approvals"]
    assert agent["messages"] == [
        {
            "record": 4,
            "at": "2026-09-29T12:00:03.000Z",
            "message": {
                "role": "user",
                "content": [{"toolResult": {"toolUseId": "t1", "status": "success", "content": [{"text": "sunny"}]}}],
                "tracking_id": "result",
            },
        },
        {
            "record": 6,
            "at": "2026-09-29T12:00:04.000Z",
            "message": {
                "role": "assistant",
                "content": [{"text": "Sunny, all day."}],
                "tracking_id": "Sunny, all day.",
            },
        },
    ]
    assert agent["state"] == {"city": "Paris"}
    (run,) = agent["tools"]
    assert (run["started_at"], run["ended_at"]) == ("2026-09-29T12:00:02.000Z", "2026-09-29T12:00:03.000Z")
    assert (run["status"], run["ms"]) == ("success", 12)


def test_show_lists_each_agent_and_selects_one(keep, run, said):
    one, other = said("hello"), said("bonjour")
    keep(KEY, [one, Record(kind=other.kind, data=other.data, at=other.at, agent="french")])

    assert run("show", "talk").stdout.splitlines() == [
        "agent default",
        "2026-09-29",
        "12:00:00  user       hello",
        "agent french",
        "2026-09-29",
        "12:00:00  user       bonjour",
    ]
    assert run("show", "talk", "--agent", "french").stdout.splitlines()[1] == "12:00:00  user       bonjour"
    assert "its agents: default, french" in run("show", "talk", "--agent", "german", code=2).stderr


def test_every_kind_of_content_is_shown(keep, run):
    png = b"\x00\x00\x00"
    content = [
        {"text": "two\nlines"},
        {"image": {"format": "png", "source": {"bytes": png}}},
        {"document": {"name": "plan", "format": "pdf", "source": {"location": {"uri": "s3://x"}}}},
        {"reasoningContent": {"reasoningText": {"text": "hm"}}},
        {"toolResult": {"toolUseId": "t", "status": "error", "content": [{"json": {"a": 1}}, {"text": "b"}]}},
        {"cachePoint": {"type": "default"}},
    ]
    message = {"role": "user", "content": content, "tracking_id": "m"}
    keep(KEY, [Record(kind="prompt", data=[{"text": "Be brief."}]), Record(kind="message", data={"message": message})])

    assert [line.rstrip() for line in run("show", "talk").stdout.splitlines()] == [
        "          system     Be brief.",
        "1970-01-01",
        "00:00:00  user       two",
        "                     lines",
        "00:00:00  user       <image png, 3 bytes>",
        "00:00:00  user       <document plan pdf, elsewhere>",
        "00:00:00  user       (thinks) hm",
        '00:00:00  tool       error: {"a": 1} b',
        "00:00:00  user       <cachePoint>",
    ]


def test_show_strips_control_characters_from_messages(keep, run, said):
    emoji = "\N{WOMAN}\u200d\N{PERSONAL COMPUTER}"
    keep(KEY, [said(f"\x1b]0;owned\x07\x1b[2J[bold]x[/bold]\r\u202egnp.exe\u2066 {emoji}\tok")])

    text = run("show", "talk").stdout

    assert not set("\x1b\x07\r\u202e\u2066") & set(text)
    assert "[bold]x[/bold]" in text
    assert emoji in text
    assert clean("a\nb\tc") == "a\nb\tc"


def test_long_lines_are_not_broken_for_programs(keep, run, said):
    keep(KEY, [said("word " * 200)])

    assert len(run("show", "talk").stdout.splitlines()) == 2


def test_show_of_a_session_without_messages_says_so(keep, run):
    keep(KEY)

    result = run("show", "talk")
    assert result.stdout == ""
    assert "no messages" in result.stderr


def test_reading_takes_nothing_from_a_holder(keep, run, said, stores):
    session = keep(KEY, [said("a")], stay=True)
    epoch = session.epoch

    for command in ("show", "points", "verify"):
        run(command, "talk")

    assert session.lease.held
    assert session.epoch == epoch


@pytest.mark.parametrize("command", ["show talk", "fork talk copy", "verify talk", "delete talk -y"])
def test_no_log_line_has_content(keep, run, said, caplog, command):
    keep(KEY, [said("the secret word")])

    with caplog.at_level(logging.DEBUG):
        run(*command.split())

    assert "secret" not in caplog.text
    assert not [record for record in caplog.records if "secret" in str(vars(record))]


def test_only_show_prints_content(keep, run, said):
    keep(KEY, [said("the secret word")])

    assert "secret" in run("show", "talk").stdout
    for command in (("list",), ("points", "talk"), ("verify", "talk"), ("fork", "talk", "copy"), ("release", "talk")):
        assert "secret" not in run(*command).output


INTERRUPT = "v1:tool_call:t1:9f"


def paused(status: str | None) -> list[list[Record]]:
    """An agent that waits; people were asked, and then maybe something else."""
    use = {"toolUse": {"toolUseId": "t1", "name": "delete", "input": {"key": "a"}}}
    message = {"role": "assistant", "content": [use], "tracking_id": "use"}
    interrupts = {INTERRUPT: {"id": INTERRUPT, "name": "approve", "reason": "sure?", "response": None}}
    pending = {"assistant_message": message, "completed_tool_results": []}
    state = {"interrupts": interrupts, "context": {}, "activated": True, "pending_tool_execution": pending}
    asked = {"status": "asked", "requests": {INTERRUPT: "approve"}, "seconds": 300.0}
    closed = {"status": status, "requests": {INTERRUPT: "approve"}, "of": 3, "why": "no client was there"}
    records = [
        Record(kind="message", data={"message": message}, at=NOON),
        Record(kind="tool", data={"tool_use_id": "t1", "name": "delete", "phase": "started"}, at=NOON),
        Record(kind="internal", data={"interrupt_state": state}, at=NOON),
        Record(kind="approval", data=asked, at=NOON),
    ]
    return [records, [Record(kind="approval", data=closed, at=NOON)]] if status else [records]


def test_an_open_approval_is_shown_with_its_deadline_and_not_as_a_running_tool(keep, run, facts):
    keep(KEY, *paused(None))

    assert run("show", "talk").stdout.splitlines()[1:] == [
        '12:00:00  assistant  calls delete({"key": "a"})',
        '12:00:00  approval   waits until 2026-09-29T12:05:00.000Z for approve for delete({"key": "a"}): "sure?"',
    ]
    (approval,) = facts("show", "talk")["agents"]["default"]["approvals"]
    assert (approval["record"], approval["status"], approval["until"]) == (3, "asked", "2026-09-29T12:05:00.000Z")
    assert [request["name"] for request in approval["requests"]] == ["approve"]


def test_a_denied_approval_is_not_shown_as_waiting(keep, run, facts):
    keep(KEY, *paused("denied"))

    assert "waits" not in run("show", "talk").stdout
    approvals = facts("show", "talk")["agents"]["default"]["approvals"]
    assert approvals[1] == {
        "record": 4,
        "at": "2026-09-29T12:00:00.000Z",
        "status": "denied",
        "of": 3,
        "reason": "no client was there",
    }


def test_values_of_another_shape_than_strands_own_are_shown(keep, run):
    contents = [
        *({"toolResult": {"toolUseId": "t", "content": given}} for given in (None, "abc", [5, None, {"text": None}])),
        *({"image": given} for given in (None, {"format": 5, "source": "x"})),
        {"text": 5},
        {},
    ]
    message = {"role": "user", "content": contents, "tracking_id": "m"}
    keep(KEY, [Record(kind="message", data={"message": message}, agent="default", at=NOON)])

    assert [line[10:] for line in run("show", "talk").stdout.splitlines()[1:]] == [
        "tool       success: null",
        'tool       success: "abc"',
        "tool       success: 5 null <text>",
        "user       <image>",
        "user       <image 5, elsewhere>",
        "user       <text>",
        "user       <>",
    ]
