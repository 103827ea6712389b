"""``principals delete``: everything of one person, and nothing of another."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from segue import StorageUnavailable
from segue.admin import Sessions
from segue.cli.app import segue

OLD = "20200101T000000Z-" + "0" * 32


def delete(directory: Path, *options: str, code: int = 0) -> Any:
    arguments = ["principals", "delete", "alice", "--directory", str(directory), "--yes", "--json", *options]
    result = CliRunner().invoke(segue, arguments)
    assert result.exit_code == code, (result.output, result.exception)
    return json.loads(result.stdout)


def objects(directory: Path, principal: str) -> list[str]:
    return [str(path) for path in directory.rglob("*.json") if f"/sessions/{principal}/" in f"{path}"]


def names(directory: Path) -> set[str]:
    return {one.session for one in Sessions.directory(directory).list()}


@pytest.mark.slow
def test_everything_of_a_principal_is_deleted_and_nothing_of_another(keep, conversation, directory) -> None:
    for key in ("alice/one", "alice/two", "alice2/one", "bob/one"):
        keep(key, *conversation)
    Sessions.directory(directory).delete("alice/two")

    done = delete(directory)

    assert (done["complete"], done["sessions"], done["held"]) == (True, 1, {})
    assert names(directory) == {"alice2/one", "bob/one"}
    assert not objects(directory, "alice")
    assert objects(directory, "bob")
    assert delete(directory)["sessions"] == 0, "a second run has nothing to do"


def test_a_held_session_is_named_and_left(keep, conversation, directory) -> None:
    keep("alice/one", *conversation)
    keep("alice/two", *conversation, stay=True, holder="worker-1")

    done = delete(directory, code=1)

    assert done["held"] == {"alice/two": "worker-1"}
    assert done["sessions"] == 1
    assert names(directory) == {"alice/two"}
    assert objects(directory, "alice")


def test_a_run_that_was_cut_short_is_finished_by_the_next(keep, conversation, directory, monkeypatch) -> None:
    from segue.admin import principals

    for key in ("alice/one", "alice/two", "alice/three"):
        keep(key, *conversation)
    monkeypatch.setattr(principals, "READS", 1)

    def interrupt(done: int, _total: int) -> None:
        if done == 2:
            raise StorageUnavailable("as the test wants it")

    with pytest.raises(StorageUnavailable):
        Sessions.directory(directory).delete_principal("alice", progress=interrupt)
    assert len(names(directory)) == 1

    assert delete(directory)["sessions"] == 1
    assert not objects(directory, "alice")


def test_objects_of_no_session_are_deleted_when_they_are_old(keep, conversation, directory) -> None:
    keep("alice/one", *conversation)
    root = Path(objects(directory, "alice")[0].split("/sessions/alice/")[0]) / "sessions"
    for name in ("alice/gone", "alice2/gone"):
        folder = root / name / OLD / "segments"
        folder.mkdir(parents=True)
        (folder / "0-1-x.json").write_text("{}")

    assert delete(directory)["complete"]
    assert not objects(directory, "alice")
    assert len(objects(directory, "alice2")) == 1


def test_a_principal_that_cannot_be_one_is_refused(directory) -> None:
    arguments = ["principals", "delete", "a/b", "--directory", str(directory), "--yes"]
    assert CliRunner().invoke(segue, arguments).exit_code == 2


def test_a_users_principal_is_named_by_either_command():
    of = ["--issuer", "https://issuer.example", "--subject", "alice"]
    told = {CliRunner().invoke(segue, [*command, *of]).output for command in (["principal"], ["principals", "name"])}
    assert told == {"57946ba88450cba6975a58227a0ec28d\n"}
    overview = CliRunner().invoke(segue, ["--help"]).output
    assert "The same as `principals name`" in overview, "which of the two to use"


def test_a_deletion_in_a_directory_that_is_not_there_is_wrong_usage(tmp_path: Path) -> None:
    absent = tmp_path / "not-there"

    result = CliRunner().invoke(segue, ["principals", "delete", "alice", "--directory", str(absent), "--yes"])

    assert (result.exit_code, "there is no directory" in result.stderr) == (2, True)
    assert not absent.exists()
