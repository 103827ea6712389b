"""A redeployment in the middle of a call: every text is answered once, by the old worker or by the new."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from smoke.call import is_answer, is_direct
from smoke.report import State, in_words, percentiles
from smoke.visit import Outcome, Step, Visit

Redeploy = Callable[[], Awaitable[None]]


def step(redeploy: Redeploy) -> Step:
    """The step that redeploys in this way."""

    async def work(visit: Visit) -> Outcome:
        return await redeployed(visit, redeploy)

    return Step(
        "a redeployment during the call",
        "another holder, every text answered once, on the same connection unless it leads to a worker itself",
        "docs/operations.md",
        work,
    )


async def redeployed(visit: Visit, redeploy: Redeploy) -> Outcome:
    """Ask one thing after another until the call is with another holder and the redeployment is over."""
    call = visit.open_call
    connection, epoch = call.client.connection, call.client.epoch or 0
    heard_before, deadline = len(call.heard), time.monotonic() + visit.pace.redeployed_seconds
    times: list[float] = []
    redeployment = asyncio.ensure_future(redeploy())
    try:
        while time.monotonic() < deadline and not (redeployment.done() and (call.client.epoch or 0) > epoch):
            seconds, _ = await call.ask(f"Say the number {len(times) + 1}", visit.pace.answer_seconds)
            times.append(seconds)
            await asyncio.sleep(visit.pace.text_pause_seconds)
        is_over = redeployment.done()
        if is_over:
            redeployment.result()
    finally:
        redeployment.cancel()
    records = [getattr(frame, "record", None) for _, frame in call.heard[heard_before:] if is_answer(frame)]
    figures = percentiles(times)
    has_moved, each_once = (call.client.epoch or 0) > epoch, len(records) == len(set(records))
    same_connection, direct = call.client.connection == connection, is_direct(call.client.ready)
    came = [
        f"{len(times)} texts answered {'once each' if each_once else 'more than once'} ({in_words(figures)})",
        f"holder of epoch {call.client.epoch} after {epoch}",
        "same connection" if same_connection else "a connection to another worker" if direct else "another connection",
    ]
    if not is_over:
        came.append(f"the redeployment is not over after {visit.pace.redeployed_seconds:g} s")
    is_well = is_over and has_moved and each_once and (same_connection or direct)
    return Outcome(came=", ".join(came), state=State.WELL if is_well else State.DIFFERS, figures=figures)


async def by_command(command: str) -> None:
    """Run a command of the shell that redeploys.

    Raises:
        OSError: It failed; with the end of what it said.
    """
    process = await asyncio.create_subprocess_shell(
        command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    if process.returncode:
        raise OSError(f"{command} ended with {process.returncode}: {output.decode(errors='replace')[-500:]}")
