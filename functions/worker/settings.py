"""The worker's settings, read once at the start from environment variables.

Every variable that is missing or malformed is named in one error, so that a wrong deployment is put right in one go.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

METADATA_TIMEOUT_SECONDS = 2.0
"""The ECS agent answers from the same host in milliseconds; longer means that something is wrong."""


class EnvironmentProblem(Exception):  # noqa: N818 - it names a situation for the person who deploys
    """The process cannot run with these variables. The text names each one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """The process's environment.

    Attributes:
        stage: Deployment stage, for log lines.
        lock_table: DynamoDB table of the guard items.
        connections_table: DynamoDB table that holds the worker registry.
        claims_queue_url: SQS queue of sessions that need a holder.
        bucket: S3 bucket of the journals.
        management_endpoint: Where API Gateway takes messages to clients, without the ``/@connections`` path.
        worker_id: This process's identity, on the lease and in ``/health``.
        worker_version: What it runs: a hash of code, agent and settings, or what the deployment's settings say.
        worker_host: The address to advertise, None to find it out.
        worker_endpoint: The whole address to advertise (``http://host:port``), for a worker behind a port mapping or a
            proxy; None to put it together from ``worker_host`` and the port.
        bind_host: The address to listen on.
        port: The port to listen on, 0 for any free one.
        capacity: Sessions at once.
        lease_seconds: How long a silent holder keeps a session.
        heartbeat_seconds: How often a holder shows that it lives.
        linger_seconds: How long a session without clients is kept.
        metrics_seconds: How often metrics are told. A minute is CloudWatch's own resolution: more often would cost more
            and show no more.
        retention_days: How long a session is kept after its last use.
        check_model: Whether the model is tried before the worker is ready ("1").
    """

    stage: str
    lock_table: str
    connections_table: str
    claims_queue_url: str
    bucket: str
    management_endpoint: str
    worker_id: str
    worker_version: str
    worker_host: str | None
    worker_endpoint: str | None
    bind_host: str
    port: int
    capacity: int
    lease_seconds: float
    heartbeat_seconds: float
    linger_seconds: float
    retention_days: int
    metrics_seconds: float
    check_model: bool = False

    @classmethod
    def read(cls, variables: Mapping[str, str] | None = None) -> Environment:
        """Read the variables.

        Args:
            variables: What to read instead of the process's environment.

        Raises:
            EnvironmentProblem: Variables are missing or malformed; the text names all of them.
        """
        reader = _Reader(os.environ if variables is None else variables)
        environment = cls(
            stage=reader.text("SEGUE_STAGE"),
            lock_table=reader.text("SEGUE_LOCK_TABLE"),
            connections_table=reader.text("SEGUE_CONNECTIONS_TABLE"),
            claims_queue_url=reader.text("SEGUE_CLAIMS_QUEUE_URL"),
            bucket=reader.text("SEGUE_BUCKET"),
            management_endpoint=reader.text("SEGUE_MANAGEMENT_ENDPOINT").rstrip("/"),
            worker_id=reader.text("SEGUE_WORKER_ID", f"worker-{secrets.token_hex(6)}"),
            worker_version=reader.text("SEGUE_WORKER_VERSION", "0"),
            worker_host=reader.text("SEGUE_WORKER_HOST", "") or None,
            worker_endpoint=reader.text("SEGUE_WORKER_ENDPOINT", "").rstrip("/") or None,
            bind_host=reader.text("SEGUE_BIND_HOST", "127.0.0.1"),
            port=reader.number("SEGUE_WORKER_PORT", 0, int, least=0),
            capacity=reader.number("SEGUE_CAPACITY", 40, int, least=1),
            lease_seconds=reader.number("SEGUE_LEASE_SECONDS", 10.0, float, least=0.5),
            heartbeat_seconds=reader.number("SEGUE_HEARTBEAT_SECONDS", 3.0, float, least=0.1),
            linger_seconds=reader.number("SEGUE_LINGER_SECONDS", 60.0, float, least=0.0),
            retention_days=reader.number("SEGUE_RETENTION_DAYS", 365, int, least=1),
            check_model=reader.text("SEGUE_CHECK_MODEL", "0") == "1",
            metrics_seconds=reader.number("SEGUE_METRICS_SECONDS", 60.0, float, least=0.1),
        )
        reader.done()
        return environment


