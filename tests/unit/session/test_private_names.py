"""A release of Strands that lacks a name that Segue needs is refused at the import, in one line."""

from __future__ import annotations

import pytest

from segue.strands.private import NEEDED, check, missing


def test_this_release_has_all_names() -> None:
    assert missing() == []


@pytest.mark.parametrize(
    "name",
    [
        "strands.none:Agent",
        "strands.agent.agent:NoAgent",
        "strands.agent.agent:Agent.__init__._renamed",
        "strands.hooks.events:BeforeToolCallEvent._renamed",
    ],
)
def test_a_name_that_is_not_there_is_missing(name: str) -> None:
    assert missing((*NEEDED, name)) == [name]


def test_a_missing_private_name_of_strands_is_reported_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("strands.agent._concurrency._ConcurrencyController.release_lock")

    with pytest.raises(ImportError) as refused:
        check()

    said = str(refused.value)
    assert said.startswith("strands-agents 1.")
    assert "lacks strands.agent._concurrency:_ConcurrencyController.release_lock: pip install 'strands-" in said
    assert "\n" not in said
