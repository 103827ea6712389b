"""The dashboard: four questions, in the order in which a person on call asks them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from infra.config import Config
from infra.constants import GATEWAY_METRIC_SERVICE, JANITOR_METRIC_SERVICE, TURN_METRIC_SERVICE
from infra.constructs.direct.balancer import Balancer
from infra.constructs.gateway import Gateway
from infra.constructs.monitoring.costs import cost_per_hour
from infra.constructs.monitoring.watched import (
    MINUTE,
    Watched,
    api,
    balanced,
    oldest,
    page,
    said,
    table,
    targets,
    waiting,
)

WIDTH: Final = 24
IN_A_ROW: Final = 3

type Graph = tuple[str, Sequence[cloudwatch.IMetric]]

HEARD: Final = "Are people being heard?"
CUT_OFF: Final = "Is anyone cut off?"
WRITING: Final = "Who is writing?"
COST: Final = "What does it cost?"
QUESTIONS: Final = (HEARD, CUT_OFF, WRITING, COST)

JANITOR: Final = ("Sweeps", "ObjectsDeleted", "SweepFailures")
MODEL_BEGAN: Final = (
    "ModelConnectedByHandle",
    "ModelConnectedByHistory",
    "ModelConnectedByAdditions",
    "ModelConnectedByNothing",
    "ModelHandleUnusable",
    "ModelHistoryCut",
    "ModelOfferRefused",
)
MODEL_ENDED: Final = (
    "ModelConnectionRenewed",
    "ModelThrottled",
    "ModelUnavailable",
    "ModelDisconnected",
    "ModelAccessDenied",
    "ModelNotFound",
    "ModelCredentialsInvalid",
    "ModelContentRefused",
    "ModelRequestRefused",
    "ModelFailed",
)
"""See docs/providers.md."""


def dashboard(scope: Construct, config: Config, watched: Watched) -> cloudwatch.Dashboard:
    """Add the dashboard ``segue-<stage>``."""
    board = cloudwatch.Dashboard(scope, "Dashboard", dashboard_name=f"segue-{config.stage}")
    answers = (_heard, _cut_off, _writing, _cost)
    for question, answer in zip(QUESTIONS, answers, strict=True):
        board.add_widgets(cloudwatch.TextWidget(markdown=f"## {question}", width=WIDTH, height=1))
        graphs = [
            cloudwatch.GraphWidget(title=title, left=list(metrics), width=WIDTH // IN_A_ROW, height=6)
            for title, metrics in answer(config, watched)
        ]
        for start in range(0, len(graphs), IN_A_ROW):
            board.add_widgets(*graphs[start : start + IN_A_ROW])
    return board


def _heard(config: Config, watched: Watched) -> list[Graph]:
    graphs: list[Graph] = []
    if watched.gateway:
        counts = [api(watched.gateway, name) for name in ("ConnectCount", "MessageCount")]
        graphs.append(("Connections opened, messages", counts))
    if watched.workers and watched.workers.balancer:
        balancer = watched.workers.balancer
        opened = [balanced(balancer, "NewFlowCount_TLS"), balanced(balancer, "ActiveFlowCount_TLS", "Average")]
        sockets = [said(config, name) for name in ("SocketsOpened", "Sockets")]
        at_each = [said(config, "Sockets", statistic) for statistic in ("Average", "Maximum")]
        passed = [said(config, name) for name in ("FramesForwarded", "OutputForwarded", "SessionsFollowed")]
        graphs += [
            ("Load balancer: connections opened, open", opened),
            ("Load balancer: bytes", [balanced(balancer, "ProcessedBytes_TLS")]),
            ("Direct sockets: let in, open", sockets),
            ("Direct sockets: open at a worker, at the fullest", at_each),
            ("Direct: passed between workers, sessions that followed", passed),
        ]
    if watched.workers:
        first = [said(config, "FirstAudioLatency", statistic) for statistic in ("p50", "p95")]
        sessions = [said(config, "ActiveSessions", statistic) for statistic in ("Sum", "Average")]
        graphs += [
            ("First audio of an answer (ms)", first),
            ("Sessions held: in all, a worker", sessions),
            ("Frames, in and out of workers", [said(config, "FramesIn"), said(config, "FramesOut")]),
            ("Claims: seconds that the oldest waits", [oldest(watched.claims.queue, "oldest claim")]),
        ]
    if watched.turns:
        times = [said(config, "TurnTime", statistic, service=TURN_METRIC_SERVICE) for statistic in ("p50", "p95")]
        graphs += [
            ("Text turns", [said(config, name, service=TURN_METRIC_SERVICE) for name in ("Turns", "TurnFailures")]),
            ("Text turns: time (ms)", times),
            ("Texts: seconds that the oldest waits", [oldest(watched.turns.queue, "oldest text")]),
        ]
    if watched.distribution_id:
        requests = page(watched.distribution_id, "Requests", "Sum")
        errors = [page(watched.distribution_id, name, "Average") for name in ("4xxErrorRate", "5xxErrorRate")]
        graphs += [("Page: requests", [requests]), ("Page: errors (%)", errors)]
    return graphs


def _cut_off(config: Config, watched: Watched) -> list[Graph]:
    graphs: list[Graph] = _cut_off_at_the_gateway(config, watched.gateway) if watched.gateway else []
    if watched.workers and watched.workers.balancer:
        graphs += _cut_off_at_the_balancer(config, watched.workers.balancer)
    if watched.workers:
        cut = ("DrainOverruns", "LeaseLosses", "DroppedAudio", "ModelRestarts", "Unanswered", "Resends", "LoopBlocked")
        model = ("model_throttled", "model_unavailable", "model_failed", "model_access", "content_refused")
        codes = (*model, "agent_failed", "internal")
        gaps = [said(config, "HandoffGap", statistic) for statistic in ("p50", "p95", "Maximum")]
        passed = ("Handoffs", "HandoffsPrepared", "Takeovers")
        errors = [said(config, name) for name in ("Errors", *(f"Errors.{code}" for code in codes))]
        graphs += [
            ("Handoff: gap (ms)", gaps),
            ("Sessions passed on, taken over", [said(config, name) for name in passed]),
            ("Lost, late, said again", [said(config, name) for name in cut]),
            ("Errors shown, by kind", errors),
            ("Model: how connections began", [said(config, name) for name in MODEL_BEGAN]),
            ("Model: why connections ended", [said(config, name) for name in MODEL_ENDED]),
        ]
    if watched.stopped:
        offered = said(config, "SessionsOffered", service=GATEWAY_METRIC_SERVICE)
        graphs.append(("Sessions of stopped tasks, offered", [offered]))
    given_up = [waiting(watched.claims.dead_letters, "claims")]
    given_up += [waiting(queue, name) for name, queue in watched.janitor.failures.items()]
    if watched.turns:
        given_up.append(waiting(watched.turns.dead_letters, "texts"))
    if watched.stopped:
        given_up.append(waiting(watched.stopped.failures, "stopped tasks"))
    graphs.append(("Given up, waiting for a person", given_up))
    return graphs


def _cut_off_at_the_gateway(config: Config, gateway: Gateway) -> list[Graph]:
    refused = [said(config, name, service=GATEWAY_METRIC_SERVICE) for name in ("Failures", "Refused", "AnswersLost")]
    return [
        ("Gateway: errors", [api(gateway, name) for name in ("ClientError", "IntegrationError", "ExecutionError")]),
        ("Messages: failed, refused", refused),
        ("Functions: errors", [each.metric_errors(period=MINUTE) for each in gateway.functions.values()]),
    ]


def _cut_off_at_the_balancer(config: Config, balancer: Balancer) -> list[Graph]:
    sent_away = [said(config, name) for name in ("SocketsTurnedAway", "HandshakesExpired")]
    reached = [targets(balancer, "HealthyHostCount", "Minimum"), targets(balancer, "UnHealthyHostCount", "Maximum")]
    failed = [balanced(balancer, name) for name in ("ClientTLSNegotiationErrorCount", "RejectedFlowCount")]
    reset = [balanced(balancer, f"TCP_{side}_Reset_Count") for side in ("Client", "Target", "ELB")]
    return [
        ("Direct sockets: turned away, no request in time", sent_away),
        ("Load balancer: workers reached, not reached", reached),
        ("Load balancer: handshakes failed, connections reset", [*failed, *reset]),
    ]


def _writing(config: Config, watched: Watched) -> list[Graph]:
    tables = (("locks", watched.storage.lock_table), ("connections", watched.storage.connections_table))
    throttled = [
        table(of, name, f"{title}: {name}")
        for title, of in tables
        for name in ("ReadThrottleEvents", "WriteThrottleEvents")
    ]
    janitor = watched.janitor.functions
    behind = janitor["ended"].metric("IteratorAge", period=MINUTE, statistic="Maximum")
    claims = [said(config, name, service=GATEWAY_METRIC_SERVICE) for name in ("Claims", "ClaimsQueued")]
    graphs: list[Graph] = [
        ("Claims sent", claims),
        ("Tables: throttled", throttled),
        ("Janitor: behind the stream (ms)", [behind]),
        ("Janitor: errors", [each.metric_errors(period=MINUTE) for each in janitor.values()]),
        ("Janitor: sweeps", [said(config, name, service=JANITOR_METRIC_SERVICE) for name in JANITOR]),
    ]
    if watched.workers:
        commit = [said(config, "CommitLatency", statistic) for statistic in ("p50", "p95")]
        restores = [said(config, "RestoreTime", statistic) for statistic in ("p50", "p95")]
        graphs += [
            ("Commits, restores", [said(config, name) for name in ("Commits", "Restores")]),
            ("Commit (ms)", [*commit, said(config, "GateWait", "p95")]),
            ("Records a commit", [said(config, "RecordsPerCommit", each) for each in ("Average", "Maximum")]),
            ("Restore (ms)", restores),
            ("Restore (bytes)", [said(config, "RestoreSize", each) for each in ("p50", "p95", "Maximum")]),
            ("Writers fenced", [said(config, "Fenced")]),
        ]
    if watched.turns:
        counted = [said(config, name, service=TURN_METRIC_SERVICE) for name in ("Commits", "Restores", "Fenced")]
        timed = [said(config, name, "p95", service=TURN_METRIC_SERVICE) for name in ("CommitLatency", "RestoreTime")]
        graphs += [("Text turns: commits, restores, fenced", counted), ("Text turns: commit, restore (ms)", timed)]
    return graphs


def _cost(config: Config, watched: Watched) -> list[Graph]:
    functions = {**(watched.gateway.functions if watched.gateway else {}), **watched.janitor.functions}
    if watched.turns:
        functions["turns"] = watched.turns.function
    invocations = [each.metric_invocations(period=MINUTE, label=name) for name, each in functions.items()]
    durations = [
        each.metric_duration(period=MINUTE, statistic="p99", label=name)
        for name, each in functions.items()
        if name in {"message", "turns"}
    ]
    tables = (("locks", watched.storage.lock_table), ("connections", watched.storage.connections_table))
    units = [
        table(of, name, f"{title}: {name}")
        for title, of in tables
        for name in ("ConsumedReadCapacityUnits", "ConsumedWriteCapacityUnits")
    ]
    graphs: list[Graph] = [
        ("US dollars an hour, without the model (estimate)", cost_per_hour(config, watched)),
        ("Functions: invocations", invocations),
        *([("Functions: time, slowest in a hundred (ms)", durations)] if durations else []),
        ("Tables: units", units),
    ]
    if watched.workers:
        service = watched.workers.service
        cpu = service.metric_cpu_utilization(period=MINUTE, label="CPU %")
        memory = service.metric_memory_utilization(period=MINUTE, label="memory %")
        running = service.metric_cpu_utilization(period=MINUTE, statistic="SampleCount", label="tasks")
        graphs += [("Worker tasks", [running]), ("Worker load", [cpu, memory])]
    return graphs
