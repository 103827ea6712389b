"""Text through the deployed stack on the emulator: turns of the Lambda function, and a voice worker in between."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
from collections.abc import AsyncIterator
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest

from local.deployment.issuer import principal
from segue.client import Client
from segue.lease.item import GuardItem
from segue.wire.frames import Approval, Error, Modality, TextOutput, Tool, Transcript
from tests.support.local_stack import LocalStack
from tests.support.patient import PATIENT
from tests.support.waiting import eventually, eventually_sync, within

SESSION = "mixed"

KILLS = 2

LONGEST_ANSWER_SECONDS = 240.0
"""Seconds until an answer at most: a turn that was killed is tried again by a function that starts anew, which
takes long on a busy machine."""

FORGOTTEN, CUT_OFF = "Everything is forgotten.", "The tool forget failed: "
"""Answers to a tool that was allowed, and to one that a kill has cut off."""

MOST_TEXTS = 20
"""Some turns are over before they can be killed."""

LONGEST_PAUSE_SECONDS = 0.05
"""Time between a turn's beginning and its kill at most. It is halved whenever a turn was over before: how long a turn
takes is the machine's."""


@pytest.fixture
def facts(local_stack: LocalStack) -> dict[str, Any]:
    return local_stack.facts()


class Talk:
    """One client, and all that it was shown."""

    def __init__(self, client: Client) -> None:
        self.said: list[tuple[int | None, str]] = []
        self.approvals: list[Approval] = []
        self.errors: list[str] = []
        self._client = client
        self._changed = asyncio.Condition()

    async def listen(self) -> None:
        async for frame in self._client.events():
            async with self._changed:
                if isinstance(frame, TextOutput) or (isinstance(frame, Transcript) and frame.final):
                    if getattr(frame, "role", "assistant") == "assistant":
                        self.said.append((frame.record, frame.text))
                elif isinstance(frame, Tool):
                    self.said.append((frame.record, frame.status))
                elif isinstance(frame, Approval):
                    self.said.append((frame.record, frame.status))
                    self.approvals.append(frame)
                elif isinstance(frame, Error):
                    self.errors.append(frame.code)
                self._changed.notify_all()

    async def ask(self, text: str, answer: str) -> None:
        seen = len(self.said)
        await self.say(text)
        await self.hear(answer, seen)

    async def answer(self, response: object) -> None:
        """Answer what was asked last."""
        asked = self.approvals[-1]
        await self._client.answer(asked, {request.id: response for request in asked.requests})

    async def refused(self, code: str) -> None:
        async with within(90), self._changed:
            await self._changed.wait_for(lambda: code in self.errors)

    async def say(self, text: str) -> None:
        await self._client.send_text(text)

    async def hear(self, answer: str, seen: int = 0, *, other: str | None = None) -> bool:
        """Wait for an answer, or for one that begins as another; true if it is the first."""

        def heard() -> list[str]:
            texts = (text for _, text in self.said[seen:])
            return [text for text in texts if text == answer or (other is not None and text.startswith(other))]

        async with within(LONGEST_ANSWER_SECONDS), self._changed:
            await self._changed.wait_for(heard)
        await self._client.flush()
        return heard()[0] == answer


async def talk(facts: dict[str, Any], modality: Modality, *exchanges: tuple[str, str]) -> list[tuple[int | None, str]]:
    async with talking(facts, SESSION, modality=modality) as listener:
        for text, answer in exchanges:
            await listener.ask(text, answer)
    return listener.said


@contextlib.asynccontextmanager
async def talking(facts: dict[str, Any], session: str, **options: Any) -> AsyncIterator[Talk]:
    """One client, listening."""
    async with Client(
        facts["websocket_url"], session=session, token=facts["token"], settings=PATIENT, **options
    ) as client:
        listener = Talk(client)
        listening = asyncio.create_task(listener.listen())
        try:
            yield listener
        finally:
            listening.cancel()


@cache
def dynamodb(endpoint_url: str) -> Any:
    return boto3.client("dynamodb", endpoint_url=endpoint_url, region_name="us-east-1")


