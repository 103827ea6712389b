"""The user's code when it fails in a conversation: logged, told to the client, and to the model as was chosen."""

from __future__ import annotations

import asyncio
import time

import pytest
from strands import Agent, tool
from strands.bidi import BidiAgent

from segue.testing.offline import OfflineVoiceModel
from segue.testing.offline.text_model import OfflineTextModel
from segue.wire.frames import Error, Ready
from shared.agent_code import HIDDEN_TEXT, AgentFailed, build, watch_tools
from tests.support.waiting import eventually
from tests.unit.worker.stand_ins import address, claim
from worker.telemetry.blocked_loop import BlockedLoopWatch, watched_loop
from worker.telemetry.metrics import Count, metrics


class Log:
    """Keeps what is logged."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, dict]] = []

    def error(self, message, **keys):
        self.lines.append((message, keys))

    warning = error


@tool
def lamp(room: str) -> str:
    """Switch a lamp on."""
    raise ConnectionError(f"no lamp in {room}: password=secret")


async def result_of(agent, room="hall"):
    outcome = await asyncio.to_thread(agent.tool.lamp, room=room)
    return outcome["content"][0]["text"]


@pytest.mark.parametrize(
    "agent",
    [
        lambda: Agent(model=OfflineTextModel(), tools=[lamp], callback_handler=None),
        lambda: BidiAgent(model=OfflineVoiceModel(), tools=[lamp]),
    ],
    ids=["text", "voice"],
)
async def test_a_tool_that_raises_is_logged_with_its_traceback_and_the_model_is_told_its_text(agent):
    log, made = Log(), agent()
    watch_tools(made, log, "p/talk")
    assert "no lamp in hall" in await result_of(made)
    ((message, keys),) = log.lines
    assert (message, keys["tool"], keys["session"], keys["kind"]) == (
        "a tool raised",
        "lamp",
        "p/talk",
        "ConnectionError",
    )
    assert keys["exc_info"].__traceback__ is not None


async def test_the_text_of_an_error_can_be_kept_from_the_model(monkeypatch):
    monkeypatch.setenv("SEGUE_TOOL_ERRORS", "hidden")
    log, agent = Log(), Agent(model=OfflineTextModel(), tools=[lamp], callback_handler=None)
    watch_tools(agent, log, "p/talk")
    assert await result_of(agent) == HIDDEN_TEXT
    assert "secret" in str(log.lines[0][1]["exc_info"])


async def test_an_input_that_does_not_fit_is_logged_without_the_input():
    log, agent = Log(), Agent(model=OfflineTextModel(), tools=[lamp], callback_handler=None)
    watch_tools(agent, log, "p/talk")
    await result_of(agent, room={"my": "secret"})
    assert log.lines == [("the model's input does not fit the tool", {"tool": "lamp", "session": "p/talk"})]


def test_a_builder_that_raises_is_a_failure_of_the_agent_and_storage_is_not():
    class Manager:
        session_key = "p/talk"

    from segue import StorageUnavailable

    log = Log()
    with pytest.raises(AgentFailed):
        build(lambda _: 1 / 0, Manager(), log)
    assert log.lines[0][0] == "the agent could not be built"
    with pytest.raises(AgentFailed):
        build(lambda _: None, Manager(), log)

    def restoring(_):
        raise RuntimeError("a hook failed") from StorageUnavailable("later")

    with pytest.raises(RuntimeError):
        build(restoring, Manager(), log)
    assert len(log.lines) == 2


async def test_clients_of_a_session_without_an_agent_are_told_and_the_session_is_released(world, clients, caplog):
    def broken(_):
        raise KeyError("WEATHER_KEY")

    opener = world.host._opener
    good, opener._new_agent = opener._new_agent, broken
    with pytest.raises(AgentFailed):
        await world.host.open_session(claim("talk", address(), address("c2", "k2")))
    for connection in ("k1", "k2"):
        (error,) = clients.of(connection, Error)
        assert (error.code, error.retryable) == ("agent_failed", True)
    assert "WEATHER_KEY" not in error.message
    item = await world.storage.guard.read("default/talk")
    assert "acquire_id" not in item
    opener._new_agent = good
    await world.host.open_session(claim("talk", address()))
    await eventually(lambda: clients.of("k1", Ready))


def quick_watch(log):
    """A watch that is quick enough for a test."""
    return BlockedLoopWatch(log, blocked_seconds=0.15, look_seconds=0.02)


@pytest.fixture
def watched():
    """A watch on the running loop."""
    log = Log()
    watch = quick_watch(log)
    yield log, watch
    watch.stop()


async def test_code_that_blocks_the_loop_is_named_while_it_does_so_and_counted(watched):
    log, watch = watched
    watch.start()
    before = metrics._counts[Count.LOOP_BLOCKED]
    ended = time.monotonic() + 60
    while not log.lines and time.monotonic() < ended:
        time.sleep(0.01)  # noqa: ASYNC251 - it blocks the loop
    message, keys = log.lines[0]
    assert message == "the event loop is blocked"
    assert keys["at"].partition(":")[0] == __file__
    assert "time.sleep(0.01)" in keys["code"] or "while not log.lines" in keys["code"]
    assert any("test_code_that_blocks" in frame for frame in keys["stack"])
    await eventually(lambda: len(log.lines) == 2)
    assert log.lines[1][0] == "the event loop turns again"
    assert log.lines[1][1]["blocked_ms"] >= 150
    assert metrics._counts[Count.LOOP_BLOCKED] == before + 1


@pytest.mark.slow
async def test_a_loop_that_waits_is_not_blocked():
    for _ in range(20):  # a machine that gives it no turn between two waits is reported by right
        log = Log()
        watch = quick_watch(log)
        watch.start()
        watch._timer.cancel()  # as if the machine gave it no turn
        await asyncio.sleep(0.4)
        watch.stop()
        if not log.lines:
            return
    pytest.fail(f"{log.lines}")


async def test_the_blocked_loop_watch_does_not_run_under_a_debugger(monkeypatch):
    started = []
    monkeypatch.setattr(BlockedLoopWatch, "start", lambda _: started.append("a watch"))
    monkeypatch.setenv("SEGUE_DEBUG", "1")
    with watched_loop():
        assert started == []
    monkeypatch.delenv("SEGUE_DEBUG")
    with watched_loop():
        assert len(started) == 1
