"""Puts up the stack once: emulator, deployment, workers behind relays."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from local import deployment as deployed
from local.deploy import Toolkit
from local.emulator import Emulator
from local.processes import Guard
from local.progress import Progress
from local.settings import Settings
from local.stack import new_version
from tests.chaos.calls import Outcome, Place, Plan, play
from tests.chaos.fleet import Fleet
from tests.chaos.weather import Weather

WORKERS = 2


async def run(plan: Plan, weather: Weather, dice: random.Random, home: Path, tell: Callable[[str], None]) -> Outcome:
    """Deploy to an emulator of its own and play.

    Args:
        plan: What is to happen.
        weather: On every hop but the clients' sockets.
        dice: Decides everything.
        home: Where state and logs go.
        tell: Takes a line about what is happening.
    """
    model_log = home / "heard.jsonl"
    variables = {"SEGUE_REHEARSAL_LOG": str(model_log), "SEGUE_REHEARSAL_PACE": "0.5"}
    settings = replace(Settings(), home=home, port=0, workers=WORKERS, worker_environment=variables)
    home.mkdir(parents=True, exist_ok=True)
    guard = Guard()
    emulator = Emulator(settings, guard)
    await guard.start()
    try:
        await emulator.start()
        outputs = await Toolkit(settings, guard, Progress()).deploy(emulator.url, new_version(), WORKERS)
        deployment = await asyncio.to_thread(deployed.read, emulator.url, outputs)
        tell("deployed")
        async with Fleet(settings, deployment, WORKERS, weather, dice) as fleet:
            tell("workers are ready")
            outcome = await play(plan, Place(deployment, fleet, model_log, dice), tell)
            for name, sky in fleet.skies.items():
                tell(f"{name}: " + ", ".join(f"{count} {fate}" for fate, count in sorted(sky.count.items())))
            return outcome
    finally:
        await emulator.stop()
        await guard.stop()
