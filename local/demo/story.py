"""The story: one call, through three redeployments, a killed worker and a stopped one, and never put down.

typed    My name is Alice
spoken   one line after another, while the stack is deployed anew, three times
spoken   a line in whose middle the worker gets SIGKILL
spoken   a line in whose middle the worker gets SIGSTOP, and later SIGCONT
spoken   What's my name?
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from rich.console import Console

from local.demo import stored_content
from local.demo.caller import FRAME_SECONDS, Caller, SaidLine
from local.demo.frames import Frames, read_log
from local.demo.listener import Listener
from local.demo.timeline import Timeline
from local.fakes import FAKES
from local.progress import Event, Progress, Renderer
from local.settings import Settings
from local.stack.stack import Stack
from segue.client import Client

SESSION = "demo"
REDEPLOYMENTS = 3
ANSWER_SECONDS = 30.0
TAKEOVER_SECONDS = 30.0
FAKE_PACE = 0.3
"""Seconds in which a provider's fake speaks a second of audio."""


async def run(settings: Settings, show: Renderer, provider: str | None = None) -> bool:
    """Play the story in a stack of its own and print the timeline and the account of all frames.

    Args:
        settings: Where things are; the stack gets a fresh folder below its home.
        show: Draws the steps while they are under way.
        provider: Which model provider's fake the workers talk to; None: the offline model.

    Returns:
        Whether every answer was right, no frame was lost, and none took effect or was let through by the client twice.
    """
    home = settings.home / "demo"
    if provider is None:
        model_log = home / "heard.jsonl"
        model_log.unlink(missing_ok=True)
        # Its workers live for seconds, and what they tell makes the picture of the dashboard.
        variables = {"SEGUE_REHEARSAL_LOG": str(model_log), "SEGUE_METRICS_SECONDS": "2"}
        return await _play(
            replace(settings, home=home, worker_environment=variables), show, lambda: read_log(model_log)
        )
    async with FAKES[provider](pace=FAKE_PACE) as fake:
        settings = replace(settings, home=home, worker_environment=fake.environment())
        succeeded = await _play(
            settings, show, lambda: Counter(text for conversation in fake.conversations for text in conversation.live)
        )
        for problem in fake.problems:
            Console().print(f"[bold red]the provider's fake was sent[/] {problem}", highlight=False)
        return succeeded and not fake.problems


async def _play(settings: Settings, show: Renderer, understood: Callable[[], Counter[str]]) -> bool:
    settings = replace(settings, port=0)
    shutil.rmtree(settings.state, ignore_errors=True)
    timeline = Timeline()
    stack = Stack(settings, Progress(show, lambda event: _note_step(timeline, event)))
    async with stack:
        story = Story(stack, timeline)
        try:
            await story.play()
        except TimeoutError:
            timeline.check(holds=False, what="an answer within the time", found="none")
        stored = await stored_content.read(stack.deployment, SESSION)
    show.close()
    frames = story.account(stored, understood())
    console = Console()
    if not console.is_terminal:
        console = Console(width=120)
    console.rule("timeline")
    timeline.print(console)
    stored_content.show(console, stored)
    console.rule("frames")
    frames.print(console)
    for failure in timeline.failures:
        console.print(f"[bold red]failed[/] {failure}", highlight=False)
    if not timeline.failures:
        verdict = (
            "every answer was right, no frame was lost, and none took effect or was let through by the client twice"
        )
        console.print(f"[bold green]{verdict}[/]", soft_wrap=True)
    return not timeline.failures


def _note_step(timeline: Timeline, event: Event) -> None:
    if event.state != "started":
        took = "" if event.seconds is None else f"{event.seconds:.1f} s"
        timeline.add(event.text, took if event.state != "failed" else f"failed {took}")


