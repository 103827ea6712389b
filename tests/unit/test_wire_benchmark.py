"""Figures of the wire benchmark, and its reading of the workers' logs."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import Server, ServerConnection, serve

from benchmarks.measuring import lag
from benchmarks.measuring.figures import Spread
from benchmarks.wire import figures, round_trips
from benchmarks.wire.callers import PCM, DirectCaller, PlainCaller
from benchmarks.wire.figures import Crowd, Echo, Entry, Handoffs, Wire, tables, verdicts
from benchmarks.wire.import_times import measure
from benchmarks.wire.many_sessions import RoundTrips
from benchmarks.wire.pauses import gaps, slowest
from benchmarks.wire.plot import draw
from benchmarks.wire.round_trips import EchoRoute, take_turns
from segue.lease.item import Known
from segue.wire.binary import decode_binary_client, encode_binary
from segue.wire.frames import AudioOutput, Bye, Ready, decode_client_frame, encode_frame


def _spread(*values: float) -> Spread:
    return Spread.of(values)


def _run() -> Wire:
    crowd = {"cpu": 0.5, "memory_mib": 100.0, "round_trip_ms": _spread(1.0, 9.0), "back": 1.0, "lag_ms": _spread(0.5)}
    return Wire(
        echoes=[
            Echo(name=name, milliseconds=_spread(p99), lost=0)
            for name, p99 in {figures.BARE_ECHO: 0.5, figures.AGENT_ECHO: 0.9, figures.DIRECT_ECHO: 1.1}.items()
        ],
        crowds=[Crowd(name=name, sessions=10, **crowd) for name in (figures.GATEWAY, figures.DIRECT, figures.PLAIN)],
        entries=[
            Entry(name=name, seconds=_spread(seconds), memory_mib=40.0)
            for name, seconds in {
                "gateway.authorizer": 0.15,
                "gateway.message": 0.2,
                "strands, boto3": 1.0,
                "turn.handler": 1.25,
            }.items()
        ],
        handoffs=[Handoffs(name="a model", gap_ms=_spread(30.0), seen_ms=_spread(30.0, 700.0))],
        killed_ms=_spread(90.0, 220.0),
        stopped_ms=_spread(1800.0, 2600.0),
        direct_killed_ms=_spread(310.0, 640.0),
        direct_stopped_ms=_spread(2900.0, 3700.0),
        lease_ms=10_000,
    )


def test_targets_that_are_missed_are_said_to_be() -> None:
    assert [(one.figure, one.met) for one in verdicts(_run())] == [
        ("import of `gateway.message` beside `import gateway.authorizer`", True),
        ("import of `turn.handler` beside `import strands, boto3`", False),
        (f"echo, {figures.DIRECT_ECHO}, beside {figures.BARE_ECHO}", False),
        (f"echo, {figures.DIRECT_ECHO}, beside {figures.AGENT_ECHO}", True),
        ("processor of 10 sessions, gateway, beside a plain server", True),
        ("echo with 10 sessions on the worker, gateway", True),
        ("processor of 10 sessions, direct, beside a plain server", True),
        ("echo with 10 sessions on the worker, direct", True),
        ("planned handoff seen by the client, model start included, a model", False),
        ("takeover, holder killed", True),
        ("takeover, holder stopped", True),
    ]
    assert "**missed**" in tables(_run())


def test_waits_of_a_client_at_the_holders_socket_are_shown_without_a_target() -> None:
    """Its figures contain the time until it has come back, or has noticed the silence; the targets do not."""
    found = tables(_run())
    assert "| holder killed, at its socket: SIGKILL to `ready` | 310 ms | 640 ms |" in found
    assert "| holder stopped, at its socket: SIGSTOP to `ready` | 2900 ms | 3700 ms |" in found


def test_a_worker_is_held_against_the_plain_server_of_its_own_run() -> None:

    def crowd(name: str, sessions: int, cpu: float, back: float = 1.0) -> Crowd:
        return Crowd(
            name=name,
            sessions=sessions,
            cpu=cpu,
            back=back,
            memory_mib=100.0,
            lag_ms=_spread(0.5),
            round_trip_ms=_spread(11.0),
        )

    def met(name: str, cpu: float, back: float = 1.0) -> list[bool]:
        ours = crowd(name, 40, cpu, back)
        others = [crowd(figures.PLAIN, count, 0.1) for count in (10, 40)]
        return [one.met for one in verdicts(Wire(crowds=[ours, *others]))]

    assert met(figures.GATEWAY, 0.29) == [True, False]
    assert met(figures.GATEWAY, 0.31) == [False, False]
    assert met(figures.GATEWAY, 0.29, 0.5) == [False, False], (
        "a gateway that dropped half of the frames meets no target"
    )
    assert met(figures.DIRECT, 0.19) == [True, False]
    assert met(figures.DIRECT, 0.21) == [False, False]


def test_the_table_says_how_many_times_the_plain_server_a_worker_takes() -> None:
    assert "| 10 | direct | 50.0 % | 1.00 x |" in tables(_run())
    alone = Wire(crowds=_run().crowds[:1])
    assert "| 10 | gateway | 50.0 % | - |" in tables(alone), "no plain server was measured"
    assert list(verdicts(alone)) == []


def test_figures_that_miss_a_target_are_marked_in_their_row() -> None:
    crowd = {"sessions": 40, "memory_mib": 100.0, "round_trip_ms": _spread(1.0, 11.0), "lag_ms": _spread(0.5)}
    found = tables(
        Wire(
            crowds=[
                Crowd(name=figures.GATEWAY, cpu=0.5, back=1.0, **crowd),
                Crowd(name=figures.PLAIN, cpu=0.1, back=1.0, **crowd),
            ],
            handoffs=[
                Handoffs(name="slow", gap_ms=_spread(30.0), seen_ms=_spread(30.0, 700.0)),
                Handoffs(name="fast", gap_ms=None, seen_ms=_spread(30.0)),
                Handoffs(name="free", gap_ms=None, seen_ms=_spread(900.0), judged=False),
            ],
        )
    )
    assert "| 40 | gateway | 50.0 % | **5.00 x** |" in found
    assert "| 1.0 ms | **11.0 ms** | 100.0 % |" in found
    assert "| 1.0 ms | 11.0 ms | 100.0 % |" in found, "a plain server has no target"
    assert "| slow | 30, 30 ms | 30, 700 ms | **missed** |" in found
    assert "| fast |  | 30, 30 ms | met |" in found
    assert "| free |  | 900, 900 ms | none |" in found


@pytest.mark.slow
def test_figures_not_measured_are_not_shown(tmp_path: Path) -> None:
    assert list(verdicts(Wire())) == []
    assert "takeover" not in tables(Wire())
    draw(Wire(), tmp_path / "none.png")


@pytest.mark.slow
def test_a_whole_run_is_drawn_as_a_picture(tmp_path: Path) -> None:
    draw(_run(), tmp_path / "wire.png")
    assert (tmp_path / "wire.png").read_bytes().startswith(b"\x89PNG")


def test_gaps_are_those_of_handoffs(tmp_path: Path) -> None:
    opened = {"message": "session opened", "session": "p/call-1", "reason": "handoff", "gap_ms": 25}
    lines = [opened, opened | {"reason": "unreachable", "gap_ms": None}, {"message": "session ended"}]
    text = "\n".join(json.dumps(line, separators=(",", ":")) for line in lines)
    (tmp_path / "worker-w1.log").write_text(f"{text}\nnot JSON\n")
    assert list(gaps(tmp_path)) == [25.0]


def test_the_slowest_handoffs_are_told_by_their_parts(tmp_path: Path) -> None:
    quick = {"message": "session opened", "session": "p/call-1", "reason": "handoff", "prepared": True}
    quick |= {"opened_ahead": True, "gap_ms": 45, "ms": 30, "parts_ms": {"lease": 20, "model": 10}}
    late = {
        "prepared": False,
        "gap_ms": 130,
        "ms": 120,
        "parts_ms": {"lease": 9, "restore": 90, "agent": 5, "model": 16},
    }
    lost = {"prepared": False, "opened_ahead": False, "gap_ms": 667, "ms": 667, "parts_ms": {"model": 510}}
    lines = "\n".join(json.dumps(line, separators=(",", ":")) for line in (quick, quick | late, quick | lost))
    (tmp_path / "worker-w1.log").write_text(lines)
    assert list(slowest(tmp_path)) == [
        "667 ms, not ready: refused to claim 0, model 510",
        "130 ms, out of date: refused to claim 10, lease 9, restore 90, agent 5, model 16",
        "45 ms, ready: refused to claim 15, lease 20, model 10",
    ]


@pytest.mark.slow
def test_an_import_takes_time_and_memory() -> None:
    (found,) = measure(1, ["gateway.disconnect"])
    assert found.seconds.p50 > 0.01
    assert found.memory_mib > 10


@contextmanager
def telling(program: str, folder: Path) -> Iterator[tuple[int, Path]]:
    """Run a program that tells how late its loop is, from its first line on; its process id, and the file for that."""
    told = folder / "lag.json"
    environment = {**os.environ, lag.VARIABLE: str(told)}
    with subprocess.Popen([sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            process.stdout.readline()
            yield process.pid, told
        finally:
            process.kill()


@pytest.mark.slow
def test_a_process_tells_how_late_its_loop_is(tmp_path: Path) -> None:
    busy = (
        "import asyncio, time\nfrom benchmarks.measuring import lag\nasync def main():\n"
        "    task = asyncio.create_task(lag.keep_lag())\n    await asyncio.sleep(0.02)\n    time.sleep(0.1)\n"
        "    await asyncio.sleep(0.02)\n    print('late', flush=True)\n    await asyncio.sleep(60)\nasyncio.run(main())"
    )
    with telling(busy, tmp_path) as (process, told):
        assert asyncio.run(asyncio.to_thread(lag.ask, process, told)).max > 80


@pytest.mark.slow
def test_a_ticker_that_rests_takes_no_turns_of_the_loop(tmp_path: Path) -> None:
    idle = (
        "import asyncio\nfrom benchmarks.measuring import lag\nasync def main():\n"
        "    task = asyncio.create_task(lag.keep_lag())\n    await asyncio.sleep(0)\n    print('ready', flush=True)\n"
        "    await asyncio.sleep(60)\nasyncio.run(main())"
    )
    with telling(idle, tmp_path) as (process, told):
        lag.ask(process, told)
        began = time.monotonic()
        lag.ask(process, told)
        lag.pause_ticks(process)
        ticking = time.monotonic() - began
        time.sleep(0.25)  # fifty ticks, if it did not rest
        at_rest = lag.ask(process, told)
        assert at_rest.count <= ticking / lag.TICK_SECONDS + 2, "those before it rested, and the one under way"
        while lag.ask(process, told).max == 0.0:  # until it has ticked again: its limit ends the test
            pass


def test_a_process_that_does_not_tell_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lag, "_ANSWER_SECONDS", 0.05)
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True) as process:
        process.terminate()
        process.wait()
        with pytest.raises((TimeoutError, ProcessLookupError)):
            lag.ask(process.pid, tmp_path / "none")


class _Echo:
    """Sends back what it is sent, at once or never."""

    def __init__(self, order: list[str], name: str, *, deaf: bool = False) -> None:
        self._order, self._name, self._deaf = order, name, deaf

    async def send(self) -> None:
        self._order.append(self._name)

    async def hear(self) -> float:
        if self._deaf:
            await asyncio.Event().wait()
        return 0.1


async def test_ways_take_turns_and_what_does_not_come_back_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(round_trips, "LOST_SECONDS", 0.01)
    monkeypatch.setattr(round_trips, "FRAME_SECONDS", 0.0)
    order: list[str] = []
    found = await take_turns([EchoRoute("a", _Echo(order, "a")), EchoRoute("b", _Echo(order, "b", deaf=True))], 3)
    assert order == ["a", "b"] * 3
    assert [(one.name, one.lost) for one in found] == [("a", 0), ("b", 3)]
    assert found[0].milliseconds.count == 2, "the first one opens connections, and does not count"
    assert found[1].milliseconds.p99 == float("inf")


def test_two_frames_that_come_back_in_one_message_are_two_round_trips() -> None:
    trips = RoundTrips()
    for _ in range(3):
        trips.sent(7)
    trips.back(7, 0.2)
    trips.back(8, 0.1)  # nothing was sent there
    assert len(trips.took) == 2
    trips.forget()
    trips.back(7, 0.1)
    assert trips.took == [], "a frame sent before the measurement does not count"


async def test_a_caller_of_a_plain_server_hears_what_it_sent() -> None:
    async def send_back(socket: ServerConnection) -> None:
        async for message in socket:
            await socket.send(message)

    async with serve(send_back, "127.0.0.1", 0) as server, PlainCaller.of(_url(server)) as caller:
        await caller.send()
        assert await caller.hear() == pytest.approx(0.1, abs=1e-3)


async def test_a_direct_caller_says_hello_and_numbers_its_binary_frames() -> None:
    said: list[Any] = []

    async def hold(socket: ServerConnection) -> None:
        said.append(decode_client_frame(await socket.recv()))
        ready = Ready(session="talk", known=Known(), history=0, head=0, features=("binary",), epoch=1, seq=1)
        await socket.send(encode_frame(ready))
        async for message in socket:
            if isinstance(message, str):
                said.append(decode_client_frame(message))
            else:
                said.append(decode_binary_client(message))
                await socket.send(encode_binary(AudioOutput(audio=said[-1].audio, rate=16000, epoch=1, seq=2)))

    async with serve(hold, "127.0.0.1", 0) as server:
        async with DirectCaller.of(_url(server), "token", "talk") as caller:
            for _ in range(2):
                await caller.send()
                assert await caller.hear() == pytest.approx(0.1)
        server.close()
        await server.wait_closed()
    hello, first, second, bye = said
    assert (hello.session, hello.binary) == ("talk", True)
    assert [first.seq, second.seq] == [1, 2]
    assert first.pcm == PCM
    assert bye == Bye(), "else the next worker would be given the session"


def _url(server: Server) -> str:
    return f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
