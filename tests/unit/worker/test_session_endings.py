"""Endings of one hosted conversation: silence when it is lost, and release however it ends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from typing import Any

import pytest
from strands.bidi.hooks.events import BidiAgentStopEvent
from strands.bidi.types.events import (
    BidiConnectionStopEvent,
    BidiTranscriptStartEvent,
)

from segue import LeaseSettings, SessionFenced, SessionHeld
from segue.wire.frames import (
    AudioOutput,
    Error,
    Ready,
)
from shared.provider_errors import ERRORS, Kind
from tests.support.memory_manager import Latch, MemorySessionManager
from tests.support.scripted_model import answered
from tests.support.waiting import eventually
from tests.unit.worker.stand_ins import address, audio, delivery, finals, hello, said, speech, taken_over, text, turns
from worker.conversation.session import SessionMoved


async def test_a_fenced_session_is_silent_at_once(host, clients, storage):
    hosting = await host()
    other = await taken_over(storage)
    hosting.session.deliver(delivery(text("hello", 1)))
    await eventually(hosting.session.ended.is_set)
    hosting.model.emit([speech(), *answered("Too late.")])
    await turns()
    assert clients.kinds("k1") == ["Ready"]
    assert hosting.session.lost
    with pytest.raises(SessionMoved):
        hosting.session.deliver(delivery(text("hello", 2)))
    assert other.lease_is_fresh()
    await other.close()


async def test_a_session_that_ends_as_it_begins_makes_no_coroutine_that_nothing_awaits(host):
    """A task that is cancelled before its first step runs none of its work."""
    hosting = await host(start=False)
    begun: list[str] = []

    async def work() -> None:
        raise AssertionError("it ended before it began")

    def feed() -> Coroutine[Any, Any, None]:
        begun.append("feed")
        return work()

    hosting.session.lifecycle.open(feed)
    await hosting.session.stop()
    assert hosting.session.ended.is_set()
    assert begun == []


async def test_an_idle_session_that_was_taken_over_ends_by_itself(host, clients, storage):
    hosting = await host(lease=LeaseSettings(duration=2.0, heartbeat=0.1, margin=0.2))
    other = await taken_over(storage)
    await eventually(hosting.session.ended.is_set)
    assert hosting.session.lost
    await other.close()


async def test_losing_the_lease_breaks_off_what_is_being_posted(host, clients, storage):
    hosting = await host()
    clients.hold("k1")
    hosting.model.emit([speech(), speech(), speech()])
    await eventually(lambda: len(clients.of("k1", AudioOutput)) == 1)
    other = await taken_over(storage)
    hosting.session.deliver(delivery(text("hello", 1)))
    await eventually(hosting.session.ended.is_set)
    await turns()
    assert len(clients.of("k1", AudioOutput)) == 1
    assert not clients.under_way["k1"]
    await other.close()


async def test_nothing_is_posted_when_the_lease_may_have_run_out(host, clients, monkeypatch):
    hosting = await host()
    monkeypatch.setattr(hosting.manager, "lease_is_fresh", lambda: False)
    hosting.model.emit([speech()])
    await eventually(hosting.session.ended.is_set)
    assert clients.kinds("k1") == ["Ready"]
    assert hosting.session.lost


async def test_settle_does_not_acquire_a_session_that_has_ended(host, clients, storage, monkeypatch):
    hosting = await host()
    hosting.session.deliver(delivery(audio(1)))
    await eventually(lambda: hosting.model.audio)
    monkeypatch.setattr("worker.conversation.input.unanswered_audio.SILENCE_SECONDS", -1.0)
    monkeypatch.setattr("worker.conversation.input.unanswered_audio.ENDED_SECONDS", -1.0)
    monkeypatch.setattr(hosting.manager, "lease_is_fresh", lambda: False)
    hosting.model.emit([speech()])
    await eventually(hosting.session.ended.is_set)
    await hosting.session.settle()
    item = await storage.guard.read("default/talk")
    assert item is not None
    assert "acquire_id" not in item, "held by a process that does not host it"


@pytest.mark.slow
async def test_sessions_that_begin_together_do_not_commit_together(host, monkeypatch):
    """Forty sessions of one handoff would, every 2.5 s, and all callers of the worker would hear a gap of 60 ms."""
    monkeypatch.setattr("worker.conversation.session.SETTLE_SECONDS", 1.0)
    settled = []
    monkeypatch.setattr(
        "worker.conversation.input.feed.InputFeed.settle_silence", lambda one: settled.append((one, time.monotonic()))
    )
    hostings = [await host(start=False, session_id=f"talk-{number}") for number in range(8)]
    await asyncio.gather(*(hosting.session.start((address(f"k{hosting.manager.session_id}"),)) for hosting in hostings))
    await eventually(lambda: len({one for one, _ in settled}) == len(hostings))
    first = dict(reversed(settled)).values()
    assert max(first) - min(first) > 0.05, "at random over a second: all within 50 ms once in a hundred million"


async def test_stopping_flushes_posts_and_releases(host, clients, storage):
    hosting = await host()
    hosting.model.emit([BidiTranscriptStartEvent("assistant", "c1"), *answered("All of it.", content_id="c2")])
    await eventually(lambda: said(hosting, "All of it.") and hosting.session.turn.at_boundary)
    await hosting.session.stop()
    assert finals(clients) == ["All of it."]
    item = await storage.guard.read("default/talk")
    assert item is not None
    assert "acquire_id" not in item
    assert not hosting.model.running
    with pytest.raises(SessionMoved):
        hosting.session.deliver(delivery(text("hello", 1)))


async def test_output_that_becomes_durable_during_stop_is_posted(host, clients, storage, monkeypatch):
    monkeypatch.setattr("worker.conversation.lifecycle.FAREWELL_SECONDS", 60.0)
    hosting = await host()
    storage.before = latch = Latch("commit")
    slow = clients.hold("k1")
    hosting.model.emit(answered("The end."))
    await latch.reached.wait()
    await eventually(lambda: said(hosting, "The end.") and hosting.session.turn.at_boundary)
    stopping = asyncio.create_task(hosting.session.stop())
    latch.go.set()
    await eventually(lambda: not hosting.manager.lease_is_fresh())
    await turns()
    assert finals(clients) == []
    slow.set()
    await stopping
    assert finals(clients) == ["The end."]


async def test_a_broken_agent_tells_its_clients_and_releases(host, clients, storage):
    hosting = await host()
    hosting.model.emit([RuntimeError("secret of the provider")])
    await eventually(hosting.session.ended.is_set)
    (error,) = clients.of("k1", Error)
    assert error.code == "internal"
    assert error.retryable
    assert "secret" not in error.message
    item = await storage.guard.read("default/talk")
    assert item is not None
    assert "acquire_id" not in item


async def test_a_hook_that_fails_at_the_end_does_not_keep_the_session(host, clients, storage):
    hosting = await host()

    def fail(_: BidiAgentStopEvent) -> None:
        raise RuntimeError("a mistake in a user's hook")

    hosting.agent.hooks.add_callback(BidiAgentStopEvent, fail)
    await hosting.session.stop()
    item = await storage.guard.read("default/talk")
    assert item is not None
    assert "acquire_id" not in item


async def test_an_agent_may_end_its_conversation(host, clients):
    hosting = await host()
    hosting.model.emit([*answered("Bye."), BidiConnectionStopEvent("x", "user_request")])
    await eventually(hosting.session.ended.is_set)
    assert finals(clients) == ["Bye."]
    assert not hosting.session.lost


async def test_a_session_whose_agent_does_not_start_is_released(host, storage, clients):
    hosting = await host(start=False)
    hosting.model.start_failure = RuntimeError("no such model")
    with pytest.raises(RuntimeError, match="no such model"):
        await hosting.session.start((address(),))
    await hosting.session.drop()
    item = await storage.guard.read("default/talk")
    assert item is not None
    assert "acquire_id" not in item
    assert clients.posted["k1"] == []


async def test_a_model_that_does_not_connect_is_given_up(host, monkeypatch):
    monkeypatch.setattr("worker.conversation.model_start.START_SECONDS", 0.05)
    hosting = await host(start=False)

    async def hang(*_: Any, **__: Any) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(hosting.model, "start", hang)
    with pytest.raises(TimeoutError):
        await hosting.session.start((address(),))


async def test_ending_twice_at_once_ends_once(host, clients):
    hosting = await host()
    ended = []
    hosting.session.on_ended = lambda: ended.append(1)
    await asyncio.gather(hosting.session.stop(), hosting.session.stop(), hosting.session.drop())
    assert ended == [1]
    assert hosting.model.stops == 1


async def test_half_a_surrogate_pair_is_shown_as_a_replacement_and_ends_nothing(host, clients):
    """Deltas that are cut in the wrong place give them, and no message can carry them; two that meet are whole."""
    hosting = await host()
    for number, words in enumerate(("half \ud83d", "whole \ud83d\ude00")):
        hosting.model.emit(answered(words, f"r{number}", f"c{number}"))
    await eventually(lambda: len(finals(clients)) == 2)
    assert finals(clients) == ["half \N{REPLACEMENT CHARACTER}", "whole \N{GRINNING FACE}"]
    hosting.session.deliver(delivery(hello(-1)))
    await eventually(lambda: len(finals(clients)) == 4)
    assert hosting.session.open


async def is_free(storage: Any) -> bool:
    """Return true if another manager gets the session at once."""
    other = MemorySessionManager(storage=storage, acquire_timeout=0.0)
    try:
        await other.open()
    except SessionHeld:
        return False
    await other.close()
    return True


async def test_a_session_that_is_lost_while_it_leaves_is_stopped_and_released(host, storage, monkeypatch):
    hosting = await host()
    monkeypatch.setattr(hosting.manager, "lease_is_fresh", lambda: False)
    hosting.session.refuse_frames()
    hosting.session.lifecycle.lose()
    await hosting.session.stop()
    assert hosting.session.ended.is_set()
    assert not hosting.model.running
    assert await is_free(storage)


async def test_a_session_that_ends_and_is_lost_in_the_same_moment_is_stopped_and_released(host, storage):
    hosting = await host()
    hosting.session.lifecycle.stop_soon()
    hosting.session.lifecycle.lose()
    await hosting.session.ended.wait()
    assert hosting.model.stops == 1
    assert await is_free(storage)


async def test_a_session_that_is_stopped_while_it_opens_is_released(host, storage, monkeypatch):
    hosting = await host(start=False)
    starting, connected, start = asyncio.Event(), asyncio.Event(), hosting.model.start

    async def slow(*args: Any, **options: Any) -> None:
        starting.set()
        await connected.wait()
        await start(*args, **options)

    monkeypatch.setattr(hosting.model, "start", slow)
    opening = asyncio.create_task(hosting.session.start((address(),)))
    await starting.wait()
    await hosting.session.stop()
    connected.set()
    with pytest.raises(SessionFenced):
        await opening
    await hosting.session.drop()
    assert not hosting.model.running
    assert await is_free(storage)


async def test_a_session_ends_even_if_stopping_its_agent_breaks(host, monkeypatch):
    hosting = await host()

    async def broken() -> bool:
        raise TypeError("a mistake")

    with monkeypatch.context() as patch:
        patch.setattr(hosting.session._hold, "stop", broken)
        with pytest.raises(TypeError):
            await hosting.session.stop()
    assert hosting.session.ended.is_set()


async def test_a_providers_refusal_ends_the_session_with_a_retryable_error(host, clients):
    hosting = await host()
    hosting.model.emit([ConnectionRefusedError("secret of the provider")])
    await eventually(hosting.session.ended.is_set)
    (error,) = clients.of("k1", Error)
    assert (error.code, error.retryable) == ("model_unavailable", True)
    assert "secret" not in error.message


async def test_a_trouble_that_the_conversation_survives_is_an_error_frame(host, clients):
    hosting = await host(start=False)
    hosting.model.on_trouble = None
    await hosting.session.start((address(),))
    await eventually(lambda: clients.of("k1", Ready))
    hosting.model.on_trouble(ERRORS[Kind.THROTTLED])
    await eventually(lambda: clients.of("k1", Error))
    (error,) = clients.of("k1", Error)
    assert (error.code, error.retryable) == ("model_throttled", True)
    assert hosting.session.open


@pytest.mark.parametrize(
    "error", [RuntimeError("it hangs up"), asyncio.CancelledError()], ids=["fails", "is cancelled"]
)
async def test_a_model_that_does_not_stop_cleanly_keeps_no_session(host, storage, error):
    hosting = await host()

    async def stop():
        raise error

    hosting.model.stop = stop
    await hosting.session.stop()
    item = await storage.guard.read("default/talk")
    assert item is not None
    assert "acquire_id" not in item
