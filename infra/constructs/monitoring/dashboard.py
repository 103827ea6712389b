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
    api_metric,
    balancer_metric,
    messages_waiting,
    oldest_message_age,
    page_metric,
    segue_metric,
    table_metric,
    target_metric,
)

WIDTH: Final = 24
GRAPHS_PER_ROW: Final = 3

type Graph = tuple[str, Sequence[cloudwatch.IMetric]]

CONVERSATION_QUESTION: Final = "Are people being heard?"
INTERRUPTION_QUESTION: Final = "Is anyone cut off?"
STORAGE_QUESTION: Final = "Who is writing?"
COST_QUESTION: Final = "What does it cost?"
QUESTIONS: Final = (CONVERSATION_QUESTION, INTERRUPTION_QUESTION, STORAGE_QUESTION, COST_QUESTION)

JANITOR_METRICS: Final = ("Sweeps", "ObjectsDeleted", "SweepFailures")
MODEL_CONNECTION_STARTS: Final = (
    "ModelConnectedByHandle",
    "ModelConnectedByHistory",
    "ModelConnectedByAdditions",
    "ModelConnectedByNothing",
    "ModelHandleUnusable",
    "ModelHistoryCut",
    "ModelOfferRefused",
)
MODEL_CONNECTION_ENDS: Final = (
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
    graphs_of_questions = (_conversation_graphs, _interruption_graphs, _storage_graphs, _cost_graphs)
    for question, graphs_of_question in zip(QUESTIONS, graphs_of_questions, strict=True):
        board.add_widgets(cloudwatch.TextWidget(markdown=f"## {question}", width=WIDTH, height=1))
        graphs = [
            cloudwatch.GraphWidget(title=title, left=list(metrics), width=WIDTH // GRAPHS_PER_ROW, height=6)
            for title, metrics in graphs_of_question(config, watched)
        ]
        for start in range(0, len(graphs), GRAPHS_PER_ROW):
            board.add_widgets(*graphs[start : start + GRAPHS_PER_ROW])
    return board


def _conversation_graphs(config: Config, watched: Watched) -> list[Graph]:
    graphs: list[Graph] = []
    if watched.gateway:
        counts = [api_metric(watched.gateway, name) for name in ("ConnectCount", "MessageCount")]
        graphs.append(("Connections opened, messages", counts))
    if watched.workers and watched.workers.balancer:
        balancer = watched.workers.balancer
        flows = [
            balancer_metric(balancer, "NewFlowCount_TLS"),
            balancer_metric(balancer, "ActiveFlowCount_TLS", "Average"),
        ]
        sockets = [segue_metric(config, name) for name in ("SocketsOpened", "Sockets")]
        at_each = [segue_metric(config, "Sockets", statistic) for statistic in ("Average", "Maximum")]
        passed_on = [segue_metric(config, name) for name in ("FramesForwarded", "OutputForwarded", "SessionsFollowed")]
        graphs += [
            ("Load balancer: connections opened, open", flows),
            ("Load balancer: bytes", [balancer_metric(balancer, "ProcessedBytes_TLS")]),
            ("Direct sockets: let in, open", sockets),
            ("Direct sockets: open at a worker, at the fullest", at_each),
            ("Direct: passed between workers, sessions that followed", passed_on),
        ]
    if watched.workers:
        first_audio = [segue_metric(config, "FirstAudioLatency", statistic) for statistic in ("p50", "p95")]
        sessions = [segue_metric(config, "ActiveSessions", statistic) for statistic in ("Sum", "Average")]
        graphs += [
            ("First audio of an answer (ms)", first_audio),
            ("Sessions held: in all, a worker", sessions),
            ("Frames, in and out of workers", [segue_metric(config, "FramesIn"), segue_metric(config, "FramesOut")]),
            ("Claims: seconds that the oldest waits", [oldest_message_age(watched.claims.queue, "oldest claim")]),
        ]
    if watched.turns:
        turn_times = [
            segue_metric(config, "TurnTime", statistic, service=TURN_METRIC_SERVICE) for statistic in ("p50", "p95")
        ]
        graphs += [
            (
                "Text turns",
                [segue_metric(config, name, service=TURN_METRIC_SERVICE) for name in ("Turns", "TurnFailures")],
            ),
            ("Text turns: time (ms)", turn_times),
            ("Texts: seconds that the oldest waits", [oldest_message_age(watched.turns.queue, "oldest text")]),
        ]
    if watched.distribution_id:
        requests = page_metric(watched.distribution_id, "Requests", "Sum")
        errors = [page_metric(watched.distribution_id, name, "Average") for name in ("4xxErrorRate", "5xxErrorRate")]
        graphs += [("Page: requests", [requests]), ("Page: errors (%)", errors)]
    return graphs


def _interruption_graphs(config: Config, watched: Watched) -> list[Graph]:
    graphs: list[Graph] = _gateway_interruption_graphs(config, watched.gateway) if watched.gateway else []
    if watched.workers and watched.workers.balancer:
        graphs += _balancer_interruption_graphs(config, watched.workers.balancer)
    if watched.workers:
        losses = (
            "DrainOverruns",
            "LeaseLosses",
            "DroppedAudio",
            "ModelRestarts",
            "Unanswered",
            "Resends",
            "LoopBlocked",
        )
        model_codes = ("model_throttled", "model_unavailable", "model_failed", "model_access", "content_refused")
        codes = (*model_codes, "agent_failed", "internal")
        gaps = [segue_metric(config, "HandoffGap", statistic) for statistic in ("p50", "p95", "Maximum")]
        passed_on = ("Handoffs", "HandoffsPrepared", "Takeovers")
        errors = [segue_metric(config, name) for name in ("Errors", *(f"Errors.{code}" for code in codes))]
        graphs += [
            ("Handoff: gap (ms)", gaps),
            ("Sessions passed on, taken over", [segue_metric(config, name) for name in passed_on]),
            ("Lost, late, said again", [segue_metric(config, name) for name in losses]),
            ("Errors shown, by kind", errors),
            ("Model: how connections began", [segue_metric(config, name) for name in MODEL_CONNECTION_STARTS]),
            ("Model: why connections ended", [segue_metric(config, name) for name in MODEL_CONNECTION_ENDS]),
        ]
    if watched.stopped:
        offered = segue_metric(config, "SessionsOffered", service=GATEWAY_METRIC_SERVICE)
        graphs.append(("Sessions of stopped tasks, offered", [offered]))
    given_up = [messages_waiting(watched.claims.dead_letters, "claims")]
    given_up += [messages_waiting(queue, name) for name, queue in watched.janitor.failures.items()]
    if watched.turns:
        given_up.append(messages_waiting(watched.turns.dead_letters, "texts"))
    if watched.stopped:
        given_up.append(messages_waiting(watched.stopped.failures, "stopped tasks"))
    graphs.append(("Given up, waiting for a person", given_up))
    return graphs


def _gateway_interruption_graphs(config: Config, gateway: Gateway) -> list[Graph]:
    refused = [
        segue_metric(config, name, service=GATEWAY_METRIC_SERVICE) for name in ("Failures", "Refused", "AnswersLost")
    ]
    return [
        (
            "Gateway: errors",
            [api_metric(gateway, name) for name in ("ClientError", "IntegrationError", "ExecutionError")],
        ),
        ("Messages: failed, refused", refused),
        ("Functions: errors", [each.metric_errors(period=MINUTE) for each in gateway.functions.values()]),
    ]


def _balancer_interruption_graphs(config: Config, balancer: Balancer) -> list[Graph]:
    sent_away = [segue_metric(config, name) for name in ("SocketsTurnedAway", "HandshakesExpired")]
    hosts = [
        target_metric(balancer, "HealthyHostCount", "Minimum"),
        target_metric(balancer, "UnHealthyHostCount", "Maximum"),
    ]
    failed = [balancer_metric(balancer, name) for name in ("ClientTLSNegotiationErrorCount", "RejectedFlowCount")]
    reset = [balancer_metric(balancer, f"TCP_{side}_Reset_Count") for side in ("Client", "Target", "ELB")]
    return [
        ("Direct sockets: turned away, no request in time", sent_away),
        ("Load balancer: workers reached, not reached", hosts),
        ("Load balancer: handshakes failed, connections reset", [*failed, *reset]),
    ]


def _storage_graphs(config: Config, watched: Watched) -> list[Graph]:
    tables = (("locks", watched.storage.lock_table), ("connections", watched.storage.connections_table))
    throttled = [
        table_metric(watched_table, name, f"{title}: {name}")
        for title, watched_table in tables
        for name in ("ReadThrottleEvents", "WriteThrottleEvents")
    ]
    janitor = watched.janitor.functions
    stream_age = janitor["ended"].metric("IteratorAge", period=MINUTE, statistic="Maximum")
    claims = [segue_metric(config, name, service=GATEWAY_METRIC_SERVICE) for name in ("Claims", "ClaimsQueued")]
    graphs: list[Graph] = [
        ("Claims sent", claims),
        ("Tables: throttled", throttled),
        ("Janitor: behind the stream (ms)", [stream_age]),
        ("Janitor: errors", [each.metric_errors(period=MINUTE) for each in janitor.values()]),
        ("Janitor: sweeps", [segue_metric(config, name, service=JANITOR_METRIC_SERVICE) for name in JANITOR_METRICS]),
    ]
    if watched.workers:
        commit = [segue_metric(config, "CommitLatency", statistic) for statistic in ("p50", "p95")]
        restores = [segue_metric(config, "RestoreTime", statistic) for statistic in ("p50", "p95")]
        graphs += [
            ("Commits, restores", [segue_metric(config, name) for name in ("Commits", "Restores")]),
            ("Commit (ms)", [*commit, segue_metric(config, "GateWait", "p95")]),
            ("Records a commit", [segue_metric(config, "RecordsPerCommit", each) for each in ("Average", "Maximum")]),
            ("Restore (ms)", restores),
            ("Restore (bytes)", [segue_metric(config, "RestoreSize", each) for each in ("p50", "p95", "Maximum")]),
            ("Writers fenced", [segue_metric(config, "Fenced")]),
        ]
    if watched.turns:
        counted = [
            segue_metric(config, name, service=TURN_METRIC_SERVICE) for name in ("Commits", "Restores", "Fenced")
        ]
        timed = [
            segue_metric(config, name, "p95", service=TURN_METRIC_SERVICE) for name in ("CommitLatency", "RestoreTime")
        ]
        graphs += [("Text turns: commits, restores, fenced", counted), ("Text turns: commit, restore (ms)", timed)]
    return graphs


def _cost_graphs(config: Config, watched: Watched) -> list[Graph]:
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
        table_metric(watched_table, name, f"{title}: {name}")
        for title, watched_table in tables
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
