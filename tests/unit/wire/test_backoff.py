"""Pauses between attempts grow to a limit, and jitter only shortens them."""

from __future__ import annotations

from itertools import islice

from segue.backoff import backoff


def test_pauses_double_up_to_the_longest() -> None:
    assert list(islice(backoff(0.5, 3.0, jitter=False), 5)) == [0.5, 1.0, 2.0, 3.0, 3.0]


def test_jitter_shortens_a_pause_by_half_at_most_and_differs_between_processes() -> None:
    pauses = [list(islice(backoff(1.0, 4.0), 4)) for _ in range(50)]
    for one in pauses:
        assert all(full / 2 <= pause <= full for pause, full in zip(one, (1.0, 2.0, 4.0, 4.0), strict=True))
    assert len({one[0] for one in pauses}) > 1
