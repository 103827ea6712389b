"""Long files are dealt out first, with light ones between them; everything is dealt out once."""

from __future__ import annotations

from tests.support.scheduling import spread


def test_heavy_files_are_spread_among_the_light_ones() -> None:
    assert list(spread("AB", "12345678")) == list("A123B45678")
    assert list(spread("ABC", "1")) == list("A1BC")
    assert list(spread("", "12")) == list("12")