def item(facts: dict[str, Any], session: str = SESSION) -> GuardItem:
    table = dynamodb(facts["endpoint_url"])
    key = {"session_key": {"S": f"{principal()}/{session}"}}
    return GuardItem.from_attributes(table.get_item(TableName=facts["lock_table"], Key=key)["Item"])


def waiting(facts: dict[str, Any]) -> dict[str, int]:
    """Return the number of messages in each queue of turns, hidden ones included."""
    sqs = boto3.client("sqs", endpoint_url=facts["endpoint_url"], region_name="us-east-1")
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    counts = {}
    for url in sqs.list_queues()["QueueUrls"]:
        if "TurnsQueue" in url:
            found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
            counts[url] = sum(int(found[name]) for name in names)
    return counts


@pytest.mark.e2e
@pytest.mark.emulator
@pytest.mark.timeout(420)
async def test_one_session_by_text_by_voice_and_by_text_after_the_voice_worker_died(
    local_stack: LocalStack, facts: dict[str, Any]
) -> None:
    by_turns = await talk(
        facts,
        "text",
        ("My name is Alice", "Hello Alice, nice to meet you."),
        ("Remember that I like tea", "Noted. There are 1 notes now."),
    )
    assert [text for _, text in by_turns] == [
        "Hello Alice, nice to meet you.",
        "started",
        "success",
        "Noted. There are 1 notes now.",
    ]
    assert not item(facts).held, "a function that is frozen holds nothing"

    await talk(
        facts, "voice", ("What is my name?", "Your name is Alice."), ("My name is Bob", "Hello Bob, nice to meet you.")
    )
    held = item(facts)
    assert held.held
    by_voice = await talk(facts, "text", ("What is my name?", "Your name is Bob."))
    assert item(facts).epoch == held.epoch, "the holder answers, whatever the client prefers"
    assert len(by_voice) == 1

    local_stack.run("kill", "--session", SESSION)
    after = await talk(
        facts, "text", ("What did I ask you to remember?", "- I like tea"), ("What is my name?", "Your name is Bob.")
    )
    assert [text for _, text in after] == ["started", "success", "- I like tea", "Your name is Bob."]
    left = item(facts)
    assert left.epoch > held.epoch
    assert left.holder != held.holder or not left.held, "another worker goes on with what a dead one held (RFC 0029)"

    records = [record for said in (by_turns, by_voice, after) for record, _ in said]
    assert records == sorted(set(records)), "each record was shown once, in order"
    await eventually(lambda: not any(waiting(facts).values()), 30)
    assert len(waiting(facts)) == 2


def turn_processes(facts: dict[str, Any]) -> list[int]:
    """The processes of the text function in this test's emulator."""
    port = urlsplit(facts["endpoint_url"]).port
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                variables = (folder / "environ").read_bytes().decode(errors="replace").split("\0")
                mine = any(each.startswith("AWS_ENDPOINT_URL=") and each.endswith(f":{port}") for each in variables)
                turns = any(
                    each.startswith("AWS_LAMBDA_FUNCTION_NAME=") and "TurnsHandler" in each for each in variables
                )
                if mine and turns:
                    found.append(int(folder.name))
    return found


def kill_turn(facts: dict[str, Any], session: str, processes: list[int]) -> int:
    """Kill the processes of the turn that has the session; returns how many there were.

    None after its end: the emulator would give the next message to a process that is dead.
    """
    signal_all(processes, signal.SIGSTOP)
    under_way = item(facts, session).held
    signal_all(processes, signal.SIGKILL if under_way else signal.SIGCONT)
    return len(processes) if under_way else 0


def signal_all(processes: list[int], number: signal.Signals) -> None:
    """Send a signal to processes; the emulator may have ended one that it has no use for."""
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, number)


async def turn_begins(facts: dict[str, Any], session: str, epoch: int) -> None:
    """Wait until a turn has the session. Until then its message is hidden for as long as Lambda asks for."""
    await asyncio.to_thread(eventually_sync, lambda: item(facts, session).epoch > epoch, 60)


