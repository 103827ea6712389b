"""Any changes of the messages that an agent has leave those that it was not given in the session."""

from __future__ import annotations

import copy
from typing import Any
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strands import Agent
from strands.bidi import BidiAgent

import segue.history.order
from segue.history.agent_history import AgentHistory
from segue.history.fold import fold
from segue.history.messages import messages_of
from segue.history.order import LONG, SessionOrder
from segue.history.pauses import FitHistory
from segue.history.repair import RepairReport
from segue.journal.records import Record
from segue.strands.recording.recorder import AgentRecorder
from tests.support.fake_model import FakeModel
from tests.support.scripted_model import ScriptedModel
from tests.unit.session.outside_messages import said

_CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["add", "remove", "return", "move", "edit", "append", "more", "redact"]),
        st.integers(0, 50),
        st.booleans(),
    ),
    min_size=3,
    max_size=25,
)


class _World:
    """An agent that was given a part of a session's ten messages."""

    def __init__(self, voice: bool, outside: set[int]) -> None:
        self.agent: Any = BidiAgent(model=ScriptedModel()) if voice else Agent(model=FakeModel(), callback_handler=None)
        self.records = [Record(kind="message", data={"message": said(f"m{number}")}) for number in range(10)]
        self.unheld = [f"m{number}" for number in sorted(outside)]
        self.away: list[Any] = []
        self.made = 0
        stored = self.stored()
        held = [message for number, message in enumerate(messages_of(stored)) if number not in outside]
        self.recorder = AgentRecorder(self.agent, stored, self.append)
        self.recorder.restore(FitHistory(held, {}, RepairReport()), stored, with_prompt=False)

    def append(self, *more: Record) -> int:
        self.records.extend(copy.deepcopy(more))
        return len(self.records)

    def stored(self) -> AgentHistory:
        return fold(self.records).agents["default"]

    def new(self) -> dict[str, Any]:
        self.made += 1
        return said(f"n{self.made}")

    def change(self, what: str, number: int) -> None:
        messages = self.agent.messages
        if what == "add":
            messages.append(self.new())
            self.recorder.message(messages[-1], None)
        elif what == "more":
            messages.insert(number % (len(messages) + 1), self.new())
        elif what == "append":
            self.recorder.append(self.new(), None)
            self.unheld.append(f"n{self.made}")
        elif what == "return" and self.away:
            messages.insert(number % (len(messages) + 1), self.away.pop(number % len(self.away)))
        elif messages:
            self.change_one(what, number % len(messages))

    def change_one(self, what: str, place: int) -> None:
        messages = self.agent.messages
        if what == "remove":
            self.away.append(messages.pop(place))
        elif what == "move":
            messages.append(messages.pop(place))
        elif what == "edit":
            messages[place]["content"][0]["text"] += "!"
        elif what == "redact":
            self.recorder.redact(messages[place]["tracking_id"], "gone")


@pytest.mark.slow
@pytest.mark.parametrize("voice", [False, True], ids=["text", "voice"])
@settings(deadline=None)
@given(changes=_CHANGES, outside=st.sets(st.integers(0, 9)))
def test_session_has_the_agents_messages_and_those_outside_the_window_after_any_changes(
    voice: bool, changes: Any, outside: set[int]
) -> None:
    world = _World(voice, outside)
    for what, number, noticed in [*changes, ("nothing", 0, True)]:
        world.change(what, number)
        if noticed:
            world.recorder.reconcile()
            now = world.stored()
            ids = [message["tracking_id"] for message in now.messages]
            assert [message for message in now.messages if message["tracking_id"] not in world.unheld] == (
                world.agent.messages
            )
            assert sorted(one for one in ids if one in world.unheld) == sorted(world.unheld)
            assert now.numbers == world.recorder.numbers
    if not {"move", "return"} & {what for what, _, _ in changes}:  # else it may have followed one that was moved
        assert [one for one in ids if one in world.unheld] == world.unheld


def test_a_message_outside_the_window_keeps_its_predecessor() -> None:
    order = SessionOrder("abcdef")
    assert order.window(["a", "d", "f"], {"b", "c", "e"}) is None
    assert order.window(["d", "f"], {"b", "c", "e"}) == {"keep": list("bcdef")}
    assert order.window(["f", "d"], {"b", "c", "e"}) == {"keep": list("bcfde")}
    assert order.window([], {"b", "c", "e"}) == {"keep": list("bce")}


@pytest.mark.slow
@given(st.integers(0, 12), st.data())
def test_a_window_by_what_it_lost_and_by_what_it_kept_are_the_same(outside: int, data: Any) -> None:
    ids = [f"m{number}" for number in range(12)]
    held = data.draw(st.lists(st.sampled_from(ids[outside:]), unique=True).map(sorted)) if outside < 12 else []
    added = [Record(kind="message", data={"message": said(one)}) for one in ids]
    found = []
    for long in (0, LONG):
        with mock.patch.object(segue.history.order, "LONG", long):
            window = SessionOrder(ids).window([one for one in ids if one in held], set(ids[:outside]))
        records = [*added, *([] if window is None else [Record(kind="window", data=window)])]
        found.append([message["tracking_id"] for message in fold(records).agents["default"].messages])
    assert found[0] == found[1]
