"""A bounded dictionary forgets the entry that was least recently set or used."""

from __future__ import annotations

from segue.bounded import BoundedDict


def test_the_oldest_entry_goes_when_one_more_is_set() -> None:
    kept: BoundedDict[str, int] = BoundedDict(2)
    for number, key in enumerate("abc"):
        kept[key] = number
    assert dict(kept) == {"b": 1, "c": 2}


def test_setting_and_using_an_entry_make_it_the_newest() -> None:
    kept: BoundedDict[str, int] = BoundedDict(3)
    for key in "abc":
        kept[key] = 0
    kept["a"] = 1
    assert kept.use("b") == 0
    assert kept.get("c") == 0
    kept["d"] = 2
    assert list(kept) == ["a", "b", "d"]
    assert kept.use("c") is None


def test_setdefault_removes_the_oldest_entry_too() -> None:
    kept: BoundedDict[str, int] = BoundedDict(1)
    kept.setdefault("a", 1)
    kept.setdefault("b", 2)
    assert dict(kept) == {"b": 2}
