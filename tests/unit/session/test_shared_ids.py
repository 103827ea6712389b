"""Messages of one agent that have the same tracking id, because a program copied one: each keeps its content."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from strands import Agent

from tests.support.fake_model import FakeModel
from tests.support.sessions import manager_of

Sessions = Callable[..., Any]


def built(manager: Any, **options: Any) -> Agent:
    return Agent(model=FakeModel(), session_manager=manager, callback_handler=None, **options)


def other(message: Any, text: str) -> Any:
    return {**copy.deepcopy(message), "content": [{"text": text}]}


def copy_at_the_end(agent: Agent) -> None:
    agent.messages.append(other(agent.messages[0], "Hello again"))


def copy_at_the_beginning(agent: Agent) -> None:
    agent.messages.insert(0, other(agent.messages[0], "Hello before"))


def copies_that_are_edited_later(agent: Agent) -> None:
    agent.messages.append(copy.deepcopy(agent.messages[0]))
    manager_of(agent).flush_sync()
    agent.messages[0]["content"][0]["text"] = "The first one, edited"


def the_very_same_twice(agent: Agent) -> None:
    agent.messages.append(agent.messages[0])
    manager_of(agent).flush_sync()
    agent.messages[0]["content"][0]["text"] = "Edited in both places"


def the_very_same_after_a_new_one(agent: Agent) -> None:
    agent.messages += [other({"role": "assistant"}, "Between"), agent.messages[0]]


def a_new_one_before_the_very_same_twice(agent: Agent) -> None:
    agent.messages.insert(0, agent.messages[0])
    manager_of(agent).flush_sync()
    agent.messages.insert(0, other({"role": "assistant"}, "First"))


def a_prompt_with_an_id_that_is_known(agent: Agent) -> None:
    agent([other(agent.messages[0], "Once more")])


@pytest.mark.slow
@pytest.mark.parametrize(
    "act",
    [
        copy_at_the_end,
        copy_at_the_beginning,
        copies_that_are_edited_later,
        the_very_same_twice,
        the_very_same_after_a_new_one,
        a_new_one_before_the_very_same_twice,
        a_prompt_with_an_id_that_is_known,
    ],
)
@pytest.mark.parametrize("then", ["nothing", "a removal", "all are copied"])
def test_messages_that_share_an_id_keep_their_own_content(
    memory_sessions: Sessions, act: Callable[[Agent], None], then: str
) -> None:
    manager = memory_sessions()
    agent = built(manager)
    agent("Hello")
    agent("How are you?")
    act(agent)
    if then == "a removal":
        manager.flush_sync()
        del agent.messages[2]
    elif then == "all are copied":
        agent.messages = copy.deepcopy(agent.messages)
        agent.messages.reverse()
    manager.close_sync()

    assert built(memory_sessions()).messages == agent.messages


def test_messages_with_one_id_that_an_agent_is_built_with_keep_their_content(memory_sessions: Sessions) -> None:
    message = {"role": "user", "content": [{"text": "a"}], "tracking_id": "m"}
    manager = memory_sessions()
    agent = built(manager, messages=[message, other(message, "b"), other(message, "c")])
    manager.flush_sync()
    del agent.messages[1]
    manager.close_sync()

    assert message["tracking_id"] == "m"
    assert built(memory_sessions()).messages == agent.messages
