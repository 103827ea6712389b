"""Conditions that page the person on call, and their thresholds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from infra.config import Config
from infra.constants import GATEWAY_METRIC_SERVICE
from infra.constructs.direct.balancer import Balancer
from infra.constructs.gateway import Gateway
from infra.constructs.monitoring.alarms import AlarmCondition
from infra.constructs.monitoring.watched import (
    MINUTE,
    PAGE_METRICS_REGION,
    Watched,
    messages_waiting,
    oldest_message_age,
    page_metric,
    segue_metric,
    table_metric,
    target_metric,
)
from infra.constructs.turns import Turns
from infra.constructs.workers import Workers

CLAIM_SECONDS: Final = 30
"""A caller who has waited for so long for a worker hangs up."""
TEXT_SECONDS: Final = 60
FIRST_AUDIO_MS: Final = 3_000
"""Of the slowest twentieth. People take a second of silence for thinking, and three for a broken line."""
HANDOFF_GAP_MS: Final = 5_000
COMMIT_MS: Final = 1_000
"""Of the slowest twentieth: what is said waits for it."""
PAGE_ERRORS_PERCENT: Final = 5


def alarm_conditions(config: Config, watched: Watched) -> Iterator[AlarmCondition]:
    """Every alarm of a deployment with these parts."""
    if watched.gateway:
        yield from _gateway(config, watched.gateway)
    yield from _storage(watched)
    yield from _leftovers(watched)
    if watched.workers:
        yield from _workers(config, watched, watched.workers)
        if watched.workers.balancer:
            yield from _direct(config, watched.workers, watched.workers.balancer)
    if watched.turns:
        yield from _turns(watched.turns)
    if watched.distribution_id:
        yield AlarmCondition(
            name="page-fails",
            what="One request in twenty for the page's files fails.",
            metric=page_metric(watched.distribution_id, "5xxErrorRate", "Average"),
            threshold=PAGE_ERRORS_PERCENT,
            minutes=5,
            region=PAGE_METRICS_REGION,
        )


def _gateway(config: Config, gateway: Gateway) -> Iterator[AlarmCondition]:
    message = gateway.functions["message"]
    yield AlarmCondition(
        name="messages-fail",
        what="Messages of clients end in an error inside the gateway.",
        metric=segue_metric(config, "Failures", service=GATEWAY_METRIC_SERVICE),
        threshold=5,
        minutes=3,
        callers=True,
    )
    yield AlarmCondition(
        name="messages-throttled",
        what="Lambda has no room for the message function; frames are lost and sent again.",
        metric=message.metric_throttles(period=MINUTE, statistic="Sum"),
        threshold=10,
        minutes=3,
        callers=True,
    )
    yield AlarmCondition(
        name="authorizer-fails",
        what="The authorizer fails: no client can connect.",
        metric=gateway.functions["authorizer"].metric_errors(period=MINUTE, statistic="Sum"),
        threshold=5,
        minutes=3,
        callers=True,
    )


def _workers(config: Config, watched: Watched, workers: Workers) -> Iterator[AlarmCondition]:
    yield AlarmCondition(
        name="callers-wait-for-a-worker",
        what=f"A session has waited {CLAIM_SECONDS} s for a worker.",
        metric=oldest_message_age(watched.claims.queue, "oldest claim"),
        threshold=CLAIM_SECONDS,
        minutes=2,
        callers=True,
    )
    yield AlarmCondition(
        name="workers-missing",
        what="Fewer worker tasks run than the service should have.",
        # Each running task reports its CPU once a minute: the number of reports is the number of tasks.
        metric=workers.service.metric_cpu_utilization(period=MINUTE, statistic="SampleCount"),
        threshold=config.worker_count,
        minutes=5,
        callers=True,
        fewer=True,
    )
    yield AlarmCondition(
        name="answers-come-late",
        what="One answer in twenty takes three seconds to begin.",
        metric=segue_metric(config, "FirstAudioLatency", "p95"),
        threshold=FIRST_AUDIO_MS,
        minutes=5,
        callers=True,
    )
    yield AlarmCondition(
        name="errors-shown",
        what="Workers show many errors to their clients.",
        metric=segue_metric(config, "Errors"),
        threshold=20,
        minutes=3,
        callers=True,
    )
    yield AlarmCondition(
        name="handoffs-slow",
        what="A handoff left its caller in silence for five seconds.",
        metric=segue_metric(config, "HandoffGap", "Maximum"),
        threshold=HANDOFF_GAP_MS,
        callers=True,
    )
    yield AlarmCondition(
        name="sessions-cut-by-a-drain",
        what="A worker was stopped before all its sessions were passed on.",
        metric=segue_metric(config, "DrainOverruns"),
        threshold=1,
        callers=True,
    )
    yield AlarmCondition(
        name="leases-lost",
        what="Workers give up sessions because they cannot renew their leases.",
        metric=segue_metric(config, "LeaseLosses"),
        threshold=5,
        minutes=2,
        callers=True,
    )
    yield AlarmCondition(
        name="writers-fenced",
        what="Several workers believed to hold the same sessions; the guard stopped all but one each.",
        metric=segue_metric(config, "Fenced"),
        threshold=5,
        minutes=2,
    )
    yield AlarmCondition(
        name="commits-slow",
        what="One commit in twenty takes a second, and what is said waits for it.",
        metric=segue_metric(config, "CommitLatency", "p95"),
        threshold=COMMIT_MS,
        minutes=5,
        callers=True,
    )


def _direct(config: Config, workers: Workers, balancer: Balancer) -> Iterator[AlarmCondition]:
    yield AlarmCondition(
        name="sockets-turned-away",
        what="Workers send clients away that connect directly: they are full, or they leave.",
        metric=segue_metric(config, "SocketsTurnedAway"),
        threshold=50,
        minutes=5,
        callers=True,
    )
    yield AlarmCondition(
        name="no-way-to-workers",
        what="No worker is healthy behind the load balancer: no client can connect directly.",
        metric=target_metric(balancer, "HealthyHostCount", "Maximum"),
        threshold=1,
        minutes=2,
        callers=True,
        fewer=True,
        # The balancer is there minutes before its first worker: a first deployment must raise no alarm.
        after=workers.service,
    )
    yield AlarmCondition(
        name="workers-not-reached",
        what="The load balancer does not reach the sockets of a worker, or the worker does not answer it.",
        metric=target_metric(balancer, "UnHealthyHostCount", "Minimum"),
        threshold=1,
        minutes=5,
    )


def _turns(turns: Turns) -> Iterator[AlarmCondition]:
    yield AlarmCondition(
        name="texts-wait",
        what=f"A text has waited {TEXT_SECONDS} s for its turn.",
        metric=oldest_message_age(turns.queue, "oldest text"),
        threshold=TEXT_SECONDS,
        minutes=3,
        callers=True,
    )
    yield AlarmCondition(
        name="texts-given-up",
        what="A text was tried five times and was not answered.",
        metric=messages_waiting(turns.dead_letters, "texts given up"),
        threshold=1,
    )


def _storage(watched: Watched) -> Iterator[AlarmCondition]:
    for name, watched_table in (
        ("locks", watched.storage.lock_table),
        ("connections", watched.storage.connections_table),
    ):
        yield AlarmCondition(
            name=f"{name}-throttled",
            what=f"DynamoDB throttles writes to the table of {name}.",
            metric=table_metric(watched_table, "WriteThrottleEvents", f"{name}: throttled writes"),
            threshold=10,
            minutes=3,
            callers=True,
        )


def _leftovers(watched: Watched) -> Iterator[AlarmCondition]:
    queues = {
        "claims-given-up": (watched.claims.dead_letters, "A session's claim was received five times in vain."),
        "stream-given-up": (watched.janitor.failures["ended"], "Changes of the lock table could not be handled."),
        "objects-left": (watched.janitor.failures["sweeps"], "An ended session's objects could not be deleted."),
        "weekly-sweep-fails": (watched.janitor.failures["weekly"], "The weekly sweep failed five times."),
    }
    if watched.stopped:
        queues["sessions-not-offered"] = (
            watched.stopped.failures,
            "A task stopped, and its sessions could not be offered to others.",
        )
    for name, (queue, what) in queues.items():
        yield AlarmCondition(name=name, what=what, metric=messages_waiting(queue, name), threshold=1)
