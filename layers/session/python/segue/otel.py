"""OpenTelemetry metrics of the library, for programs without the stack. Needs the extra ``otel``.

    from segue.otel import instrument

    instrument()  # once, after the program has set its MeterProvider

    segue.commits               commits of records
    segue.records               records committed
    segue.commit.duration       seconds of a commit, from its first request to its acknowledgement
    segue.restore.duration      seconds of reading a session that was acquired
    segue.acquire.duration      seconds of waiting for a session and acquiring it
    segue.acquire.refusals      sessions that another holder kept (SessionHeld)
    segue.lease.losses          sessions that were, or may have been, acquired by another holder

No metric names a session: there are too many of them.
"""

from __future__ import annotations

from collections.abc import Callable

from opentelemetry.metrics import MeterProvider, get_meter

from segue.observers import Happening, observe


def instrument(meter_provider: MeterProvider | None = None) -> Callable[[], None]:
    """Report metrics of all sessions of this process.

    Args:
        meter_provider: Where to; default: the program's own.

    Returns:
        A function that ends this.
    """
    meter = get_meter("segue", meter_provider=meter_provider)
    commits = meter.create_counter("segue.commits", "{commit}", "Commits of records")
    committed = meter.create_counter("segue.records", "{record}", "Records committed")
    commit_time = meter.create_histogram("segue.commit.duration", "s", "Seconds of a commit")
    restore_time = meter.create_histogram("segue.restore.duration", "s", "Seconds of reading an acquired session")
    acquire_time = meter.create_histogram("segue.acquire.duration", "s", "Seconds of waiting for a session")
    refusals = meter.create_counter("segue.acquire.refusals", "{session}", "Sessions that another holder kept")
    losses = meter.create_counter("segue.lease.losses", "{session}", "Leases lost to another holder")

    def count(what: Happening, seconds: float, records: int) -> None:
        match what:
            case "committed":
                commits.add(1)
                committed.add(records)
                commit_time.record(seconds)
            case "restored":
                restore_time.record(seconds)
            case "acquired":
                acquire_time.record(seconds)
            case "held":
                refusals.add(1)
            case "lost":
                losses.add(1)

    return observe(count)
