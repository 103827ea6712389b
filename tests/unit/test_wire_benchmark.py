"""Figures of the wire benchmark, and its reading of the workers' logs."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.measuring import lag
from benchmarks.measuring.figures import Spread
from benchmarks.wire.figures import Crowd, Echo, Entry, Handoffs, Wire, tables, verdicts
from benchmarks.wire.import_times import measure
from benchmarks.wire.pauses import gaps
from benchmarks.wire.plot import draw


def _spread(*values: float) -> Spread:
    return Spread.of(values)


def _run() -> Wire:
    crowd = {"cpu": 0.5, "memory_mib": 100.0, "round_trip_ms": _spread(1.0, 9.0), "back": 1.0, "lag_ms": _spread(0.5)}
    return Wire(
        echoes=[Echo(name="the floor", milliseconds=_spread(4.0), lost=0)],
        crowds=[Crowd(name=name, sessions=10, **crowd) for name in ("segue", "plain")],
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
        lease_ms=10_000,
    )


def test_targets_that_are_missed_are_said_to_be() -> None:
    assert [(one.figure, one.met) for one in verdicts(_run())] == [
        ("import of `gateway.message` beside `import gateway.authorizer`", True),
        ("import of `turn.handler` beside `import strands, boto3`", False),
        ("processor of 10 sessions through the gateway beside a plain server", True),
        ("echo with 10 sessions on the worker", True),
        ("planned handoff seen by the client, model start included, a model", False),
        ("takeover, holder dead", True),
        ("takeover, holder hung", True),
    ]
    assert "**missed**" in tables(_run())


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

    def met(cpu: float, back: float) -> list[bool]:
        ours = crowd("segue", 40, cpu, back)
        others = [crowd("plain", count, 0.1) for count in (10, 40)]
        return [one.met for one in verdicts(Wire(crowds=[ours, *others]))]

    assert met(0.29, 1.0) == [True, False]
    assert met(0.31, 1.0) == [False, False]
    assert met(0.29, 0.5) == [False, False], "it dropped half of them"


@pytest.mark.slow
def test_what_was_not_measured_is_not_shown(tmp_path: Path) -> None:
    assert list(verdicts(Wire())) == []
    assert "takeover" not in tables(Wire())
    draw(Wire(), tmp_path / "none.png")


@pytest.mark.slow
def test_all_of_it_is_drawn(tmp_path: Path) -> None:
    draw(_run(), tmp_path / "wire.png")
    assert (tmp_path / "wire.png").read_bytes().startswith(b"\x89PNG")


def test_gaps_are_those_of_handoffs(tmp_path: Path) -> None:
    opened = {"message": "session opened", "session": "p/call-1", "reason": "handoff", "gap_ms": 25}
    lines = [opened, opened | {"reason": "unreachable", "gap_ms": None}, {"message": "session ended"}]
    text = "\n".join(json.dumps(line, separators=(",", ":")) for line in lines)
    (tmp_path / "worker-w1.log").write_text(f"{text}\nnot JSON\n")
    assert list(gaps(tmp_path)) == [25.0]


@pytest.mark.slow
def test_an_import_takes_time_and_memory() -> None:
    (found,) = measure(1, ["gateway.disconnect"])
    assert found.seconds.p50 > 0.01
    assert found.memory_mib > 10


@pytest.mark.slow
def test_a_process_tells_how_late_its_loop_is(tmp_path: Path) -> None:
    busy = (
        "import asyncio, time\nfrom benchmarks.measuring import lag\nasync def main():\n"
        "    task = asyncio.create_task(lag.keep())\n    await asyncio.sleep(0.02)\n    time.sleep(0.1)\n"
        "    await asyncio.sleep(0.02)\n    print('late', flush=True)\n    await asyncio.sleep(60)\nasyncio.run(main())"
    )
    told = tmp_path / "lag.json"
    environment = {**os.environ, lag.VARIABLE: str(told)}
    with subprocess.Popen([sys.executable, "-c", busy], env=environment, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            process.stdout.readline()
            assert asyncio.run(asyncio.to_thread(lag.ask, process.pid, told)).max > 80
        finally:
            process.kill()


def test_a_process_that_does_not_tell_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lag, "_ANSWER_S", 0.05)
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True) as process:
        process.terminate()
        process.wait()
        with pytest.raises((TimeoutError, ProcessLookupError)):
            lag.ask(process.pid, tmp_path / "none")
