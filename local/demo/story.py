"""The story: deploy, talk, redeploy, ask on the same socket, kill the worker, ask again."""

import asyncio
import contextlib
import shutil
import time
from dataclasses import dataclass, replace
from typing import Any

from rich.console import Console

from local.demo import account
from local.demo.listener import Answer, Listener
from local.demo.timeline import Timeline
from local.fakes import FAKES
from local.progress import Event, Progress, Renderer
from local.settings import Settings
from local.stack import Stack
from segue.client import Client

SESSION = "demo"
ANSWER_SECONDS = 30.0
TAKEOVER_SECONDS = 30.0
FAKE_PACE = 0.3
"""Seconds in which a provider's fake speaks a second of audio."""


@dataclass(frozen=True)
class Line:
    """What is said, and what has to be in the answer."""

    text: str
    answer: str


HELLO = Line("My name is Alice", "Alice")
SECOND = Line("What's my name?", "Your name is Alice")
THIRD = Line("Who am I? What's my name?", "Your name is Alice")


async def run(settings: Settings, show: Renderer, provider: str | None = None) -> bool:
    """Play the story in a stack of its own and print the timeline.

    Args:
        settings: Where things are; the stack gets a fresh folder below its home.
        show: Draws the steps while they are under way.
        provider: Which model provider's fake the workers talk to; None: the rehearsal model.

    Returns:
        Whether every answer was right and no message was lost or doubled.
    """
    if provider is None:
        return await _play(settings, show)
    async with FAKES[provider](pace=FAKE_PACE) as fake:
        right = await _play(replace(settings, worker_variables=fake.environment()), show)
        for problem in fake.problems:
            Console().print(f"[bold red]the provider's fake was sent[/] {problem}", highlight=False)
        return right and not fake.problems


async def _play(settings: Settings, show: Renderer) -> bool:
    settings = replace(settings, home=settings.home / "demo", port=0)
    shutil.rmtree(settings.state, ignore_errors=True)
    timeline = Timeline()
    progress = Progress(show, lambda event: _note(timeline, event))
    stack = Stack(settings, progress)
    async with stack:
        story = Story(stack, timeline)
        try:
            await story.play()
        except TimeoutError:
            timeline.check(holds=False, what="an answer within the time", found="none")
        found = await account.read(stack.deployment, SESSION)
    show.close()
    console = Console()
    if not console.is_terminal:
        console = Console(width=120)
    console.rule("timeline")
    timeline.print(console)
    _print_account(console, found)
    for failure in timeline.failures:
        console.print(f"[bold red]failed[/] {failure}", highlight=False)
    if not timeline.failures:
        console.print("[bold green]every answer was right, and no message was lost or doubled[/]")
    return not timeline.failures


def _note(timeline: Timeline, event: Event) -> None:
    if event.state != "started":
        took = "" if event.seconds is None else f"{event.seconds:.1f} s"
        timeline.add(event.text, took if event.state != "failed" else f"failed {took}")


class Story:
    """Plays the story against a running stack."""

    def __init__(self, stack: Stack, timeline: Timeline) -> None:
        self._stack = stack
        self._timeline = timeline
        self._client = Client(stack.deployment.websocket_url, session=SESSION)
        self._listener = Listener(self._client)

    async def play(self) -> None:
        """Everything, in order."""
        async with self._client:
            listening = asyncio.create_task(self._listener.listen())
            try:
                await self._talk()
            finally:
                listening.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await listening

    async def _talk(self) -> None:
        timeline = self._timeline
        timeline.add("connected", self._client.client_id, **await self._holding())
        answers = [await self._ask(HELLO)]

        before, last_frame = self._client.epoch or 0, self._listener.last_frame_at
        await self._stack.redeploy()
        answers.append(await self._ask(SECOND))
        at, _ = await self._listener.epoch_above(before, TAKEOVER_SECONDS)
        timeline.add("had been handed over", gap=self._gap(at, last_frame), **await self._holding())
        timeline.check(holds=self._client.connection == 1, what="same socket", found=self._client.connection)

        before, holder = self._client.epoch or 0, await self._stack.holder(SESSION)
        killed_at = time.monotonic()
        timeline.add("kill -9", self._stack.kill(holder), holder=holder, epoch=before)
        answers.append(await self._ask(THIRD))
        at, ready = await self._listener.epoch_above(before, TAKEOVER_SECONDS)
        timeline.add("session taken over", f"{ready.history} messages", gap=at - killed_at, **await self._holding())
        timeline.check(holds=self._client.connection == 1, what="same socket", found=self._client.connection)

        async with asyncio.timeout(ANSWER_SECONDS):
            await self._client.flush()
        await self._compare(answers)

    async def _ask(self, line: Line) -> Answer:
        timeline = self._timeline
        timeline.add("said", line.text)
        answer = await self._listener.ask(line.text, ANSWER_SECONDS)
        gap = answer.first_audio
        timeline.add(
            "answered", answer.transcript, holder=await self._stack.holder(SESSION), epoch=answer.epoch, gap=gap
        )
        timeline.check(holds=line.answer in answer.transcript, what=f"answer says {line.answer!r}", found=answer)
        timeline.check(holds=answer.heard == answer.transcript, what="speech says the same", found=answer.heard)
        return answer

    async def _compare(self, answers: list[Answer]) -> None:
        """Hold what was said and heard against what is in the journal."""
        found = await account.read(self._stack.deployment, SESSION)
        said = [("user", line.text) for line in (HELLO, SECOND, THIRD)]
        timeline = self._timeline
        in_journal = [message for message in found.spoken if message[0] == "user"]
        timeline.check(holds=in_journal == said, what="journal has what was said, once, in order", found=in_journal)
        shown = [("assistant", answer.transcript) for answer in answers]
        in_journal = [message for message in found.spoken if message[0] == "assistant"]
        timeline.check(holds=in_journal == shown, what="journal has the answers, once, in order", found=in_journal)
        records = [record for _, _, record in self._listener.finals]
        once = len(set(records)) == len(records) and None not in records
        timeline.check(holds=once, what="client was shown each record once", found=records)
        epochs = [epoch for _, epoch, _ in found.commits]
        timeline.check(holds=epochs == sorted(epochs), what="epochs of the commits never fall", found=epochs)

    async def _holding(self) -> dict[str, Any]:
        return {"holder": await self._stack.holder(SESSION), "epoch": self._client.epoch}

    def _gap(self, at: float, last_frame: float) -> float:
        """How long the client waited: from the predecessor's `moved`, if it was seen, to the successor's `ready`."""
        return max(0.0, at - max(last_frame, self._listener.moved_at or last_frame))


def _print_account(console: Console, found: account.Account) -> None:
    console.rule("DynamoDB: the guard item")
    for name, value in found.item.items():
        console.print(f"{name:<12} {value}", highlight=False)
    console.rule("S3: the session's objects")
    for key, size in found.objects:
        console.print(f"{size:>7} B  {key}", highlight=False, soft_wrap=True)
    console.rule("journal")
    console.print("commits (records after it, epoch): " + " ".join(f"{end}@{epoch}" for end, epoch, _ in found.commits))
    for role, text in found.spoken:
        console.print(f"{role:<10} {text}", highlight=False)
