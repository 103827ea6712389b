"""Puts up the stack once: emulator, deployment, workers behind relays."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from local.progress import Progress
from local.settings import Settings
from local.stack.stack import Stack
from tests.chaos.calls import Outcome, Place, Plan, play
from tests.chaos.faults import FaultRates
from tests.chaos.fleet import Fleet

WORKERS = 2


@dataclass(frozen=True)
class Stage:
    """An emulator, and what is deployed to it. Runs follow one another, each with workers and sessions of its own."""

    settings: Settings
    stack: Stack

    async def run(
        self, plan: Plan, faults: FaultRates, dice: random.Random, home: Path, tell: Callable[[str], None]
    ) -> Outcome:
        """Play.

        Args:
            plan: What is to happen.
            faults: Rates of faults on every hop but the clients' sockets.
            dice: Decides everything.
            home: Where its logs go.
            tell: Takes a line about what is happening.
        """
        model_log = home / "heard.jsonl"
        variables = {"SEGUE_REHEARSAL_LOG": str(model_log), "SEGUE_REHEARSAL_PACE": "0.5"}
        settings = replace(self.settings, home=home, worker_environment=variables)
        deployment = self.stack.deployment
        async with Fleet(settings, deployment, WORKERS, faults, dice) as fleet:
            tell("workers are ready")
            doors = {"api": deployment.websocket_url, "direct": fleet.direct_url}
            urls = tuple(doors.values()) if settings.transport == "both" else (doors[settings.transport],)
            place = Place(deployment, self.stack.issuer.token, fleet, model_log, dice, urls)
            outcome = await play(plan, place, tell)
            for name, injector in fleet.injectors.items():
                tell(f"{name}: " + ", ".join(f"{count} {fate}" for fate, count in sorted(injector.count.items())))
            return outcome


@asynccontextmanager
async def deployed(home: Path, transport: str = "api") -> AsyncIterator[Stage]:
    """Deploy to an emulator of its own.

    Args:
        home: Where state and logs go.
        transport: The door of the calls: "api", "direct", or "both", which they take in turn.
    """
    settings = replace(Settings(), home=home, port=0, workers=0, transport=transport, forked=True)
    async with Stack(settings, Progress()) as stack:
        yield Stage(settings, stack)
