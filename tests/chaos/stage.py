"""Puts up the stack once: emulator, deployment, workers behind relays."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from local.progress import Progress
from local.settings import Settings
from local.stack.stack import Stack
from tests.chaos.calls import Outcome, Place, Plan, play
from tests.chaos.faults import FaultRates
from tests.chaos.fleet import Fleet

WORKERS = 2


async def run(
    plan: Plan,
    faults: FaultRates,
    dice: random.Random,
    home: Path,
    tell: Callable[[str], None],
    transport: str = "api",
) -> Outcome:
    """Deploy to an emulator of its own and play.

    Args:
        plan: What is to happen.
        faults: Rates of faults on every hop but the clients' sockets.
        dice: Decides everything.
        home: Where state and logs go.
        tell: Takes a line about what is happening.
        transport: The door of the calls: "api", "direct", or "both", which they take in turn.
    """
    model_log = home / "heard.jsonl"
    variables = {"SEGUE_REHEARSAL_LOG": str(model_log), "SEGUE_REHEARSAL_PACE": "0.5"}
    settings = replace(Settings(), home=home, port=0, workers=0, worker_environment=variables, transport=transport)
    async with Stack(settings, Progress()) as stack:
        tell("deployed")
        async with Fleet(settings, stack.deployment, WORKERS, faults, dice) as fleet:
            tell("workers are ready")
            doors = {"api": stack.deployment.websocket_url, "direct": fleet.direct_url}
            urls = tuple(doors.values()) if transport == "both" else (doors[transport],)
            place = Place(stack.deployment, stack.issuer.token, fleet, model_log, dice, urls)
            outcome = await play(plan, place, tell)
            for name, injector in fleet.injectors.items():
                tell(f"{name}: " + ", ".join(f"{count} {fate}" for fate, count in sorted(injector.count.items())))
            return outcome
