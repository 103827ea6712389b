"""The story: its steps in order, each of which becomes a line of the report whatever comes."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable

from websockets.exceptions import WebSocketException

from segue.client import ClientError
from smoke import connections, frames, handshakes, redeploy, stack, turns
from smoke.call import calling
from smoke.redeploy import Redeploy
from smoke.report import Line, Report, State
from smoke.stack import Stack
from smoke.visit import Outcome, Step, Visit

FAILURES = (TimeoutError, OSError, ClientError, WebSocketException, ValueError)
CALL_PAGE = "docs/deploy.md#the-first-call"


class Story:
    """The story of one visit, played.

    Attributes:
        report: The lines so far.
    """

    def __init__(self, visit: Visit, show: Callable[[Line], None] = lambda _: None) -> None:
        self.report = Report(visit.url, visit.session)
        self._visit = visit
        self._show = show
        self._stopped: str | None = None

    async def play(self, *, deployed: Stack | None = None, redeployment: Redeploy | None = None) -> Report:
        """Play everything.

        Args:
            deployed: The deployment's stack, for those who have credentials.
            redeployment: Redeploys; None leaves it out.
        """
        for step in (*handshakes.STEPS, *frames.STEPS):
            await self._try(step)
        async with self._call():
            for step in (turns.TYPED, turns.SPOKEN, turns.BARGE_IN, connections.IDLE):
                await self._try(step)
            if redeployment is not None:
                await self._try(redeploy.step(redeployment))
        await self._try(connections.RETURNED)
        if deployed is not None:
            await self._try(turns.TEXT_FUNCTION)
        await self._clean_up(deployed)
        return self.report

    @contextlib.asynccontextmanager
    async def _call(self) -> AsyncIterator[None]:
        """The call that goes on through several steps; if there is none, they say so."""
        if self._stopped is not None:
            yield
            return
        async with contextlib.AsyncExitStack() as line:
            try:
                self._visit.call = await line.enter_async_context(calling(self._visit.client()))
            except FAILURES as error:
                self._stopped = f"no call: {_error_text(error)}"
                self._add(
                    Line(step="a call", expected="ready", came=_error_text(error), state=State.DIFFERS, page=CALL_PAGE)
                )
            yield
        self._visit.call = None

    async def _try(self, step: Step) -> None:
        if self._stopped is not None:
            outcome = Outcome(came=f"not tried: {self._stopped}", state=State.SKIPPED)
        else:
            try:
                outcome = await step.work(self._visit)
            except FAILURES as error:
                outcome = Outcome(came=_error_text(error), state=State.DIFFERS)
            if step.needed and outcome.state is State.DIFFERS:
                self._stopped = f"{step.name} differs"
        self._add(step.line(outcome))

    def _add(self, line: Line) -> None:
        self.report.lines.append(line)
        self._show(line)

    async def _clean_up(self, deployed: Stack | None) -> None:
        visit = self._visit
        owner = stack.principal(visit.token)
        if deployed is None:
            command = stack.command_line(stack.delete_command(owner, visit.session, {}))
            self.report.notes.append(f"what is left is one session; this deletes it: {command}")
            return

        async def work(_: Visit) -> Outcome:
            results = [await deployed.delete(owner, name) for name in (visit.session, f"{visit.session}-text")]
            return Outcome(came="; ".join(each.splitlines()[-1] for each in results))

        if self._stopped is None:
            await self._try(Step("cleaning up", "the sessions are deleted", "docs/cli.md", work))


def _error_text(error: BaseException) -> str:
    if isinstance(error, TimeoutError) and not str(error):
        return "nothing came in time"
    return f"{type(error).__name__}: {error}"
