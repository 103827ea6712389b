"""Commands on a session with damaged records: they read the rest, name the gap, and can make readers skip it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from segue.journal.blocks import unpack
from segue.journal.records import Record
from tests.unit.cli.conftest import NOON

KEY = "default/talk"

DAMAGED = {
    "cannot be decoded": (b'"user"', b'"\xff"'),
    "has not the shape of its kind": (b'"message": {"role"', b'"no message": {"role"'),
}


@pytest.fixture(params=DAMAGED.values(), ids=DAMAGED)
def damaged(request: pytest.FixtureRequest, keep: Any, conversation: Any, directory: Path) -> Path:
    """The segment whose only record, number 1, is damaged."""
    keep(KEY, *conversation)
    (path,) = (directory / "sessions").rglob("segments/1-*.json")
    body = json.dumps(json.loads(unpack(path.read_bytes()))).encode()
    old, new = request.param
    assert old in body
    path.write_bytes(body.replace(old, new))
    return path


def segments(directory: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in (directory / "sessions").rglob("*.json")}


def named(result: Any) -> bool:
    return "record 1 is damaged, and left out" in result.stderr and "segue sessions verify" in result.stderr


def test_show_prints_the_undamaged_records_and_names_the_gap(damaged: Path, run: Any, facts: Any) -> None:
    result = run("show", "talk")

    assert "What is the weather in Paris?" not in result.stdout
    assert "Sunny, all day." in result.stdout
    assert named(result)
    (gap,) = facts("show", "talk")["damaged"]
    assert (gap["record"], gap["object"].endswith(damaged.name)) == (1, True)


@pytest.mark.slow
def test_points_fork_export_and_tail_read_the_rest(damaged: Path, run: Any, facts: Any, tmp_path: Path) -> None:
    points = run("points", "talk")
    assert len(points.stdout.splitlines()) == 6

    forked = run("fork", "talk", "copy", "--at", "8")
    assert named(forked)
    assert "Sunny, all day." in run("show", "copy").stdout
    assert run("show", "copy").stderr == ""
    assert run("verify", "copy").stdout.splitlines()[1].split()[1] == "sound"

    exported = run("export", "talk", str(tmp_path / "strands"), "--json")
    assert named(exported)
    assert json.loads(exported.stdout)["damaged"][0]["record"] == 1


@pytest.mark.slow
def test_repair_makes_readers_skip_it_and_rewrites_nothing(
    damaged: Path, run: Any, facts: Any, directory: Path
) -> None:
    before = segments(directory)
    assert run("verify", "talk", code=1).stdout.splitlines()[1].split()[1] == "damaged"

    result = run("verify", "talk", "--repair")

    assert "skip record 1 from now on" in result.stderr
    assert result.stdout.splitlines()[1].split()[1] == "sound"
    assert "[skipped]" in result.stdout
    after = segments(directory)
    assert {path: after[path] for path in before} == before
    assert sum("damaged" in path.parts for path in after) == 1
    assert "Sunny, all day." in run("show", "talk").stdout
    assert run("show", "talk").stderr == ""
    assert facts("verify", "talk")[0]["head"] == 9
    assert run("verify", "talk", "--repair").stderr == "", "once is enough"
    assert run("verify", "--all").stdout.splitlines()[1].split()[1] == "sound"


@pytest.mark.slow
def test_repair_does_not_take_a_session_from_a_living_holder(
    keep: Any, run: Any, conversation: Any, directory: Path
) -> None:
    keep(KEY, *conversation, stay=True)
    (path,) = (directory / "sessions").rglob("segments/1-*.json")
    path.write_bytes(unpack(path.read_bytes()).replace(b'"user"', b'"\xff"'))

    assert "which lives" in run("verify", "talk", "--repair", code=1).stderr


@pytest.mark.slow
def test_repair_leaves_other_damage_to_people(keep: Any, run: Any, conversation: Any, directory: Path) -> None:
    keep(KEY, *conversation)
    (path,) = (directory / "sessions").rglob("segments/1-*.json")
    path.write_bytes(unpack(path.read_bytes()).replace(b'"user"', b'"\xff"'))
    (lost,) = (directory / "sessions").rglob("segments/0-*.json")
    lost.unlink()

    result = run("verify", "talk", "--repair", code=1)

    assert "is not repaired" in result.stderr
    assert "[missing]" in result.stdout


def test_every_value_can_be_shown_and_what_strands_cannot_carry_is_named(
    keep: Any, run: Any, facts: Any, said: Callable[..., Record], tmp_path: Path
) -> None:
    state = {
        "tuple": (1,),
        "nan": math.nan,
        "keys": {1: "one"},
        "looks": {"__bytes_encoded__": True, "data": 5},
        "half": "a\ud800",
    }
    keep(KEY, [said("Hi"), Record(kind="agent", data={"class": "Agent"}), Record(kind="state", data=state, at=NOON)])

    assert run("show", "talk").stdout
    shown = facts("show", "talk")
    assert shown["escaped"] == 1
    assert shown["agents"]["default"]["state"]["tuple"] == {"$tuple": [1]}

    exported = run("export", "talk", str(tmp_path / "strands"))
    for change in (
        "default.state.tuple: a tuple becomes a list",
        "default.state.keys: the key 1 becomes a text",
        "default.state.looks: a dictionary that Strands would take for encoded bytes is replaced by a text",
        "default.state.half: half a surrogate pair becomes U+FFFD",
    ):
        assert f"changed, since Strands cannot carry it: {change}" in exported.stderr
    assert "nan" not in exported.stderr
    run("import", str(tmp_path / "strands"), "back", "--from", "talk")
    back = facts("show", "back")["agents"]["default"]["state"]
    assert back["tuple"] == [1]
    assert back["keys"] == {"1": "one"}
