"""Guard items that cannot be right, or are of a newer schema: named at once, and left alone."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from segue import JournalCorrupt
from segue.admin.verify import verify
from segue.cli.follow import Follower
from segue.lease.item import SCHEMA, GuardItem
from segue.session.runtime import Runtime
from tests.support.memory_manager import MemoryStorage
from tests.support.sessions import SHORT
from tests.support.waiting import eventually
from tests.unit.session.vandal import Sessions, Vandal, corrupt


async def test_an_item_of_a_newer_schema_is_left_alone(vandal: Vandal, memory_sessions: Sessions) -> None:
    vandal.change_item(schema=SCHEMA + 1, news="unknown")
    before = vandal.items["default/talk"]

    error = await corrupt(memory_sessions, "default/talk")

    assert "newer Segue" in str(error)
    assert vandal.items["default/talk"] == before


BEGUN_IN_2099 = "20990101T000000Z-" + "0" * 32


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"schema": "one"}, "not a guard item"),
        ({"schema": True}, "not a guard item"),
        ({"schema": 0}, "not a guard item"),
        ({"tail": ["garbage"]}, "its tail has 'garbage'"),
        ({"tail": ["0.1.../../x"]}, "its tail has '0.1.../../x'"),
        ({"tail": [7]}, "its tail has 7"),
        ({"tail": "0.1.x"}, "its tail is '0.1.x', not a list"),
        ({"tail": []}, "no commit of its "),
        ({"inputs": ["garbage"]}, "its inputs has 'garbage'"),
        ({"inputs": ["page-1 many "]}, "its inputs has"),
        ({"inputs": {"page-1": 3}}, "its inputs is"),
        ({"head": 3}, "beyond its head of 3"),
        ({"head": 0}, "beyond its head of 0"),
        ({"head": "4"}, "its head is '4'"),
        ({"head": 4.5}, "its head is 4.5"),
        ({"head": True}, "its head is True"),
        ({"head": 10**15}, "its head at 1000000000000000"),
        ({"head": 10**18}, "its head is 1000000000000000000"),
        ({"pages": 1}, "after 1 pages"),
        ({"pages": -1}, "its pages is -1"),
        ({"pages": 10**18}, "its pages is 1000000000000000000"),
        ({"pages": 10**15}, "objects for "),
        ({"volumes": "2"}, "its volumes is '2'"),
        ({"volumes": 1}, "its volumes is 1"),
        ({"volumes": "1"}, "of 0 pages"),
        ({"volumes": "1" * 300_000}, "of 0 pages"),
        ({"epoch": "2"}, "its epoch is '2'"),
        ({"epoch": -1}, "its epoch is -1"),
        ({"epoch": 0}, "epochs above its own"),
        ({"epoch": 10**30}, "its epoch is 1000000000000000000000000000000"),
        ({"beat": None}, "its beat is None"),
        ({"lease_ms": 10**12}, "its lease_ms is 1000000000000"),
        ({"acquire_id": "a", "holder": "h", "lease_ms": 0}, "without a holder's name"),
        ({"acquire_id": 7, "holder": "h"}, "its acquire_id is 7"),
        ({"acquire_id": "a"}, "without a holder's name"),
        ({"acquire_id": "a", "holder": ["h"]}, "its holder is ['h']"),
        ({"endpoint": 7}, "its endpoint is 7"),
        ({"born": ""}, "its born is ''"),
        ({"born": "../../other"}, "its born is '../../other'"),
        ({"born": "20261301T000000Z-" + "0" * 32}, "its born is '20261301"),
        ({"born": BEGUN_IN_2099}, "before the time in its born, 20990101"),
        ({"expires_at": 0}, "its expires_at of 0 is before"),
        ({"expires_at": 10**18}, "its expires_at is 1000000000000000000"),
        ({"expires_at": "never"}, "its expires_at is 'never'"),
        ({"commit_id": "other"}, "its last commit is 'other'"),
        ({"commit_id": None}, "its commit_id is None"),
        ({"scrub": "all"}, "its scrub is 'all'"),
        ({"scrub": "0 400"}, "its scrub names records ['400']"),
        ({"scrub": 3}, "its scrub is 3"),
        ({"prefix": 3}, "its prefix is 3"),
        ({"deleted": "yes"}, "its deleted is 'yes'"),
        ({"deleted": 1}, "its deleted is 1"),
        *(({name: ...}, f"its {name} is missing") for name in ("born", "epoch", "expires_at", "beat", "lease_ms")),
        *(({name: ...}, f"its {name} is missing") for name in ("head", "pages", "tail", "inputs")),
    ],
    ids=lambda each: f"{each}"[:60],
)
async def test_an_item_that_cannot_be_right_is_named_at_once_and_nothing_is_written(
    vandal: Vandal, memory_sessions: Sessions, storage: MemoryStorage, change: dict[str, Any], problem: str
) -> None:
    vandal.change_item(**change)
    for name in [name for name, value in change.items() if value is ...]:
        del vandal.items["default/talk"][name]
    items, objects = copy.deepcopy(vandal.items), dict(vandal.objects)
    storage.requests.clear()

    with pytest.raises(JournalCorrupt) as found:
        await memory_sessions().open()

    assert problem in str(found.value)
    assert len(str(found.value)) < 2_000
    assert storage.requests == [("read", "default/talk")]
    assert (vandal.items, vandal.objects) == (items, objects)


async def test_an_item_that_names_absurdly_many_pages_is_corrupt_at_once(
    vandal: Vandal, memory_sessions: Sessions, storage: MemoryStorage
) -> None:
    """Nothing contradicts it but that the objects are missing."""
    many = 10**12
    epoch = int(vandal.items["default/talk"]["epoch"])  # type: ignore[call-overload]
    absurd = {"pages": many, "head": many + 1, "tail": [f"{many}.{epoch}.x"], "commit_id": "x"}
    vandal.change_item(**absurd)

    for _ in range(2):
        with pytest.raises(JournalCorrupt, match=r"pages/\d+\.json: named by the guard, but not there"):
            await memory_sessions().open()
    report = await verify(storage.stores(), "default/talk", Runtime.shared().clock)
    follower = Follower(storage.stores(), "default/talk", Runtime.shared().clock, 0.001)
    await follower.start_before_head(1)
    follower.position = 0
    with pytest.raises(JournalCorrupt, match="named by the guard, but not there"):
        await follower.more()

    assert f"pages 16 to {many - 1} are named by the guard, but not there" in [one.problem for one in report.findings]


def test_malformed_attributes_of_dynamodb_are_named() -> None:
    attributes = {"schema": {"N": "1"}, "epoch": {"N": "1.5"}, "beat": {"NULL": True}, "tail": {"SS": ["a"]}}
    with pytest.raises(JournalCorrupt) as found:
        GuardItem.from_attributes({**attributes, "head": {"M": {}}, "born": {"B": b"x"}})
    for problem in ("its epoch is '1.5'", "its beat is True", "its tail has 'a'", "its head is {}", "its born is b'x'"):
        assert problem in str(found.value)


@pytest.mark.parametrize("content", ["[]", "7", "null", "{", "\xff", "[" * 100_000], ids=lambda each: each[:5])
async def test_a_file_that_is_no_item_is_named(tmp_path: Path, file_sessions: Sessions, content: str) -> None:
    path = tmp_path / "segue" / "guard" / "default" / "talk.json"
    path.parent.mkdir(parents=True)
    path.write_text(content, encoding="latin-1")

    with pytest.raises(JournalCorrupt, match="not a readable guard item"):
        await file_sessions().open()

    assert path.read_text(encoding="latin-1") == content


@pytest.mark.slow
async def test_a_holder_whose_item_was_spoilt_says_so_and_writes_nothing_more(
    vandal: Vandal, memory_sessions: Sessions
) -> None:
    manager = memory_sessions(lease=SHORT)
    await manager.open()
    vandal.change_item(pages=10**18)

    await eventually(lambda: isinstance(manager._session.live.failure, JournalCorrupt))

    spoilt = dict(vandal.items["default/talk"])
    with pytest.raises(JournalCorrupt, match="its pages is 1000000000000000000"):
        await manager.durable(manager.position + 1)
    assert not manager._session.heartbeat._scheduled
    assert vandal.items["default/talk"] == spoilt


async def test_an_item_that_something_else_wrote_is_left_alone(vandal: Vandal, memory_sessions: Sessions) -> None:
    vandal.items["default/talk"] = {"session_key": "default/talk", "LockID": "terraform"}

    await corrupt(memory_sessions, "default/talk")
