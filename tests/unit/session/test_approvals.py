"""Approvals are part of an agent's session: recorded with the agent's state, restored, redacted."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from strands import Agent, ToolContext, tool
from strands.bidi import BidiAgent

from segue.history.approvals import DENIAL, RecordedApproval
from segue.history.fold import fold
from segue.journal.blocks import unpack
from tests.support.crash import certainly_dead, crash
from tests.support.fake_model import FakeModel, tool_call
from tests.support.memory_manager import MemoryStorage
from tests.support.scripted_model import ScriptedModel

Sessions = Callable[..., Any]

SECRET = "the number is 4111"
WHY = "the caller was away"

asking = threading.Event()
"""That a tool asks; the other one ends after it."""


@tool(context=True)
def delete(key: str, tool_context: ToolContext) -> str:
    """Delete something."""
    asking.set()
    return f"{key} gone: {tool_context.interrupt('delete', reason={'key': key})}"


@tool
def look(key: str) -> str:
    """Look at something, and end while another tool asks."""
    asking.wait(10)
    return f"{key} is there"


CALLS = [tool_call("look", "u0", key="a"), tool_call("delete", "u1", key=SECRET)]


def built(manager: Any, *replies: Any) -> Agent:
    return Agent(model=FakeModel(replies), tools=[delete, look], session_manager=manager, callback_handler=None)


async def asked(manager: Any) -> Agent:
    """An agent that waits, and people who were asked."""
    await manager.open()
    asking.clear()
    agent = built(manager, CALLS)
    assert (await agent.invoke_async("go")).stop_reason == "interrupt"
    manager.approvals().ask(60.0)
    await manager.flush()
    return agent


def statuses(approvals: list[RecordedApproval]) -> list[tuple[str, int | None]]:
    return [(one.status, one.of) for one in approvals]


async def test_an_approval_holds_the_interrupts_request_and_is_restored(memory_sessions: Sessions) -> None:
    first = memory_sessions()
    agents = [await asked(first)]
    await first.close()
    second = memory_sessions()
    await second.open()
    agents.append(built(second))
    for approvals in (first.approvals(), second.approvals()):
        waits = approvals.open
        assert waits is not None
        assert (waits.seconds, waits.until) == (60.0, waits.at / 1000 + 60.0)
        (request,), (waiting,) = waits.requests, waits.tools
        assert (request["name"], request["reason"], request["tool_use_id"]) == ("delete", {"key": SECRET}, "u1")
        assert (waiting["name"], waiting["input"]) == ("delete", {"key": SECRET})
        assert approvals.unanswered == {request["id"]: "delete"}
        assert approvals.waiting_tools == [waiting]
    assert first.approvals().open == second.approvals().open
    await second.close()
    assert len(agents) == 2


async def test_an_answer_and_the_agents_responses_are_kept_together_or_not_at_all(
    memory_sessions: Sessions, storage: MemoryStorage
) -> None:
    first = memory_sessions()
    agent = await asked(first)
    (interrupt,) = first.approvals().unanswered
    before = first.position
    first.approvals().answer({interrupt: "yes"}, ("c", (7,)))
    assert first.position == before + 2
    await first.flush()
    records = (await first._runtime.run(first._slot.require().read())).records
    assert [record.kind for record in records[before:]] == ["internal", "approval"]
    for upto in (before, before + 2):
        history = fold(records, upto).agents["default"]
        answered = history.internal["interrupt_state"]["interrupts"][interrupt]["response"] is not None
        assert answered == (history.approvals[-1].status == "answered")
    assert 7 in first.inputs["c"]
    del agent
    crash(first)

    second = memory_sessions(probe=certainly_dead)
    await second.open()
    agent = built(second, "done")
    approvals = second.approvals()
    assert (approvals.open, approvals.unanswered, approvals.denial) == (None, {}, None)
    assert statuses(approvals.records) == [("asked", None), ("answered", approvals.records[0].number)]
    result = await agent.invoke_async(approvals.resumption)
    assert result.stop_reason == "end_turn"
    results = agent.messages[2]["content"]
    assert [block["toolResult"]["content"][0]["text"] for block in results] == ["a is there", f"{SECRET} gone: yes"]
    assert approvals.resumption is None
    await second.close()


async def test_a_denial_is_known_to_the_next_process_and_no_denial_of_a_later_answer(memory_sessions: Sessions) -> None:
    first = memory_sessions()
    agent = await asked(first)
    first.approvals().deny("expired", WHY)
    await first.close()
    second = memory_sessions()
    await second.open()
    agent = built(second, "done", CALLS)
    approvals = second.approvals()
    assert approvals.denial == WHY
    assert [one["interruptResponse"]["response"] for one in approvals.resumption or []] == [DENIAL]
    await agent.invoke_async(approvals.resumption)
    await agent.invoke_async("again")
    approvals.ask(60.0)
    approvals.answer(dict.fromkeys(approvals.unanswered, "yes"))
    assert approvals.denial is None
    await second.close()


async def test_a_voice_agent_is_built_after_what_waits_was_denied_and_the_text_agent_goes_on_after_it(
    memory_sessions: Sessions,
) -> None:
    first = memory_sessions()
    await asked(first)
    await first.close()

    voice = memory_sessions()
    await voice.open()
    voice.deny_approvals(WHY)
    spoken = BidiAgent(model=ScriptedModel(), session_manager=voice)
    results = [block["toolResult"]["content"][0]["text"] for block in spoken.messages[-1]["content"]]
    assert results == ["a is there", WHY], "the tool that had run keeps its result"
    approvals = voice.approvals()
    assert statuses(approvals.records) == [("asked", None), ("denied", approvals.records[0].number)]
    await voice.flush()
    crash(voice)

    third = memory_sessions(probe=certainly_dead)
    await third.open()
    agent = built(third, "fine")
    assert agent.messages == spoken.messages
    assert third.report["default"].interrupted == ()
    assert third.approvals().resumption is None
    assert (await agent.invoke_async("hello")).stop_reason == "end_turn"
    await third.close()


async def test_deny_approvals_without_an_open_approval_records_nothing(memory_sessions: Sessions) -> None:
    manager = memory_sessions()
    await manager.open()
    built(manager)
    await manager.flush()
    before = manager.position
    await manager.close()
    second = memory_sessions()
    await second.open()
    second.deny_approvals(WHY)
    assert second.position == before
    await second.close()


async def test_a_prepared_successor_denies_when_it_takes_the_session_and_not_before(memory_sessions: Sessions) -> None:
    first = memory_sessions()
    await asked(first)
    successor = memory_sessions(probe=certainly_dead)
    await successor.prepare()
    successor.deny_approvals(WHY)
    BidiAgent(model=ScriptedModel(), session_manager=successor)
    assert first.approvals().open is not None
    await first.close()
    await successor.open()
    await successor.flush()
    records = (await successor._runtime.run(successor._slot.require().read())).records
    assert [one.status for one in fold(records).agents["default"].approvals] == ["asked", "denied"]
    await successor.close()


async def test_a_redaction_of_what_asks_takes_it_out_of_every_object_and_of_what_people_are_shown(
    memory_sessions: Sessions, storage: MemoryStorage
) -> None:
    def holding() -> list[str]:
        return [key for key, body in storage.objects.objects.items() if SECRET.encode() in unpack(body)]

    manager = memory_sessions()
    agent = await asked(manager)
    assert holding()
    await manager.redact(agent.messages[1]["tracking_id"])
    assert holding() == []
    shown = manager.approvals().open
    assert shown is not None
    assert (shown.requests[0]["reason"], shown.tools[0]["input"]) == (None, {})
    await manager.close()

    second = memory_sessions()
    await second.open()
    agent = built(second, "done")
    approvals = second.approvals()
    assert approvals.open == shown
    approvals.answer(dict.fromkeys(approvals.unanswered, "yes"))
    assert (await agent.invoke_async(approvals.resumption)).stop_reason == "end_turn"
    await second.close()
    assert holding() == []


@pytest.mark.parametrize("data", [{}, {"status": "asked", "requests": 5}, 7], ids=str)
async def test_a_malformed_approval_record_is_corrupt(memory_sessions: Sessions, data: Any) -> None:
    from segue import JournalCorrupt
    from segue.journal.records import Record

    with pytest.raises(JournalCorrupt, match="not a 'approval' record"):
        fold([Record(kind="approval", agent="default", at=0, data=data)])


@pytest.mark.parametrize("seconds", [float("inf"), float("nan"), -1, 1e12, "soon", None])
async def test_an_invalid_time_limit_is_refused_and_nothing_recorded(memory_sessions: Sessions, seconds: Any) -> None:
    manager = memory_sessions(probe=certainly_dead)
    await manager.open()
    agent = built(manager, tool_call("delete", "x", key="X"))
    await agent.invoke_async("Delete X")
    before = manager.position

    with pytest.raises(ValueError, match="seconds for an approval"):
        manager.approvals().ask(seconds)

    assert manager.position == before
    assert manager.approvals().ask(60).status == "asked"