@pytest.mark.e2e
@pytest.mark.emulator
@pytest.mark.timeout(420)
async def test_each_text_is_answered_exactly_once_though_the_function_is_killed(facts: dict[str, Any]) -> None:
    chance = random.Random(7)
    killed, longest_pause = 0, LONGEST_PAUSE_SECONDS
    async with Client(
        facts["websocket_url"], session="killed", modality="text", token=facts["token"], settings=PATIENT
    ) as client:
        listener = Talk(client)
        listening = asyncio.create_task(listener.listen())
        await listener.ask("repeat after me warm", "warm")
        for number in range(MOST_TEXTS):
            before, processes = item(facts, "killed").epoch, turn_processes(facts)
            await listener.say(f"repeat after me {number}")
            await turn_begins(facts, "killed", before)
            await asyncio.sleep(chance.uniform(0.0, longest_pause))
            if hit := await asyncio.to_thread(kill_turn, facts, "killed", processes):
                killed += hit
            else:
                longest_pause /= 2
            await listener.hear(str(number))
            if killed >= KILLS:
                break
        await client.flush()
        listening.cancel()

    assert killed >= KILLS
    assert [text for _, text in listener.said] == ["warm", *map(str, range(number + 1))]
    assert len({record for record, _ in listener.said}) == number + 2
    await eventually(lambda: not item(facts, "killed").held, 60)


@pytest.mark.e2e
@pytest.mark.emulator
@pytest.mark.timeout(420)
async def test_an_approval_is_answered_by_the_next_client_and_denied_where_none_can(facts: dict[str, Any]) -> None:
    session = "asked"
    async with talking(facts, session, modality="text", approvals=True) as first:
        await first.ask("Remember that I like tea", "Noted. There are 1 notes now.")
        await first.say("Forget everything")
        await first.hear("asked")
        (approval,) = first.approvals
        assert [(tool.name, tool.input) for tool in approval.tools] == [("forget", {})]
        assert [request.reason for request in approval.requests] == ["Forget all notes?"]
        await first.say("What did I ask you to remember?")
        await first.refused("approval_open")
    await eventually(lambda: not item(facts, session).held, 30)

    async with talking(facts, session, modality="text", approvals=True) as second:
        await second.hear("asked")
        assert [one.record for one in second.approvals] == [approval.record]
        await turn_killed_in_the_answer(facts, session, second)
        times = 1
        if not await second.hear(FORGOTTEN, other=CUT_OFF):
            times = 2  # it was killed while the tool ran, which is not run again (RFC 0011) until the user asks again
            seen = len(second.said)
            await second.say("Forget everything")
            await second.hear("asked", seen)
            await second.answer(True)
            await second.hear(FORGOTTEN)
        await second.ask("What did I ask you to remember?", "Nothing was noted yet.")
        assert [one.status for one in second.approvals] == ["asked", "answered"] * times
        records = [record for record, _ in second.said]
        assert records == sorted(records)

    async with talking(facts, session, modality="text") as unable:
        await unable.say("Forget everything")
        await unable.hear("denied")
        await unable.ask("repeat after me tea", "tea")
        assert any("cannot give one" in text for _, text in unable.said)

    async with talking(facts, session, modality="text", approvals=True) as third:
        await third.say("Forget everything")
        await third.hear("asked")
        async with talking(facts, session, modality="voice") as voice:
            await voice.ask("Say hello", "You said: Say hello")
        await third.hear("denied")
        assert third.approvals[-1].of == third.approvals[-2].record
    await eventually(lambda: not any(waiting(facts).values()), 30)


async def turn_killed_in_the_answer(facts: dict[str, Any], session: str, listener: Talk) -> None:
    """Answer yes, and kill the process of the turn that takes it, if it is not over before."""
    before, processes = item(facts, session).epoch, turn_processes(facts)
    await listener.answer(True)
    await turn_begins(facts, session, before)
    await asyncio.to_thread(kill_turn, facts, session, processes)
