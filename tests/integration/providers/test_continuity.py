"""Each provider and each end of a connection: the conversation goes on with what was said, and with its tools.

Every combination makes a row; docs/providers.md has them in its table, ends with the same outcome together.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.providers.conftest import Counted
from tests.support.memory_manager import MemoryStorage
from tests.support.provider_calls import PROMPT, Call, said
from tests.support.sessions import recorded_connection
from tests.support.waiting import eventually
from worker.hosting.standby import StandbySession
from worker.telemetry.metrics import Model

DOCS = Path(__file__).resolve().parents[3] / "docs" / "providers.md"
BEGIN, END = "<!-- combinations: from the tests -->", "<!-- end of combinations -->"

CONVERSATION = [
    ("user", "My name is Alice"),
    ("assistant", "Hello Alice, nice to meet you."),
    ("user", "What's my name?"),
    ("assistant", "Your name is Alice."),
    ("user", "use the tool weather with Paris"),
    ("assistant", "sunny in Paris"),
]

ENDS = ("stop", "prepared handoff", "kill", "limit", "lost connection")
"""``stop``: the holder lets go of the session and its connection, and a new call takes it up. ``prepared handoff``:
what workers do when they are replaced; the successor connects while the holder is still connected."""

EXPECTED: dict[tuple[str, str], tuple[str, str]] = {
    **{("nova-sonic", end): ("history", "6 texts") for end in ENDS},
    **{("openai-realtime", end): ("history", "6 texts, 1 tool call") for end in ENDS},
    **{
        ("gemini-live", end): ("history", "6 texts") if end == "prepared handoff" else ("handle", "nothing: it knows")
        for end in ENDS
    },
    **{("gemini-live, no handle", end): ("history", "6 texts") for end in ENDS},
}
"""Continuation of each: by handle or by history, and the context that it is given."""


def row(name: str, end: str, how: str, told: str) -> str:
    return f"| {name} | {end} | {how} | {told} |"


async def talk(call: Call) -> None:
    """A typed turn, a spoken one, and one with a tool."""
    await call.ask("My name is Alice", "Hello Alice")
    await call.speak("What's my name?")
    await call.until("Your name is Alice")
    await call.ask("use the tool weather with Paris", "sunny in Paris")


async def handle_recorded(call: Call, fake: Any) -> None:
    """The newest one: it comes a moment after the turn's end."""
    await eventually(lambda: list(fake.sessions.values())[-1] == fake.conversation.turns)
    await eventually(
        lambda: recorded_connection(call.manager).get("handle", {}).get("value") == list(fake.sessions)[-1]
    )
    await call.manager.durable()


async def handed_over(leaving: Call, successor: Call) -> Call:
    """Hand over as workers do: the successor is ready before the holder releases, then acquires the session."""
    ready = await StandbySession.make(successor.manager, successor.new_agent)
    await leaving.stop()
    return await successor.go_on(ready)


@pytest.mark.parametrize(("case", "end"), EXPECTED)
async def test_a_conversation_goes_on_after_its_connection_or_process_ends(  # noqa: PLR0917 - fixtures
    case: str, end: str, new_fake: Any, new_call: Any, storage: MemoryStorage, counted: Counted, caplog: Any
) -> None:
    name, _, without = case.partition(", ")
    fake = await new_fake(name)
    fake.updates = not without
    call = await new_call(fake, storage)
    await talk(call)
    assert [text for text in said(call.agent.messages) if text[0] == "user"] == CONVERSATION[::2]
    if case == "gemini-live":
        await handle_recorded(call, fake)
    await call.manager.durable()
    assert len(fake.conversations) == 1
    assert counted() == {Model.BY_NOTHING: 1}
    caplog.clear()
    if end == "limit":
        await fake.conversation.reach_limit()
    elif end == "lost connection":
        await fake.conversation.drop()
    elif end == "prepared handoff":
        call = await handed_over(call, await new_call(fake, storage, opened=False))
    else:
        await (call.stop() if end == "stop" else call.kill())
        call = await new_call(fake, storage)
    await eventually(lambda: len(fake.conversations) == 2)
    assert bool(call.model._reconnections._lost_at) == (end == "lost connection"), (
        "a limit is no loss, which is borne three times only"
    )
    await call.ask("Who am I? What's my name?", "Your name is Alice")
    told = fake.conversation.setup
    assert told.prompt == PROMPT
    how = "handle" if told.handle else "history"
    if how == "history":
        assert told.history == CONVERSATION
    assert [record.how for record in caplog.records if record.message == "model connected"] == [how]
    lost = {Model.DISCONNECTED: 1} if end == "lost connection" else {}
    assert counted() == {Model.BY_HANDLE if how == "handle" else Model.BY_HISTORY: 1, **lost}
    assert len(fake.conversations) == 2
    texts = f"{len(told.history)} texts" if told.history else "nothing: it knows"
    calls = [(name, result) for _, name, result in told.calls]
    assert calls in ([], [("weather", "sunny in Paris")])
    if calls:
        texts += f", {len(calls)} tool call"
    assert EXPECTED[case, end] == (how, texts)
    assert list(told.tools) == ["weather"]
    assert fake.conversation.live == ["Who am I? What's my name?"]
    assert said(call.agent.messages)[:6] == CONVERSATION
    assert row(case, end, how, texts) in rows_of_the_docs()


def rows_of_the_docs() -> list[str]:
    """The rows of the table, one for each of the ends that a row names."""
    text = DOCS.read_text(encoding="utf-8")
    rows = [line for line in text[text.index(BEGIN) : text.index(END)].splitlines() if line.startswith("| ")][1:]
    cells = [line.strip("| ").split(" | ") for line in rows]
    return [row(name, end, how, told) for name, ends, how, told in cells for end in ends.split(", ")]


def expected_rows() -> Iterator[str]:
    for (case, end), (how, told) in EXPECTED.items():
        yield row(case, end, how, told)


def test_the_table_in_the_docs_has_these_combinations_and_no_others() -> None:
    assert sorted(rows_of_the_docs()) == sorted(expected_rows())
