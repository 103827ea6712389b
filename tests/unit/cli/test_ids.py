"""Every command takes and shows session ids as they are given."""

from __future__ import annotations

import pytest

from segue.cli import output
from segue.ids import session_key

IDS = ["user@example.com", "+14155550123", "us-east-1:0f8b", "19:meeting_x@thread.v2", "a b", "[bold]", "[x", "Zoë"]


@pytest.mark.slow
@pytest.mark.parametrize("given", IDS)
def test_a_session_is_named_and_shown_by_its_id_as_given(keep, run, facts, conversation, given, tmp_path):
    keep(session_key("alice", given), *conversation)
    whole = f"alice/{given}"

    assert whole in run("list").stdout
    (listed,) = facts("list")
    assert (listed["session"], listed["key"]) == (whole, session_key("alice", given))
    for name in ((whole,), (given, "--principal", "alice")):
        assert "Sunny" in run("show", *name).stdout
        assert facts("show", *name)["session"] == whole
        assert len(facts("points", *name)) == 5
        assert facts("verify", *name)[0]["session"] == whole
    assert whole in run("verify", "--all").stdout
    assert run("fork", whole, f"{given} 2").stdout == f"alice/{given} 2 begins with 8 records of {whole}\n"
    assert facts("fork", whole, f"{given} 3")["session"] == f"alice/{given} 3"

    out = str(tmp_path / "strands")
    exported = facts("export", whole, out)
    assert exported["session"] == whole
    assert exported["agents"][0]["target_session"] == given
    assert facts("import", out, f"bob/{given}")["session"] == f"bob/{given}"
    assert "Sunny" in run("show", f"bob/{given}").stdout

    assert run("release", whole).stdout.startswith(f"{whole} is free already")
    assert facts("release", whole)["session"] == whole
    assert run("delete", whole, "--yes").stdout.startswith(f"{whole} is deleted")
    assert f"no session '{whole}'" in run("show", whole, code=1).stderr
    assert f"no session '{whole}'" in run("points", whole, code=1).stderr
    assert f"no session '{whole}'" in run("tail", whole, code=1).stderr
    assert f"no session '{whole}'" in run("delete", whole, "--yes", code=1).stderr


def test_questions_and_refusals_show_the_id_as_given(keep, run, said):
    keep(session_key("alice", "user@example.com"), [said("a")], stay=True)

    assert "Delete alice/user@example.com with its 1 records" in run("delete", "alice/user@example.com", code=1).stderr
    refused = run("delete", "alice/user@example.com", "--yes", code=1).stderr
    assert refused.startswith("error: alice/user@example.com is held by")


def test_an_escape_is_an_id_of_its_own(keep, run, said):
    """The form of a name in storage is no way around an id, and no way to another principal's session."""
    keep(session_key("default", "user@example.com"), [said("a")])

    assert "no session 'default/user=40example.com'" in run("show", "user=40example.com", code=1).stderr
    run("fork", "user@example.com", "user=40example.com")
    assert {line.split()[0] for line in run("list").stdout.splitlines()[1:]} == {
        "default/user@example.com",
        "default/user=40example.com",
    }


@pytest.mark.parametrize("wrong", ["a/b/c", "a\nb", "a\x1b[2J", "..", "", "x" * 251, "é" * 42])
def test_an_invalid_session_id_is_wrong_usage(run, wrong):
    run("show", wrong, code=2)


def test_a_prefix_that_leaves_no_room_is_wrong_usage(run):
    place = ["--bucket", "bucket", "--lock-table", "locks", "--prefix", "p" * 900]

    assert "shorten the prefix" in run("show", "talk", place=place, code=2).stderr


@pytest.mark.parametrize("text", ["[bold]x", "[/x]", "[link=http://example.com]"])
def test_no_name_is_taken_for_markup_on_a_terminal(monkeypatch, capsys, text):
    """Nor is that of an agent, or of a holder."""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with output.progress(f"checking {text}") as advance:
        advance(1, 1)
    with output.waiting(f"watching {text}"):
        pass

    shown = capsys.readouterr().err
    assert f"checking {text}" in shown