class _Reader:
    """Reads variables and collects what is wrong with them."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables
        self._problems: list[str] = []

    def text(self, name: str, default: str | None = None) -> str:
        value = self._variables.get(name, "")
        if value:
            return value
        if default is None:
            self._problems.append(f"{name} is not set")
            return ""
        return default

    def number[Number: (int, float)](
        self, name: str, default: Number, kind: Callable[[str], Number], *, least: Number
    ) -> Number:
        text = self._variables.get(name, "")
        if not text:
            return default
        try:
            value = kind(text)
        except ValueError:
            self._problems.append(f"{name} is {text!r}, not a number")
            return default
        if not value >= least:
            self._problems.append(f"{name} is {text}, less than {least}")
        return value

    def done(self) -> None:
        if self._problems:
            raise EnvironmentProblem("the worker cannot start: " + "; ".join(self._problems))


async def advertised_host(environment: Environment, variables: Mapping[str, str] | None = None) -> str:
    """Find the address under which the gateway's functions reach this process.

    SEGUE_WORKER_HOST if set; on ECS the task's own address, from the task metadata endpoint version 4
    (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-metadata-endpoint-v4.html); else loopback.

    Raises:
        EnvironmentProblem: ECS's metadata do not answer or name no address.
    """
    if environment.worker_host:
        return environment.worker_host
    metadata = await _ecs_metadata(variables)
    if metadata is None:
        return "127.0.0.1"
    for network in metadata.get("Networks", ()):
        for address in network.get("IPv4Addresses", ()):
            return str(address)
        for address in network.get("IPv6Addresses", ()):
            return f"[{address}]"
    raise EnvironmentProblem("the ECS metadata name no address of this task")


async def task_arn(variables: Mapping[str, str] | None = None) -> str | None:
    """Find the ARN of the ECS task that this process runs in, by which ECS tells that it has stopped; else None.

    Raises:
        EnvironmentProblem: ECS's metadata do not answer.
    """
    metadata = await _ecs_metadata(variables) or {}
    return (metadata.get("Labels") or {}).get("com.amazonaws.ecs.task-arn")


async def deployment(environment: Environment, variables: Mapping[str, str] | None = None) -> str:
    """Find the name that all workers of this process's deployment have in common.

    On ECS the revision of the task definition, which is a new one for each change; else SEGUE_WORKER_VERSION.

    Raises:
        EnvironmentProblem: ECS's metadata do not answer.
    """
    labels = (await _ecs_metadata(variables) or {}).get("Labels") or {}
    names = (f"com.amazonaws.ecs.task-definition-{part}" for part in ("family", "version"))
    known = [str(labels[name]) for name in names if labels.get(name)]
    return ":".join(known) if len(known) == 2 else environment.worker_version


async def _ecs_metadata(variables: Mapping[str, str] | None) -> dict[str, Any] | None:
    """Ask ECS about this container; None if it does not run there."""
    metadata_url = (os.environ if variables is None else variables).get("ECS_CONTAINER_METADATA_URI_V4")
    if not metadata_url:
        return None
    import aiohttp  # not at the top: the text worker imports this module, and its layer has no HTTP client

    timeout = aiohttp.ClientTimeout(total=METADATA_TIMEOUT_SECONDS)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, raise_for_status=True) as http,
            http.get(metadata_url) as answer,
        ):
            metadata: dict[str, Any] = await answer.json(content_type=None)
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise EnvironmentProblem(f"the ECS metadata at {metadata_url} do not answer: {error!r}") from error
    return metadata
