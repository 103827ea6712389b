from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

import segue.admin.silent_holders
from segue.session.runtime import Runtime


@pytest.mark.slow
def test_a_list_says_who_holds_what(keep, run, said):
    keep("default/free", [said("a")], [said("b")])
    keep("alice/held", [said("a")], stay=True)

    lines = run("list").stdout.splitlines()

    assert lines[0].split() == ["SESSION", "STATE", "HOLDER", "EPOCH", "HEAD", "EXPIRES"]
    assert lines[1].split()[:2] == ["alice/held", "held"]
    assert "a worker" in lines[1]
    assert lines[2].split()[:4] == ["default/free", "free", "2", "2"]
    assert len(lines) == 3


def test_json_of_list_has_fixed_names(keep, facts, stores, said):
    keep("alice/notes", [said("a")], [said("b")])
    item = Runtime.shared().run_sync(stores.guard.read("alice/notes"))

    assert facts("list") == [
        {
            "session": "alice/notes",
            "key": "alice/notes",
            "state": "free",
            "stale": None,
            "holder": None,
            "epoch": 2,
            "beat": item["beat"],
            "head": 2,
            "pages": 0,
            "segments": 2,
            "unswept": False,
            "expires_at": datetime.fromtimestamp(item["expires_at"], UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "born": item["born"],
            "prefix": None,
            "problem": None,
        }
    ]


def test_a_list_of_one_principal(keep, facts):
    keep("alice/notes")
    keep("alicia/notes")

    assert [one["session"] for one in facts("list", "--principal", "alice")] == ["alice/notes"]


def test_ended_sessions_are_listed_on_demand(keep, facts):
    Runtime.shared().run_sync(keep("alice/gone", stay=True).delete())
    keep("alice/notes")

    assert [one["session"] for one in facts("list")] == ["alice/notes"]
    assert [(one["session"], one["state"]) for one in facts("list", "--all")] == [
        ("alice/gone", "deleted"),
        ("alice/notes", "free"),
    ]


def test_an_unreadable_item_is_listed(keep, run, facts, directory):
    keep("alice/notes")
    (directory / "guard" / "alice" / "broken.json").write_text("{")

    result = run("list", code=1)

    assert "unreadable" in result.stdout
    assert "alice/notes" in result.stdout
    assert "not a readable guard item" in result.stderr
    assert [one["state"] for one in facts("list", code=1)] == ["unreadable", "free"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [{"expires_at": 0}, {"expires_at": 10**18}, {"pages": 10**18}, {"head": None}, {"tail": ["x"]}, {"schema": 99}],
    ids=str,
)
def test_an_item_that_cannot_be_right_is_named_and_the_others_are_listed(keep, run, facts, directory, change, said):
    keep("alice/notes", [said("a")])
    keep("alice/wrong", [said("a")])
    path = directory / "guard" / "alice" / "wrong.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    before = path.read_text()

    result = run("list", code=1)

    assert result.stderr.startswith("alice/wrong: alice/wrong: ")
    found = facts("list", code=1)
    assert [(one["session"], one["state"]) for one in found] == [("alice/notes", "free"), ("alice/wrong", "unreadable")]
    for command in (("release", "alice/wrong"), ("delete", "alice/wrong", "--yes"), ("show", "alice/wrong")):
        assert "segue sessions verify" in run(*command, code=1).stderr
    assert run("verify", "--all", code=1).stdout.count("damaged") == 1
    assert path.read_text() == before
    assert len(list(directory.glob("sessions/alice/wrong/**/*.json"))) == 1


def test_a_list_without_sessions_is_empty_and_says_so(run, facts):
    assert run("list").stdout == ""
    assert "no sessions" in run("list").stderr
    assert facts("list") == []


def test_points_are_listed(keep, run, facts, conversation):
    keep("default/talk", *conversation)

    found = facts("points", "talk")

    assert [one["records"] for one in found] == [1, 2, 4, 6, 8]
    assert list(found[0]) == ["records", "epoch", "commit_id", "at"]
    assert found[1]["at"] == "2026-09-29T12:00:01.000Z"
    lines = run("points", "talk").stdout.splitlines()
    assert lines[0].split() == ["RECORDS", "AT", "EPOCH", "COMMIT"]
    assert lines[1].split() == ["1", "2026-09-29T12:00:00.000Z", "1", found[0]["commit_id"]]


@pytest.mark.parametrize("command", ["points", "show", "release", "delete", "tail"])
def test_commands_on_a_missing_session_say_that_there_is_none(run, command):
    result = run(command, "talk", code=1)

    assert result.stdout == ""
    assert result.stderr == "error: no session 'default/talk': check the id, or let an agent create it\n"


@pytest.mark.slow
def test_a_holder_that_is_silent_for_a_lease_is_stale_and_one_that_lives_is_not(keep, run, facts, said):
    keep("alice/dead", [said("a")], crash=True)
    keep("alice/free", [said("a")])
    keep("alice/lives", [said("a")], stay=True)

    found = facts("list")

    assert [(one["key"], one["state"], one["stale"]) for one in found] == [
        ("alice/dead", "held", True),
        ("alice/free", "free", None),
        ("alice/lives", "held", False),
    ]
    assert [line.split()[1] for line in run("list").stdout.splitlines()] == ["STATE", "stale", "free", "held"]


def test_a_list_that_watches_nothing_says_of_no_holder_that_it_is_stale(keep, facts, said):
    keep("alice/dead", [said("a")], crash=True)

    assert [(one["state"], one["stale"]) for one in facts("list", "--no-watch")] == [("held", None)]


@pytest.mark.slow
def test_a_holder_that_releases_while_it_is_watched_is_not_stale(keep, facts, said, monkeypatch):
    session = keep("alice/leaves", [said("a")], stay=True)
    read = segue.admin.silent_holders._is_unchanged

    async def released(stores, seen):
        await session.close()
        return await read(stores, seen)

    monkeypatch.setattr(segue.admin.silent_holders, "_is_unchanged", released)

    assert [one["stale"] for one in facts("list")] == [False]
