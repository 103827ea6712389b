"""Models that keep the conversation themselves: they are given no old messages, and the session keeps them all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from strands import Agent
from strands.session import FileSessionManager, SnapshotSessionManager
from strands.storage import LocalFileStorage

from tests.support.fake_model import FakeModel
from tests.support.sessions import Sessions, built


class StatefulModel(FakeModel):
    """Counts its answers in the state that Strands keeps for it, as a provider's handle of a conversation does."""

    @property
    def stateful(self) -> bool:
        return True

    async def stream(self, messages: Any, *args: Any, **kwargs: Any) -> Any:
        state = kwargs["model_state"]
        state["answers"] = state.get("answers", 0) + 1
        async for event in super().stream(messages, *args, **kwargs):
            yield event


def asked(model: FakeModel) -> list[list[str]]:
    """The texts of each request."""
    return [[block["text"] for message in messages for block in message["content"]] for messages in model.asked]


def texts(messages: Any) -> list[str]:
    return [block["text"] for message in messages for block in message["content"]]


async def talked(sessions: Sessions, model: FakeModel, *said: str) -> Agent:
    """Say something in a process of its own."""
    manager = sessions()
    await manager.open()
    agent = built(manager, model=model)
    for text in said:
        await agent.invoke_async(text)
    await manager.close()
    return agent


async def test_a_model_that_keeps_the_conversation_gets_no_old_messages(memory_sessions: Sessions) -> None:
    await talked(memory_sessions, first := StatefulModel(), "One", "Two")
    second = StatefulModel()
    agent = await talked(memory_sessions, second, "Three")

    assert asked(first) == [["One"], ["Two"]]
    assert asked(second) == [["Three"]]
    assert agent._model_state["answers"] == 3, "the model's own state is restored"


async def test_a_stateless_model_after_a_stateful_one_gets_all_messages(memory_sessions: Sessions) -> None:
    await talked(memory_sessions, StatefulModel(), "One")
    await talked(memory_sessions, StatefulModel(), "Two", "Three")

    await talked(memory_sessions, model := FakeModel(), "Four")

    said = [text for one in ("One", "Two", "Three") for text in (one, f"You said: {one}")]
    assert asked(model) == [[*said, "Four"]]


async def test_a_stateful_model_after_a_stateless_one_gets_no_old_messages(memory_sessions: Sessions) -> None:
    await talked(memory_sessions, FakeModel(), "One")

    await talked(memory_sessions, model := StatefulModel(), "Two")
    await talked(memory_sessions, other := FakeModel(), "Three")

    assert asked(model) == [["Two"]]
    assert asked(other) == [["One", "You said: One", "Two", "You said: Two", "Three"]]


async def test_a_message_that_is_not_held_any_more_can_be_redacted(memory_sessions: Sessions) -> None:
    await talked(memory_sessions, StatefulModel(["Noted"]), "My number is 4711")
    manager = memory_sessions()
    await manager.open()
    agent = built(manager, model=StatefulModel())
    (number, _) = manager.history.agents["default"].messages

    await manager.redact(number["tracking_id"])

    assert agent.messages == []
    await manager.close()
    await talked(memory_sessions, model := FakeModel(), "Hello")
    assert "4711" not in str(model.asked)
    assert len(model.asked[0]) == 3


@pytest.mark.parametrize("kind", ["repository", "snapshot"])
def test_strands_own_managers_give_a_stateful_model_no_old_messages(kind: str, tmp_path: Path) -> None:
    def manager() -> Any:
        if kind == "repository":
            return FileSessionManager("talk", storage_dir=str(tmp_path))
        return SnapshotSessionManager("talk", storage=LocalFileStorage(str(tmp_path)))

    for said in ("One", "Two"):
        agent = built(manager(), model=(model := StatefulModel()))
        agent(said)
        assert asked(model) == [[said]]
