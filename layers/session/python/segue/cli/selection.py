"""Options of ``list`` and ``watch``: which sessions, in what order, and how many."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, get_args

import click

from segue.admin.listing import SessionFacts, State
from segue.lease.item_check import born_at

_ENDED = frozenset({"deleted", "expired"})


def _time(_ctx: click.Context, _option: click.Parameter, value: str | None) -> float | None:
    """Return seconds since 1970 of an ISO 8601 time, in UTC unless it says otherwise.

    Raises:
        click.BadParameter: It is none.
    """
    if value is None:
        return None
    try:
        when = datetime.fromisoformat(value)
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is no time: give it as 2026-09-29 or 2026-09-29T12:00:00Z") from error
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


def began_at(one: SessionFacts) -> float | None:
    """Return when a session began, in seconds since 1970; None if its item does not tell."""
    with contextlib.suppress(ValueError):
        return None if one.born is None else born_at(one.born)
    return None


ORDERS: dict[str, Callable[[SessionFacts], Any]] = {
    "session": lambda one: one.session,
    "state": lambda one: one.state,
    "holder": lambda one: one.holder,
    "epoch": lambda one: one.epoch,
    "head": lambda one: one.head,
    "began": began_at,
    "expires": lambda one: one.expires_at,
}


@dataclass(frozen=True)
class Selection:
    """The sessions that a command's options name."""

    ended: bool
    states: tuple[State, ...]
    began_after: float | None
    began_before: float | None
    expires_after: float | None
    expires_before: float | None
    sort: str | None
    reverse: bool
    limit: int | None

    def takes(self, one: SessionFacts) -> bool:
        """Tell whether a session is one of them."""
        wanted = one.state in self.states if self.states else self.ended or one.state not in _ENDED
        within = _within(began_at(one), self.began_after, self.began_before)
        return wanted and within and _within(one.expires_at, self.expires_after, self.expires_before)

    def select(self, found: Iterable[SessionFacts]) -> list[SessionFacts]:
        """Return them in the order that was asked for; those without the fact come last."""
        chosen = [one for one in found if self.takes(one)]
        if self.sort is not None:
            order = ORDERS[self.sort]
            known = sorted((one for one in chosen if order(one) is not None), key=order, reverse=self.reverse)
            chosen = [*known, *(one for one in chosen if order(one) is None)]
        elif self.reverse:
            chosen.reverse()
        return chosen if self.limit is None else chosen[: self.limit]


def _within(when: float | None, after: float | None, before: float | None) -> bool:
    if after is None and before is None:
        return True
    return when is not None and (after is None or when >= after) and (before is None or when < before)


_OPTIONS: tuple[Callable[[Any], Any], ...] = (
    click.option("--all", "ended", is_flag=True, help="Include sessions that were deleted or have expired."),
    click.option(
        "--state",
        "states",
        multiple=True,
        type=click.Choice(get_args(State)),
        help="Only sessions in this state; repeatable.",
    ),
    click.option(
        "--began-after", callback=_time, metavar="TIME", help="Only sessions that began then or later (ISO 8601, UTC)."
    ),
    click.option("--began-before", callback=_time, metavar="TIME", help="Only sessions that began earlier."),
    click.option("--expires-after", callback=_time, metavar="TIME", help="Only sessions that expire then or later."),
    click.option("--expires-before", callback=_time, metavar="TIME", help="Only sessions that expire earlier."),
    click.option("--sort", type=click.Choice(list(ORDERS)), help="Order.  [default: by session]"),
    click.option("--reverse", is_flag=True, help="Reverse the order."),
    click.option("--limit", type=click.IntRange(min=1), help="Number of sessions at most.  [default: all]"),
)


def selecting(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that choose sessions, as one argument ``selection``."""

    @functools.wraps(command)
    def collected(*args: Any, **options: Any) -> Any:
        chosen = {name: options.pop(name) for name in Selection.__dataclass_fields__}
        return command(*args, selection=Selection(**chosen), **options)

    for option in reversed(_OPTIONS):
        collected = option(collected)
    return collected
