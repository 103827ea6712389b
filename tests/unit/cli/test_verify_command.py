from __future__ import annotations

import json

import pytest

from segue.journal.blocks import unpack
from segue.lease.item import SCHEMA

KEY = "default/talk"


def objects(directory, part=""):
    return sorted(path for path in (directory / "sessions").rglob("*.json") if part in str(path))


def test_verify_of_a_sound_session_ends_with_0(keep, run, facts, conversation):
    keep(KEY, *conversation)

    lines = run("verify", "talk").stdout.splitlines()

    assert lines[0].split() == ["SESSION", "VERDICT", "STATE", "OBJECTS", "RECORDS", "DAMAGE", "WARNINGS", "NOTES"]
    assert lines[1].split() == [KEY, "sound", "free", "5", "8", "0", "0", "0"]
    assert len(lines) == 2
    (found,) = facts("verify", "talk")
    assert found.pop("bytes") > 0
    assert found == {
        "session": KEY,
        "ok": True,
        "state": "free",
        "epoch": 2,
        "head": 8,
        "objects": 5,
        "records": 8,
        "findings": [],
    }


@pytest.fixture
def kept(keep, conversation, directory):
    """The directory of a session."""
    keep(KEY, *conversation)
    return directory


def truncated(directory):
    path = objects(directory)[1]
    path.write_bytes(path.read_bytes()[:-10])


def missing(directory):
    objects(directory)[1].unlink()


def swapped(directory):
    one, other = objects(directory)[1:3]
    body = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(body)


def foreign(directory):
    path = objects(directory)[1]
    path.write_text(json.dumps({**json.loads(unpack(path.read_bytes())), "born": "another"}))


def newer(directory):
    path = objects(directory)[1]
    path.write_text(json.dumps({**json.loads(unpack(path.read_bytes())), "schema": 2}))


def newer_item(directory):
    path = directory / "guard" / "default" / "talk.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema": SCHEMA + 1}))


def truncated_item(directory):
    path = directory / "guard" / "default" / "talk.json"
    path.write_text(path.read_text()[:-10])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (truncated, "not a readable segment, page or volume"),
        (missing, "named by the guard, but not there"),
        (swapped, "the guard says"),
        (foreign, "belongs to a session born 'another'"),
        (newer, "written by a newer Segue (schema 2, this one reads 1): upgrade"),
        (newer_item, "written by a newer Segue"),
        (truncated_item, "not a readable guard item"),
    ],
)
def test_damage_is_named(kept, run, facts, damage, says):
    damage(kept)

    result = run("verify", "talk", code=1)

    assert says in result.stdout
    assert "damaged" in result.stdout.splitlines()[1]
    (found,) = facts("verify", "talk", code=1)
    assert not found["ok"]
    first = found["findings"][0]
    assert list(first) == ["severity", "code", "key", "problem"]
    assert first["severity"] == "damage"
    for command in ("show", "points", "fork"):
        refused = run(command, "talk", *(["copy"] if command == "fork" else []), code=1)
        assert refused.stdout == ""
        assert len(refused.stderr.splitlines()) == 1


def test_verify_fails_at_foreign_objects_and_not_at_notes(keep, run, conversation, directory):
    keep(KEY, *conversation)
    first = objects(directory)[0]
    first.with_name("9-1-neverCommitted.json").write_text("{}")
    result = run("verify", "talk")
    assert "note: " in result.stdout
    assert "[orphan]" in result.stdout

    first.with_name("stranger.json").write_text("{}")
    result = run("verify", "talk", code=1)
    assert result.stdout.splitlines()[1].split()[:2] == [KEY, "look"]
    assert "[foreign]" in result.stdout


def test_verify_takes_several_sessions_or_all(keep, run, facts, said, directory):
    keep(KEY, [said("a")])
    keep("alice/notes", [said("a")])
    (path,) = objects(directory, "alice")
    path.unlink()

    assert [one["ok"] for one in facts("verify", "--all", code=1)] == [False, True]
    assert [one["ok"] for one in facts("verify", "--all", "--principal", "default")] == [True]
    found = facts("verify", "alice/notes", "absent", "talk", code=1)
    assert [(one["session"], one["ok"]) for one in found] == [
        ("alice/notes", False),
        ("default/absent", False),
        (KEY, True),
    ]
    run("verify", code=2)
    run("verify", "talk", "--all", code=2)
