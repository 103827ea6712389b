from __future__ import annotations

import json

import pytest

from segue.journal.blocks import unpack
from segue.journal.records import Record
from segue.lease.item import GuardItem
from segue.session.runtime import Runtime
from segue.storage.file import FileGuard
from tests.support.sessions import KEPT

KEY = "default/talk"


@pytest.fixture
def item(stores):
    def now(key=KEY):
        return GuardItem.parse(Runtime.shared().run_sync(stores.guard.read(key)))

    return now


def expire(directory, item):
    """Let a session have begun, and have been used last, long ago."""
    born = f"20200101T000000Z-{item.born.partition('-')[2]}"
    path = directory / "guard" / f"{item.session_key}.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"born": born, "expires_at": 1_600_000_000}))
    lives = directory / "sessions" / item.session_key
    (lives / item.born).rename(lives / born)


def objects(directory):
    return [path for path in (directory / "sessions").rglob("*") if path.is_file()]


def test_delete_asks_first(keep, run, said, item, directory):
    keep(KEY, [said("a")], [said("b")])

    refused = run("delete", "talk", code=1, input="n\n")
    assert "Delete default/talk with its 2 records for good?" in refused.stderr
    assert item().head == 2

    run("delete", "talk", input="y\n")
    assert item().deleted
    assert objects(directory) == []


def test_delete_with_yes_asks_nothing(keep, facts, said, item):
    keep(KEY, [said("a")], [said("b")])

    assert facts("delete", "talk", "--yes") == {"session": KEY, "deleted": True, "objects": 2}
    assert item().deleted


def test_the_id_of_a_deleted_session_may_begin_anew(keep, run, said, item):
    keep(KEY, [said("a")])
    run("delete", "talk", "--yes")
    before = item()
    keep(KEY, [said("b")])

    assert item().born != before.born
    assert item().epoch > before.epoch
    assert run("show", "talk").stdout.splitlines()[1].endswith("b")


def test_a_held_session_is_not_deleted(keep, run, said, item):
    session = keep(KEY, [said("a")], stay=True)

    result = run("delete", "talk", "--yes", code=1)

    assert result.stderr == (
        "error: default/talk is held by 'a worker' at epoch 1: stop that first, or use --force to wait until its "
        "lease has expired\n"
    )
    assert session.lease.held
    assert item().head == 1


def test_without_force_the_command_does_not_wait(keep, run, said, item):
    keep(KEY, [said("a")], crash=True)

    run("delete", "talk", "--yes", code=1)

    assert item().held
    assert item().head == 1


@pytest.mark.slow
def test_force_never_passes_over_a_living_holder(keep, run, said, item):
    session = keep(KEY, [said("a")], stay=True)

    result = run("delete", "talk", "--yes", "--force", code=1)

    assert "which lives: stop that first; a living holder is never passed over" in result.stderr
    session.append(said("b"))
    Runtime.shared().run_sync(session.durable())
    assert item().head == 2


def test_force_waits_for_a_dead_holder(keep, run, said, item, skipping_clock):
    keep(KEY, [said("a")], crash=True)
    assert item().held

    run("delete", "talk", "--yes", "--force")

    assert skipping_clock.now() >= KEPT.duration
    assert item().deleted
    assert item().epoch == 3


def test_a_damaged_session_can_be_deleted(keep, run, said, item, directory):
    keep(KEY, [said("a")])
    for path in objects(directory):
        path.write_text("{")

    run("show", "talk", code=1)
    run("delete", "talk", "--yes")

    assert item().deleted
    assert objects(directory) == []


def test_a_second_delete_removes_objects_written_after_the_first(keep, run, facts, said, directory):
    keep(KEY, [said("a")])
    (late,) = objects(directory)
    body = late.read_bytes()
    run("delete", "talk", "--yes")
    late.parent.mkdir(parents=True)
    late.write_bytes(body)

    assert facts("delete", "talk")["objects"] == 1
    assert "no session" in run("delete", "talk", code=1).stderr


@pytest.mark.usefixtures("skipping_clock")
def test_release_frees_what_a_dead_holder_holds(keep, run, facts, said, item):
    keep(KEY, [said("a")], crash=True)
    assert item().held

    assert facts("release", "talk") == {
        "session": KEY,
        "released": True,
        "holder": "a worker",
        "epoch": 3,
        "swept": False,
    }

    assert not item().held
    assert item().head == 1
    assert run("release", "talk").stdout == "default/talk is free already, at epoch 3\n"


@pytest.mark.slow
def test_release_forces_nothing(keep, run, said, item):
    session = keep(KEY, [said("a")], stay=True)

    result = run("release", "talk", code=1)

    assert "is held by 'a worker' at epoch 1, which lives" in result.stderr
    assert session.lease.held
    assert item().holder == "a worker"


@pytest.mark.slow
def test_release_finishes_a_redaction(keep, run, said, item, directory):
    """The crash is between the commit and the sweep."""
    keep(KEY, *([said(f"secret {number}", key=str(number))] for number in range(60)))
    (page,) = directory.rglob("pages/0.json")
    unswept = page.read_bytes()
    keep(KEY, [said("[redacted]", kind="redact", key="7")])
    page.write_bytes(unswept)
    guard = directory / "guard" / "default" / "talk.json"
    guard.write_text(guard.read_text().replace('"head"', '"scrub": "60", "head"'))
    assert "redaction of record 60 is not swept" in run("verify", "talk", code=1).stdout
    assert b'"secret 7"' in unpack(page.read_bytes())

    assert run("release", "talk").stdout == "default/talk is swept, at epoch 6\n"

    assert b'"secret 7"' not in unpack(page.read_bytes())
    assert b'"secret 8"' in unpack(page.read_bytes())
    run("verify", "talk")


@pytest.mark.usefixtures("skipping_clock")
def test_release_of_a_damaged_session_releases_and_says_so(keep, run, said, item, directory):
    keep(KEY, [said("a")], crash=True)
    for path in objects(directory):
        path.write_text("{")

    result = run("release", "talk", code=1)

    assert "segue sessions verify" in result.stderr
    assert not item().held


def test_a_session_that_ends_while_delete_asks_is_not_found(keep, run, monkeypatch, said):
    """The answer may take its time."""
    keep(KEY, [said("a")])
    real, reads = FileGuard.read, []

    async def read(self, key):
        reads.append(key)
        return None if len(reads) > 1 else await real(self, key)

    monkeypatch.setattr(FileGuard, "read", read)

    assert "no session" in run("delete", "talk", code=1, input="y\n").stderr


@pytest.mark.usefixtures("skipping_clock")
def test_records_are_untouched_by_a_release(keep, run, stores, said):
    keep(KEY, [said("a"), Record(kind="state", data={"n": 1})], crash=True)
    before = run("show", "talk", "--json").stdout

    run("release", "talk")

    assert run("show", "talk", "--json").stdout == before


def test_delete_removes_objects_of_an_expired_session(keep, facts, said, item, directory):
    keep(KEY, [said("a")], [said("b")])
    before = item()
    expire(directory, before)

    assert facts("delete", "talk", "--yes")["objects"] == 2
    assert item().deleted
    assert item().born != before.born, "no earlier holder can bring it back"
    assert not list(directory.glob("sessions/**/*.json"))
