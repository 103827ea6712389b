"""A session is claimed once in a while, and once more if another holder has died."""

from __future__ import annotations

from typing import Any

import pytest

from shared.ingress import recent_claims
from shared.ingress.recent_claims import QUIET_SECONDS, RecentClaims
from shared.ingress.routes import Route

HOLDER = Route("http://w1", "of the first acquisition")


@pytest.fixture
def recent(clock: Any) -> RecentClaims:
    return RecentClaims(clock)


def test_one_claim_suffices_for_a_while_and_only_for_its_session(recent: RecentClaims, clock: Any) -> None:
    assert not recent.suffice("p/s", "no-holder", None)
    recent.note_claim("p/s", None)
    assert recent.suffice("p/s", "no-holder", None)
    assert recent.suffice("p/s", "handoff", HOLDER)
    assert not recent.suffice("p/t", "no-holder", None)
    clock.now += QUIET_SECONDS
    assert not recent.suffice("p/s", "no-holder", None)


@pytest.mark.parametrize(
    "other",
    [Route("http://w2", "t"), Route(HOLDER.endpoint, "of its next acquisition")],
    ids=["another worker", "the same worker anew"],
)
def test_a_holder_that_came_since_and_has_died_is_news(recent: RecentClaims, other: Route) -> None:
    recent.note_claim("p/s", HOLDER)
    assert recent.suffice("p/s", "unreachable", HOLDER)
    assert not recent.suffice("p/s", "unreachable", other)


def test_the_number_of_remembered_claims_is_bounded(clock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent_claims, "REMEMBERED", 2)
    recent = RecentClaims(clock)
    for number in range(3):
        recent.note_claim(f"p/{number}", None)
    assert [recent.suffice(f"p/{number}", "no-holder", None) for number in range(3)] == [False, True, True]
