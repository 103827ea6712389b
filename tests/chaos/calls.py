"""Some calls at once, an adversary, and the account at the end."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable

from tests.chaos.adversary import Adversary
from tests.chaos.call import Call, Kind
from tests.chaos.plan import Outcome, Place, Plan

__all__ = ["Outcome", "Place", "Plan", "play"]


async def play(plan: Plan, place: Place, tell: Callable[[str], None]) -> Outcome:
    """Talk on all calls until the adversary has done all that was planned."""
    over = asyncio.Event()
    kinds = list(Kind) if plan.mixed else [Kind.PLAIN]
    # Not by the dice: two runs on one deployment, with equal seeds, would talk in one session.
    calls = [
        Call(f"call-{uuid.uuid4().hex[:8]}", kinds[number % len(kinds)], place.url_of(number), place, plan)
        for number in range(plan.calls)
    ]
    adversary = Adversary(plan, place, calls, tell)
    talking = [asyncio.create_task(call.talk(over)) for call in calls]
    doing = asyncio.create_task(adversary.run())
    outcome = Outcome()
    try:
        # A call that ends before the adversary has failed.
        await asyncio.wait({doing, *talking}, return_when=asyncio.FIRST_COMPLETED)
        over.set()
        if doing.done():
            doing.result()
        for call, ended in zip(calls, await asyncio.gather(*talking, return_exceptions=True), strict=True):
            if isinstance(ended, BaseException):
                outcome.problems.append(f"{call.session}: {type(ended).__name__} {ended}")
    finally:
        for task in (doing, *talking):
            task.cancel()
        await asyncio.gather(doing, *talking, return_exceptions=True)
    for call in calls:
        await call.settle(outcome)
    adversary.settle(outcome)
    return outcome
