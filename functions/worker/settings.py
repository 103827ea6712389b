"""The worker's settings, read once at the start from environment variables."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Struct, field, structs

from segue.environment import EnvironmentInvalid, read_environment
from shared.environment_problem import EnvironmentProblem

METADATA_TIMEOUT_SECONDS = 2.0
"""The ECS agent answers from the same host in milliseconds; longer means that something is wrong."""

_GATEWAY: Final = ("SEGUE_MANAGEMENT_ENDPOINT",)
_SOCKETS: Final = ("SEGUE_TOKEN_ISSUER", "SEGUE_TOKEN_AUDIENCE", "SEGUE_TOKEN_KEYS_URL")
NEEDED: Final[Mapping[str, tuple[str, ...]]] = {"api": _GATEWAY, "direct": _SOCKETS, "both": _GATEWAY + _SOCKETS}
"""Variables that one transport needs and another does not."""


class Environment(Struct, frozen=True, kw_only=True):
    """The process's environment: the field ``lock_table`` is SEGUE_LOCK_TABLE.

    Attributes:
        stage: Deployment stage, for log lines.
        lock_table: DynamoDB table of the guard items.
        connections_table: DynamoDB table of the worker registry.
        claims_queue_url: SQS queue of sessions that need a holder.
        bucket: S3 bucket of the journals.
        management_endpoint: API Gateway's address for messages to clients, without ``/@connections``. Needed unless all
            clients connect directly.
        worker_id: This process's identity, on the lease and in ``/health``. Clients get it in ``ready``, unless it has
            dots, colons or slashes, as addresses do.
        worker_version: Hash of code, agent and settings, or a name of them.
        worker_host: The address to advertise. Default: found out.
        worker_endpoint: The whole address to advertise (``http://host:port``), behind a port mapping or a proxy.
        bind_host: The address to listen on.
        port: The port to listen on, 0 for any free one.
        capacity: Sessions at once.
        lease_seconds: Time that a silent holder keeps a session.
        heartbeat_seconds: Time between two heartbeats of a holder.
        linger_seconds: Time that a session without clients is kept.
        metrics_seconds: Time between two reports of metrics. Less than CloudWatch's minute costs more, shows no more.
        retention_days: Time that a session is kept after its last use.
        check_model: "1": the model is tried before the worker is ready.
        transport: The ways in: ``api`` (API Gateway), ``direct`` (this process's own WebSockets), ``both``.
        direct_port: The port of those WebSockets, 0 for any free one.
        direct_sockets: Sockets at once; with one more a client is sent to another worker.
        direct_origins: Pages that may connect, with commas; "": any.
        token_issuer: Issuer of tokens; this and the next two as the authorizer's, needed with ``direct`` and ``both``.
        token_audience: Audience of tokens; several with commas.
        token_keys_url: Address of the issuer's keys.
        sessions_per_principal: Sessions that one principal may have open at a time.
        frames_per_second: Frames that one socket may send.
        frame_burst: Frames that one socket may send at once after a pause.
    """

    stage: str
    lock_table: str
    connections_table: str
    claims_queue_url: str
    bucket: str
    management_endpoint: str = ""
    worker_id: str = field(default_factory=lambda: f"worker-{secrets.token_hex(6)}")
    worker_version: str = "0"
    worker_host: str | None = None
    worker_endpoint: str | None = None
    bind_host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0)] = field(default=0, name="worker_port")
    capacity: Annotated[int, Meta(ge=1)] = 40
    lease_seconds: Annotated[float, Meta(ge=0.5)] = 10.0
    heartbeat_seconds: Annotated[float, Meta(ge=0.1)] = 3.0
    linger_seconds: Annotated[float, Meta(ge=0.0)] = 60.0
    retention_days: Annotated[int, Meta(ge=1)] = 365
    metrics_seconds: Annotated[float, Meta(ge=0.1)] = 60.0
    check_model: bool = False
    transport: Literal["api", "direct", "both"] = "api"
    direct_port: Annotated[int, Meta(ge=0, le=65535)] = 0
    direct_sockets: Annotated[int, Meta(ge=1)] = 160
    direct_origins: str = ""
    token_issuer: str = ""
    token_audience: str = ""
    token_keys_url: str = ""
    sessions_per_principal: Annotated[int, Meta(ge=1, le=100)] = 20
    frames_per_second: Annotated[int, Meta(ge=1)] = 150
    frame_burst: Annotated[int, Meta(ge=1)] = 75

    @property
    def has_sockets(self) -> bool:
        """True if clients connect to this process itself."""
        return self.transport != "api"

    @classmethod
    def read(cls, variables: Mapping[str, str] | None = None) -> Environment:
        """Read the variables.

        Args:
            variables: What to read instead of the process's environment.

        Raises:
            EnvironmentProblem: Variables are missing or malformed; the text names all of them.
        """
        variables = os.environ if variables is None else variables
        needed = NEEDED.get(variables.get("SEGUE_TRANSPORT") or "api", ())
        missing = [f"{name} is missing" for name in needed if not variables.get(name)]
        try:
            read = read_environment(cls, variables)
        except EnvironmentInvalid as invalid:
            raise EnvironmentProblem("; ".join([f"the worker cannot start: {invalid}", *missing])) from None
        if missing:
            raise EnvironmentProblem(f"the worker cannot start: {'; '.join(missing)}")
        return read

    def __post_init__(self) -> None:
        """Take the slash off the ends of addresses: paths are added to them."""
        structs.force_setattr(self, "management_endpoint", self.management_endpoint.rstrip("/"))
        structs.force_setattr(self, "worker_endpoint", (self.worker_endpoint or "").rstrip("/") or None)


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
    raise EnvironmentProblem("the ECS metadata name no address of this task: set SEGUE_WORKER_HOST")


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
    import aiohttp  # not at the top: a worker that is not on ECS asks for nothing

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
