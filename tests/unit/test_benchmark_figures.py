"""Figures of the benchmark, and their presentation."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from benchmarks.measuring import prices
from benchmarks.measuring.figures import Cell, Load, Restore, Run, Spread
from benchmarks.measuring.metering import Meter, Traffic, item_size
from benchmarks.measuring.stalls import StallMeter, run
from benchmarks.measuring.targets import verdicts
from benchmarks.sessions import tables
from benchmarks.sessions.plot import draw
from tests.support.waiting import eventually_sync


@pytest.mark.parametrize(
    ("values", "expected"),
    [([5.0], (5.0, 5.0, 5.0)), ([3.0, 1.0, 2.0], (2.0, 3.0, 3.0)), (list(range(1, 201)), (100, 198, 200))],
)
def test_percentiles_are_values_that_were_seen(values: list[float], expected: tuple[float, ...]) -> None:
    spread = Spread.of(values)
    assert (spread.p50, spread.p99, spread.max) == expected
    assert spread.count == len(values)


@pytest.mark.slow
def test_a_blocked_loop_is_seen_from_both_sides() -> None:
    async def main(stalls: StallMeter) -> Any:
        await stalls.begin()
        time.sleep(0.05)  # noqa: ASYNC251 - this is what is to be found
        return await stalls.end()

    def seen_from_both_sides() -> bool:
        window = run(main)
        assert window.stall > 45
        assert window.turn > 45
        return bool(window.busy > 40)  # less what its ticker takes, which a busy machine makes look like more

    eventually_sync(seen_from_both_sides)


@pytest.mark.slow
def test_a_loop_that_waits_is_not_taken_for_a_blocked_one() -> None:
    async def main(stalls: StallMeter) -> Any:
        await stalls.begin()
        await asyncio.sleep(0.2)
        return await stalls.end()

    eventually_sync(lambda: run(main).busy < 100)


def test_an_item_weighs_what_dynamodb_says() -> None:
    item = {"key": {"S": "abc"}, "n": {"N": "12345"}, "on": {"BOOL": True}, "list": {"L": [{"S": "ab"}, {"S": "é"}]}}
    assert item_size(item) == (3 + 3) + (1 + 3) + (2 + 1) + (4 + 3 + (1 + 2) + (1 + 2))


def test_a_million_messages_cost_what_the_price_list_says() -> None:
    traffic = Traffic(
        requests={"s3.PutObject": 1_000_000, "dynamodb.UpdateItem": 1_000_000, "s3.DeleteObjects": 1_000_000},
        write_units=2_000_000,
    )
    assert prices.dollars(traffic) == pytest.approx(5.0 + 2 * 0.625)


def test_every_request_is_counted_delayed_and_weighed(stage: Any) -> None:
    meter = Meter(0.02)
    s3 = meter.session.client("s3", region_name="us-east-1")
    start = time.perf_counter()
    s3.put_object(Bucket=stage.bucket, Key="a", Body=b"x" * 1000)
    s3.get_object(Bucket=stage.bucket, Key="a")["Body"].read()
    assert time.perf_counter() - start >= 0.04
    traffic = meter.take()
    assert traffic.requests == {"s3.PutObject": 1, "s3.GetObject": 1}
    assert (traffic.s3_written, traffic.s3_read) == (1000, 1000)
    assert meter.take() == Traffic()


@pytest.mark.slow
def test_the_tables_go_into_the_page_and_the_picture_into_its_file(tmp_path: Path) -> None:
    found = _run()
    page = tmp_path / "page.md"
    page.write_text(f"# Head\n\n{tables.BEGIN}\nold\n{tables.END}\n\nTail\n", encoding="utf-8")
    tables.write(found, page)
    text = page.read_text(encoding="utf-8")
    assert text.startswith("# Head\n")
    assert text.endswith("\nTail\n")
    assert "old" not in text
    assert "| 5,000 | 1.0 / 2.0 / 3.0 |" in text
    shown = {table.title for table in tables.tables(found)}
    explained = {title for title in shown if f"### {title}\n" not in text}
    assert "The machine's own part of it, ms: p50 / p99 / max" in explained
    assert len(explained) == 3, "the page leaves out what only explains another table"
    draw(found, tmp_path / "images" / "plot.png")
    assert (tmp_path / "images" / "plot.png").read_bytes().startswith(b"\x89PNG")


def test_a_page_without_marks_is_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Head\n", encoding="utf-8")
    with pytest.raises(ValueError, match="has no"):
        tables.write(_run(), page)
    assert page.read_text(encoding="utf-8") == "# Head\n"


def test_targets_that_are_missed_are_said_to_be() -> None:
    found = {verdict.figure: verdict.met for verdict in verdicts(_run())}
    assert found['event loop stall for each message, "await"']
    assert not found['bytes written to S3, texts, "await"']
    assert not found["restore of 5,000 messages, beside SnapshotSessionManager"]
    assert found["restore of 5,000 messages, beside S3SessionManager"]


@pytest.mark.parametrize(("over", "met"), [((0, 0), True), ((6, 4), True), ((5, 3), True), ((6, 0), False)])
def test_a_stall_counts_as_one_where_the_machine_does_not_stall_as_often(over: tuple[int, int], met: bool) -> None:
    found = {verdict.figure: verdict.met for verdict in verdicts(_run(over))}
    assert found['event loop stall for each message, "await"'] is met


def _run(over: tuple[int, int] = (0, 0)) -> Run:
    spread = Spread(p50=1.0, p99=2.0, max=3.0, count=200)
    traffic = Traffic(requests={"s3.PutObject": 200, "dynamodb.UpdateItem": 200}, s3_written=200_000, write_units=200)
    load = Load(
        messages=200,
        own_bytes=50_000,
        stall=spread,
        idle=spread,
        over=over,
        turn=spread,
        busy=spread,
        to_model=spread,
        seconds=10.0,
        traffic=traffic,
    )
    restores = {"segue-await": 400.0, "segue-gate": 400.0, "s3": 30_000.0, "snapshot": 90.0}
    return Run(
        machine="a machine",
        date="2026-01-01",
        delay_ms=30.0,
        cells=[
            Cell(
                manager=name,
                length=5_000,
                restore=Restore(ms=ms, stall=1.0, count=1, peak_mb=1.0, messages=5_000, traffic=traffic),
                texts=load,
                turns=load,
                burst=load,
            )
            for name, ms in restores.items()
        ],
    )


def test_figures_survive_the_way_between_processes() -> None:
    assert msgspec.json.decode(msgspec.json.encode(_run()), type=Run) == _run()
