"""Connections: coming back to a session, and a long pause."""

from __future__ import annotations

import asyncio

from smoke.call import calling
from smoke.report import State
from smoke.visit import Outcome, Step, Visit, in_time


async def returned(visit: Visit) -> Outcome:
    """Come back with a new client, which finds what was said before, at whichever holder.

    The committed records are counted: ``history`` is what the holder's agent started with, nothing if it is the same.
    """
    async with calling(visit.client()) as call:
        ready = call.client.ready
        records = ready.head if ready else 0
        seconds, _ = await call.ask("Say hello again", visit.pace.answer_seconds)
    return Outcome(
        came=f"{records} records before, the next answer after {seconds * 1000:.0f} ms",
        state=State.WELL if records >= 2 else State.DIFFERS,
        figures={"records": records},
    )


async def idle(visit: Visit) -> Outcome:
    """Say nothing for long, then one frame: flows and pooled connections between may have been dropped."""
    if not visit.idle_seconds:
        return Outcome(came="not asked for (--long)", state=State.SKIPPED)
    call = visit.open_call
    connection, epoch = call.client.connection, call.client.epoch
    await asyncio.sleep(visit.idle_seconds)
    seconds, _ = await call.ask("Say that you are still there", visit.pace.answer_seconds)
    is_unchanged = call.client.connection == connection and call.client.epoch == epoch
    return Outcome(
        came=f"answered {seconds * 1000:.0f} ms after {visit.idle_seconds:g} s of silence, "
        + ("same connection and holder" if is_unchanged else "on another connection or by another holder"),
        state=in_time(seconds, 10.0) if is_unchanged else State.DIFFERS,
        figures={"answer": round(seconds * 1000, 1)},
    )


RETURNED = Step("coming back", "the session remembers", "docs/sessions.md", returned)
IDLE = Step(
    "a long pause, then one frame",
    "answered within 10 s, on the same connection and by the same holder",
    "docs/operations.md",
    idle,
)
