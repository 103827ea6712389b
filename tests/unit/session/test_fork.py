"""A forked child is never the holder."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import traceback
from collections.abc import Callable
from typing import Any

import pytest
from strands.bidi import BidiAgent

import segue.storage.clients
from segue import SessionFenced
from segue.journal.message_shape import Message
from segue.session.runtime import Runtime
from tests.support.scripted_model import ScriptedModel
from tests.support.sessions import Sessions, manager_of

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


def in_a_child(work: Callable[[], Any], seconds: int = 10) -> Any:
    """Fork, do the work in the child, and return what it returned; fail if it hangs."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(seconds)  # ends the child if it hangs
        try:
            answer = work()
        except BaseException:  # noqa: BLE001 - whatever it is, the parent wants to see it
            answer = {"error": traceback.format_exc()}
        os.write(write, json.dumps(answer).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        answer = pipe.read()
    _, status = os.waitpid(pid, 0)
    assert status == 0, f"the child ended with {status}: it hung"
    return json.loads(answer)


def fenced(work: Callable[[], Any]) -> bool:
    try:
        work()
    except SessionFenced:
        return True
    return False


@pytest.fixture
def agent(memory_sessions: Sessions) -> BidiAgent:
    return BidiAgent(model=ScriptedModel(), session_manager=memory_sessions())


@pytest.fixture
def held(agent: BidiAgent) -> Any:
    return manager_of(agent)


MESSAGE: Message = {"role": "user", "content": [{"text": "From the child"}], "tracking_id": "t1"}


def test_a_child_can_append_nothing(held: Any, agent: BidiAgent) -> None:
    assert in_a_child(lambda: fenced(lambda: held.append_message(dict(MESSAGE), agent)))

    held.close_sync()
    assert held.head == held.position


@pytest.mark.slow
@pytest.mark.parametrize("name", ["flush", "durable", "close"])
def test_waiting_calls_of_a_child_are_fenced(held: Any, name: str) -> None:
    assert in_a_child(lambda: fenced(lambda: asyncio.run(getattr(held, name)())))


@pytest.mark.parametrize("name", ["flush_sync", "close_sync"])
def test_blocking_calls_of_a_child_are_fenced(held: Any, name: str) -> None:
    assert in_a_child(lambda: fenced(getattr(held, name)))


def test_a_child_is_not_the_holder(held: Any) -> None:
    assert held.lease_is_fresh()

    assert in_a_child(held.lease_is_fresh) is False


def test_a_child_has_a_runtime_of_its_own(held: Any) -> None:
    parents = Runtime.shared()

    async def alive() -> str:
        return "alive"

    assert in_a_child(lambda: [Runtime.shared() is parents, Runtime.shared().run_sync(alive())]) == [False, "alive"]


@pytest.mark.slow
def test_a_child_makes_clients_of_its_own(s3_sessions: Sessions) -> None:
    # Two processes on one connection read each other's answers.
    parent = s3_sessions("parents")
    parent.open_sync()

    def inherited() -> bool:
        child = s3_sessions("childs")
        child.open_sync()
        return child._session._stores.objects._client is parent._session._stores.objects._client

    assert in_a_child(inherited, seconds=30) is False


def test_the_parent_goes_on(held: Any, agent: BidiAgent) -> None:
    in_a_child(lambda: True)
    held.append_message(dict(MESSAGE), agent)
    held.flush_sync()

    assert held.lease_is_fresh()
    assert held.head == held.position


def test_a_manager_that_was_made_before_the_fork_is_of_use_in_the_child(memory_sessions: Sessions) -> None:
    made, opened = memory_sessions("made"), memory_sessions("opened")
    opened.open_sync()

    def used() -> int:
        made.open_sync()
        BidiAgent(model=ScriptedModel(), session_manager=made)
        made.close_sync()
        return made.head

    assert in_a_child(used) > 0


@pytest.mark.slow
def test_a_manager_that_was_made_before_the_fork_makes_clients_though_they_were_being_made(
    s3_sessions: Sessions,
) -> None:
    made = s3_sessions()

    def used() -> bool:
        made.open_sync()
        held = made.lease_is_fresh()
        made.close_sync()
        return held

    with segue.storage.clients._lock:  # another thread of the parent
        assert in_a_child(used, seconds=30)