class Story:
    """The story, played against a running stack."""

    def __init__(self, stack: Stack, timeline: Timeline) -> None:
        self._stack = stack
        self._timeline = timeline
        self._client = Client(stack.websocket_url, session=SESSION, token=stack.issuer.token)
        self._listener = Listener(self._client)
        self._caller = Caller(self._client, self._listener)
        self._lines = 0

    async def play(self) -> None:
        """Everything, in order.

        Raises:
            TimeoutError: An answer, or a worker that takes over, did not come in time.
        """
        async with self._client:
            background = [
                asyncio.create_task(work) for work in (self._listener.listen(), self._caller.microphone.run())
            ]
            try:
                await self._talk()
            finally:
                for task in background:
                    task.cancel()
                for ended in await asyncio.gather(*background, return_exceptions=True):
                    if isinstance(ended, Exception):
                        self._timeline.check(holds=False, what="the client kept going", found=ended)

    def account(self, stored: stored_content.Account, understood: Counter[str]) -> Frames:
        """Hold what was said and heard against what is in the journal, and check that nothing is missing or double."""
        timeline = self._timeline
        frames = Frames(self._caller, self._listener, understood, stored.spoken)
        timeline.check(holds=not frames.lost, what="no frame was lost", found=frames.lost)
        timeline.check(holds=not frames.doubled, what="nothing took effect or came twice", found=frames.doubled)
        epochs = [epoch for _, epoch, _ in stored.commits]
        timeline.check(holds=epochs == sorted(epochs), what="epochs of the commits never fall", found=epochs)
        return frames

    async def _talk(self) -> None:
        timeline = self._timeline
        timeline.add("connected", self._client.client_id, **await self._holding())
        await self._say("My name is Alice", "Hello Alice", spoken=False)
        for number in range(1, REDEPLOYMENTS + 1):
            await self._redeploy(number)
        await self._kill_holder(signal.SIGKILL)
        await self._kill_holder(signal.SIGSTOP)
        last = await self._say("What's my name?", "Your name is Alice")
        assert last.answer is not None  # noqa: S101 - it would have timed out
        await self._listener.until_heard(last.answer.text, ANSWER_SECONDS)
        carried = [number for said in self._caller.said for number in said.frames]
        await self._listener.all_acknowledged(carried, ANSWER_SECONDS)

    async def _redeploy(self, number: int) -> None:
        """Speak on while new workers come up, and until the call is with one of them."""
        timeline, listener = self._timeline, self._listener
        epoch_before, lines_before = self._client.epoch or 0, len(self._caller.said)
        connection_before = self._client.connection
        redeploying = asyncio.create_task(self._stack.redeploy())
        taken_over = asyncio.create_task(listener.ready_above(epoch_before, TAKEOVER_SECONDS * 4))
        spoken = 0
        while not (redeploying.done() and taken_over.done()):
            await self._say_next(f"redeploy {number}")
            spoken += 1
        await redeploying
        taken_at, ready = await taken_over
        moves = [moment for moment in listener.moves if moment <= taken_at]
        timeline.add(
            f"redeployed while {spoken} lines were said",
            f"{ready.history} messages went along",
            gap=taken_at - moves[-1] if moves else None,
            **await self._holding(),
        )
        self._check_socket(connection_before)
        # Nothing was killed, so nothing of any answer may be missing.
        for said in self._caller.said[lines_before:]:
            assert said.answer is not None  # noqa: S101 - it would have timed out
            with contextlib.suppress(TimeoutError):
                await listener.until_heard(said.answer.text, ANSWER_SECONDS)
        unheard = [line.text for line in self._caller.said[lines_before:] if line.answer.text not in listener.heard]  # type: ignore[union-attr]  # all are answered
        timeline.check(holds=not unheard, what="every answer was heard to its end", found=unheard)

    async def _kill_holder(self, number: signal.Signals) -> None:
        """Send the worker a signal that it cannot handle, in the middle of a line."""
        timeline = self._timeline
        epoch_before, holder = self._client.epoch or 0, await self._stack.holder(SESSION)
        saying = asyncio.create_task(self._say_next(number.name))
        await asyncio.sleep(5 * FRAME_SECONDS)
        self._stack.kill(holder, number)
        sent_at = time.monotonic()
        taken_at, ready = await self._listener.ready_above(epoch_before, TAKEOVER_SECONDS)
        timeline.add(
            f"taken over after {number.name}",
            f"{ready.history} messages",
            gap=taken_at - sent_at,
            **await self._holding(),
        )
        await saying
        if number is signal.SIGSTOP:
            self._stack.kill(holder, signal.SIGCONT)
            await self._say_next("the stopped worker is back and has to keep silent")
        self._check_socket()

    def _check_socket(self, connection_before: int | None = None) -> None:
        """Check that the client has the socket that it should have.

        By the API it keeps the first one. A direct socket goes with its worker: a worker that drains has the next one
        opened beside it, and so do silence and a worker's end.

        Args:
            connection_before: The number of its socket before a redeployment, after which it has another.
        """
        number = self._client.connection
        if self._stack.settings.transport != "direct":
            self._timeline.check(holds=number == 1, what="same socket", found=number)
        elif connection_before is not None:
            self._timeline.check(holds=number > connection_before, what="a socket at a new worker", found=number)

    async def _say_next(self, about: str) -> SaidLine:
        self._lines += 1
        text = f"line {self._lines}, {about}"
        return await self._say(text, f"You said: {text}")

    async def _say(self, text: str, expected: str, *, spoken: bool = True) -> SaidLine:
        line = await self._caller.say(text, expected, ANSWER_SECONDS, spoken=spoken)
        assert line.answer is not None  # noqa: S101 - it would have timed out
        self._timeline.add(
            "said" if spoken else "typed",
            f"{text} → {line.answer.text}",
            epoch=line.answer.epoch,
        )
        return line

    async def _holding(self) -> dict[str, Any]:
        return {"holder": await self._stack.holder(SESSION), "epoch": self._client.epoch}
