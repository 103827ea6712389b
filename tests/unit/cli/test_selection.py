"""Sessions that are chosen, sorted, streamed and watched."""

from __future__ import annotations

import json

from segue.lease.item_check import born_at


def named(found: list[dict[str, object]]) -> list[object]:
    return [one["session"] for one in found]


def test_sessions_are_chosen_by_state_and_time(keep, facts, said) -> None:
    keep("default/free", [said("a")])
    keep("default/held", [said("a")], stay=True)
    began = facts("list", "--no-watch")[0]["born"]
    assert born_at(str(began)) > 0

    assert named(facts("list", "--no-watch", "--state", "held")) == ["default/held"]
    assert named(facts("list", "--no-watch", "--state", "held", "--state", "free")) == ["default/free", "default/held"]
    assert named(facts("list", "--no-watch", "--began-after", "2020-01-01")) == ["default/free", "default/held"]
    assert named(facts("list", "--no-watch", "--began-before", "2020-01-01T12:00:00Z")) == []
    assert named(facts("list", "--no-watch", "--expires-before", "2020-01-01")) == []


def test_sessions_are_sorted_and_limited(keep, facts, run, said) -> None:
    keep("default/a", [said("a")])
    keep("default/b", [said("a")], [said("b")], [said("c")])
    keep("default/c", [said("a")], [said("b")])

    assert named(facts("list", "--sort", "head")) == ["default/a", "default/c", "default/b"]
    assert named(facts("list", "--sort", "head", "--reverse", "--limit", "2")) == ["default/b", "default/c"]
    assert named(facts("list", "--sort", "holder")) == ["default/a", "default/b", "default/c"], "none has a holder"
    run("list", "--began-after", "yesterday", code=2)
    run("list", "--stream", "--sort", "head", code=2)


def test_a_stream_prints_sessions_as_they_are_found(keep, run, said, monkeypatch) -> None:
    from segue.admin import listing

    monkeypatch.setattr(listing, "READS", 1)
    for name in ("a", "b", "c"):
        keep(f"default/{name}", [said(name)])

    lines = run("list", "--stream", "--json").stdout.splitlines()
    assert named([json.loads(line) for line in lines]) == ["default/a", "default/b", "default/c"]
    rows = run("list", "--stream", "--limit", "2").stdout.splitlines()
    assert [row.split("\t")[:2] for row in rows] == [["default/a", "free"], ["default/b", "free"]]


def test_a_watch_shows_holders_and_what_is_new(keep, run, said) -> None:
    keep("default/free", [said("a")])
    session = keep("default/held", [said("a")], stay=True)

    lines = run("watch", "--count", "1").stdout.splitlines()
    assert lines[1].split() == ["SESSION", "STATE", "HOLDER", "EPOCH", "BEAT", "HEAD", "NEW", "SILENT"]
    (look,) = run("watch", "--count", "1", "--state", "held", "--json").stdout.splitlines()
    (held,) = json.loads(look)["sessions"]

    assert (held["session"], held["holder"], held["epoch"], held["head"]) == ("default/held", "a worker", 1, 1)
    assert held["new"] == 0
    assert held["beat"] >= 1
    assert held["silent_s"] == 0
    assert session is not None


def test_a_watch_counts_records_between_two_looks(keep, said, directory) -> None:
    from segue.cli.location import Place
    from segue.cli.selection import Selection
    from segue.cli.watch import Watch
    from segue.session.runtime import Runtime

    session = keep("default/held", [said("a")], stay=True)
    place = Place(directory, None, None, "", None, None, None, None)
    watching = Watch(place, Selection(False, (), None, None, None, None, None, False, None))
    assert [row["new"] for row in watching.read_items()] == [0]

    session.append(said("b"), said("c"))
    Runtime.shared().run_sync(session.durable())

    (row,) = watching.read_items()
    assert (row["new"], row["head"]) == (2, 3)
