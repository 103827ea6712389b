"""Going back to an earlier point, and on from there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strands.bidi import BidiAgent

import segue.history.fold
from segue.errors import JournalCorrupt
from segue.history.agent_history import AgentHistory, History
from segue.history.fold import fold
from segue.history.points import Point, rewind_record
from segue.journal.blocks import unpack
from segue.journal.records import Record
from tests.support.memory_manager import MemoryStorage
from tests.support.sessions import manager_of, talked

Sessions = Callable[..., Any]


def texts(agent: BidiAgent) -> list[str]:
    return [message["content"][0]["text"] for message in agent.messages]


async def test_a_session_goes_back_and_on_from_there(memory_sessions: Sessions) -> None:
    agent = await talked(memory_sessions(), "One", "Two")
    agent.state.set("mood", "good")
    manager = manager_of(agent)
    earlier = (await manager.points())[-2]
    await agent.send("Three")
    agent.state.set("mood", "bad")
    await agent.stop()

    await manager.rewind(earlier)

    assert texts(agent) == ["One", "Two"]
    await agent.start()
    await agent.send("Instead")
    await agent.stop()
    heir = await talked(memory_sessions())
    assert texts(heir) == ["One", "Two", "Instead"]
    assert heir.messages == agent.messages
    assert heir.state.get() == agent.state.get()
    await heir.stop()


async def test_going_back_is_a_point_too_that_one_can_go_back_before(memory_sessions: Sessions) -> None:
    agent = await talked(memory_sessions(), "One", "Two", "Three")
    await agent.stop()
    manager = manager_of(agent)
    whole = (await manager.points())[-1]
    first = (await manager.points())[-3]

    await manager.rewind(first)
    assert texts(agent) == ["One"]
    await manager.rewind(whole)

    assert texts(agent) == ["One", "Two", "Three"]


async def test_a_running_agent_is_left_alone(memory_sessions: Sessions) -> None:
    agent = await talked(memory_sessions(), "One", "Two")
    manager = manager_of(agent)

    with pytest.raises(RuntimeError, match="stop it"):
        await manager.rewind((await manager.points())[0])

    assert texts(agent) == ["One", "Two"]
    await agent.stop()


async def test_a_rewind_to_an_invalid_point_is_refused(memory_sessions: Sessions) -> None:
    agent = await talked(memory_sessions(), "One")
    await agent.stop()

    with pytest.raises(ValueError, match="nearest points"):
        await manager_of(agent).rewind(Point(999, 1, "x", 0))


async def test_a_message_left_behind_by_a_rewind_can_be_redacted(
    memory_sessions: Sessions, storage: MemoryStorage
) -> None:
    agent = await talked(memory_sessions(), "One", "the secret")
    secret = agent.messages[-1]["tracking_id"]
    manager = manager_of(agent)
    await agent.stop()
    await manager.rewind((await manager.points())[-2])
    heir_manager = memory_sessions()
    await manager.close()
    heir = await talked(heir_manager)

    await heir_manager.redact(secret)

    assert not [key for key, body in storage.objects.objects.items() if b"the secret" in unpack(body)]
    await heir.stop()


def put(tracking_id: str, text: str) -> Record:
    message = {"role": "user", "content": [{"text": text}], "tracking_id": tracking_id}
    return Record(kind="message", data={"message": message})


def test_reading_a_session_that_was_rewound_often_applies_each_record_once(monkeypatch: pytest.MonkeyPatch) -> None:
    applied = 0

    def counted(*args: Any, **options: Any) -> None:
        nonlocal applied
        applied += 1
        assert applied <= 201, "a prefix is added up again"
        apply(*args, **options)

    apply = segue.history.fold.apply
    monkeypatch.setattr(segue.history.fold, "apply", counted)
    # Each turn is undone: one record back from the rewind of the turn before.
    undone = [record for turn in range(200) for record in (put(f"m{turn}", "no"), rewind_record(1 + 2 * turn))]

    history = fold([put("first", "one"), *undone])

    assert [message["tracking_id"] for message in history.agents["default"].messages] == ["first"]
    assert applied == 201


def folded_by_the_book(records: Sequence[Record], upto: int | None = None) -> History:
    """Add records up as the page on records says it: a rewind adds up again what was there then."""
    history = History()
    for number, record in enumerate(records[:upto]):
        if record.kind == "rewind":
            then = folded_by_the_book(records, min(record.data["to"], number))
            history = segue.history.fold._rewound(history, then)
        else:
            agent = history.agents.setdefault(record.agent, AgentHistory())
            segue.history.fold.apply(agent, number, record)
    return history


_IDS = st.sampled_from(["a", "b", "c"])
_CHANGES = st.one_of(
    st.tuples(st.just("message"), _IDS, st.text("xyz", max_size=2)),
    st.tuples(st.just("update"), _IDS, st.text("xyz", max_size=2)),
    st.tuples(st.just("redact"), _IDS, st.just("-")),
    st.tuples(st.just("window"), st.integers(0, 3)),
    st.tuples(st.just("state"), st.integers(0, 9)),
    st.tuples(st.just("tool"), _IDS, st.sampled_from(["started", "ended"])),
)


def record_of(change: tuple[Any, ...], so_far: Sequence[Record], agent: str) -> Record:
    match change:
        case ("window", count):
            held = folded_by_the_book(so_far).agents.get(agent, AgentHistory()).messages
            return Record(kind="window", agent=agent, data={"keep": [one["tracking_id"] for one in held[count:]]})
        case ("state", number):
            return Record(kind="state", agent=agent, data={"number": number})
        case ("tool", name, phase):
            return Record(kind="tool", agent=agent, data={"tool_use_id": name, "name": name, "phase": phase})
        case (kind, tracking_id, text):
            return Record(kind=kind, agent=agent, data=put(tracking_id, text).data)
    raise AssertionError(change)


@pytest.mark.slow
@settings(deadline=None)
@given(
    turns=st.lists(
        st.tuples(st.lists(st.tuples(_CHANGES, st.sampled_from(["one", "two"])), max_size=5), st.integers(0, 40)),
        max_size=8,
    ),
    after=st.lists(_CHANGES, max_size=3),
)
def test_a_session_is_what_its_rewinds_say_however_they_are_added_up(turns: Any, after: Any) -> None:
    records: list[Record] = []
    for changes, to in turns:
        for change, agent in changes:
            records.append(record_of(change, records, agent))
        records.append(rewind_record(to))
    for change in after:
        records.append(record_of(change, records, "one"))

    folded, expected = fold(records), folded_by_the_book(records)
    for agent in expected.agents.values():
        agent.earlier = {}
    assert folded == expected


@pytest.mark.parametrize("to", [None, "2", 1.5])
def test_a_rewind_to_no_number_is_damage(to: Any) -> None:
    with pytest.raises(JournalCorrupt, match="not a 'rewind' record"):
        fold([put("a", "one"), Record(kind="rewind", data={"to": to})])
