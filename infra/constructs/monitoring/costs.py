"""Cost of the deployment at its present load: an estimate by metric math, without the model, S3 and data out.

docs/scale.md has the whole account and what it leaves out. List prices of us-east-1, as there.
"""

from __future__ import annotations

from typing import Final

from aws_cdk import aws_cloudwatch as cloudwatch

from infra.config import Config
from infra.constructs.monitoring.watched import MINUTE, Watched, api_metric, balancer_metric, segue_metric, table_metric

API_MESSAGE: Final = 1.00 / 1e6
LAMBDA_REQUEST: Final = 0.20 / 1e6
LAMBDA_GB_SECOND: Final = 0.0000133334
WRITE_UNIT: Final = 0.625 / 1e6
READ_UNIT: Final = 0.125 / 1e6
FARGATE_CPU_HOUR: Final = 0.03238
FARGATE_GB_HOUR: Final = 0.00356
BALANCER_HOUR: Final = 0.0225
BALANCER_GB: Final = 0.006
"""A capacity unit of a Network Load Balancer is one gigabyte in an hour."""
ADDRESS_HOUR: Final = 0.005
MINUTES: Final = 60
MESSAGE_GB: Final = 0.5


def cost_per_hour(config: Config, watched: Watched) -> list[cloudwatch.IMetric]:
    """Dollars an hour by component, were the whole hour like this minute; and for one session, where there are some."""
    storage = watched.storage
    used: dict[str, cloudwatch.IMetric] = {}
    dollars: dict[str, str] = {}
    if watched.gateway:
        message = watched.gateway.functions["message"]
        used |= {
            "messages": api_metric(watched.gateway, "MessageCount"),
            "calls": message.metric_invocations(period=MINUTE),
            "busy": message.metric_duration(period=MINUTE, statistic="Sum"),
        }
        dollars |= {
            "API Gateway": f"messages*{MINUTES * API_MESSAGE:.8f}",
            "message function": f"calls*{MINUTES * LAMBDA_REQUEST:.8f}"
            f"+busy*{MINUTES * MESSAGE_GB * LAMBDA_GB_SECOND / 1000:.12f}",
        }
    used |= {
        "lock_writes": table_metric(storage.lock_table, "ConsumedWriteCapacityUnits", "writes"),
        "lock_reads": table_metric(storage.lock_table, "ConsumedReadCapacityUnits", "reads"),
        "connection_writes": table_metric(storage.connections_table, "ConsumedWriteCapacityUnits", "writes"),
        "connection_reads": table_metric(storage.connections_table, "ConsumedReadCapacityUnits", "reads"),
    }
    dollars["tables"] = (
        f"(lock_writes+connection_writes)*{MINUTES * WRITE_UNIT:.8f}"
        f"+(lock_reads+connection_reads)*{MINUTES * READ_UNIT:.8f}"
    )
    if watched.workers and watched.workers.balancer:
        # Of the three that a capacity unit is counted by, bytes are the most where people talk.
        used["passed"] = balancer_metric(watched.workers.balancer, "ProcessedBytes_TLS")
        fixed = BALANCER_HOUR + watched.workers.balancer.zones * ADDRESS_HOUR
        dollars["load balancer"] = f"passed*{MINUTES * BALANCER_GB / 1e9:.14f}+{fixed:.4f}"
    if watched.workers:
        used["tasks"] = watched.workers.service.metric_cpu_utilization(period=MINUTE, statistic="SampleCount")
        used["sessions"] = segue_metric(config, "ActiveSessions")
        task = config.worker_cpu / 1024 * FARGATE_CPU_HOUR + config.worker_memory / 1024 * FARGATE_GB_HOUR
        dollars["tasks"] = f"tasks*{task:.5f}"
        whole = "+".join(f"({each})" for each in dollars.values())
        dollars["a session"] = f"IF(sessions>0,({whole})/sessions)"
    return [
        cloudwatch.MathExpression(
            expression=expression,
            label=label,
            period=MINUTE,
            using_metrics={name: metric for name, metric in used.items() if name in expression},
        )
        for label, expression in dollars.items()
    ]
