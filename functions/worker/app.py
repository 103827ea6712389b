"""The process: everything wired together, from ready to drained."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import boto3
from botocore.config import Config

from segue import GuardedS3SessionManager, LeaseSettings
from segue.storage.answers import AWS_ERRORS, reason_of
from segue.wire.claims import Claim
from shared.environment_problem import EnvironmentProblem
from shared.log import logger
from worker.agent import build_agent
from worker.aws.claims_queue import ClaimsQueue
from worker.aws.poster import Poster
from worker.aws.signing import Signer
from worker.conversation.session_manager import Manager
from worker.direct.poster import ClientPoster
from worker.direct.sockets import ClientSockets
from worker.direct.times import TRANSPORT_TIMES, TransportTimes
from worker.direct.transport import DirectTransport, sockets_of
from worker.hosting.claims import ClaimTaker
from worker.hosting.drain import Drain
from worker.hosting.holder_probe import HolderProbes
from worker.hosting.host import Host
from worker.hosting.readiness import reach_storage
from worker.hosting.registry import BEAT_SECONDS, Notes, Registry
from worker.hosting.successors import Successors
from worker.providers.access import check_access
from worker.server import Listener, Status
from worker.settings import Environment, advertised_host, deployment, task_arn
from worker.telemetry.blocked_loop import watched_loop
from worker.telemetry.metrics import Reporter, metrics

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_sqs import SQSClient

ACQUIRE_SECONDS: Final = 15.0
"""Seconds in which a claimed session must be acquired. Longer than a lease, so that a silent holder's session is taken
over; shorter than the queue's visibility timeout, after which the claim comes again."""

_QUEUE_CONFIG: Final = Config(connect_timeout=2, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 3})
_TABLE_CONFIG: Final = _QUEUE_CONFIG.merge(Config(connect_timeout=1, read_timeout=2))
"""A caller's ``hello`` waits for the table. A request over a connection that was dropped on the way is tried anew
within the time in which a client waits; an answer takes some milliseconds."""


@dataclass(frozen=True, slots=True)
class Aws:
    """The clients of AWS services that the process itself uses; session managers have their own."""

    sqs: SQSClient
    dynamodb: DynamoDBClient
    credentials: Any
    region: str

    @classmethod
    def connect(cls) -> Aws:
        """Create the clients. Takes some 100 ms and reads files: not for the event loop.

        Raises:
            EnvironmentProblem: No region is set.
        """
        session = boto3.Session()
        if session.region_name is None:
            raise EnvironmentProblem("the worker cannot start: AWS_REGION is not set")
        return cls(
            session.client("sqs", config=_QUEUE_CONFIG),
            session.client("dynamodb", config=_TABLE_CONFIG),
            session.get_credentials(),
            session.region_name,
        )


class PartEnded(Exception):  # noqa: N818 - reads as what happened
    """A part without which the worker would be deaf or unseen has ended. Its sessions were handed over."""


class Service:
    """One worker process.

    Attributes:
        stop: Set it to drain and end; the signals do.
        hurry: Set it to drain without waiting for what can be left out.
    """

    def __init__(self, environment: Environment, times: TransportTimes = TRANSPORT_TIMES) -> None:
        self.stop = asyncio.Event()
        self.hurry = asyncio.Event()
        self._environment = environment
        self._times = times
        self._lease = LeaseSettings(duration=environment.lease_seconds, heartbeat=environment.heartbeat_seconds)
        self._probes = HolderProbes()
        self._ended: asyncio.Task[None] | None = None
        self._endpoint = ""
        self._status = Status(worker_id=environment.worker_id, version=environment.worker_version)
        self._sockets: ClientSockets = sockets_of(environment)

    async def run(self) -> None:
        """Serve until told to stop, then hand every session over.

        Raises:
            EnvironmentProblem: The surroundings lack something; the text says what.
            StorageRefused: The bucket or the lock table does not take us.
            PartEnded: Something that must go on did not.
            Exception: The user's agent cannot be built.
        """
        environment = self._environment
        self._heed_signals()
        aws = await asyncio.to_thread(Aws.connect)
        signer = Signer(aws.credentials, "execute-api", aws.region)
        queue = ClaimsQueue(aws.sqs, environment.claims_queue_url)
        try:
            async with contextlib.AsyncExitStack() as stack:
                gateway = None
                if environment.management_endpoint:
                    gateway = await stack.enter_async_context(Poster(environment.management_endpoint, signer))
                poster = ClientPoster(gateway, self._sockets, lambda: self._endpoint)
                host = Host(
                    self._new_manager,
                    build_agent,
                    await stack.enter_async_context(poster),
                    capacity=environment.capacity,
                    linger_seconds=environment.linger_seconds,
                )
                host.on_suspected = self._probes.suspect
                await self._listen(host, queue, aws)
        finally:
            queue.close()

    async def _listen(self, host: Host, queue: ClaimsQueue, aws: Aws) -> None:
        """Keep the listener open from before the first session until after the last."""
        environment = self._environment
        registry = Registry(
            aws.dynamodb,
            environment.connections_table,
            environment.worker_id,
            environment.worker_version,
            host=await task_arn(),
            deployment=await deployment(environment),
        )
        claims = ClaimTaker(queue, host)
        listener = Listener(host, self._status, claims, registry.claims_token, self._sockets)
        address = "" if environment.worker_endpoint else await advertised_host(environment)
        port = await listener.start(environment.bind_host, environment.port)
        self._endpoint = environment.worker_endpoint or f"http://{address}:{port}"
        try:
            # Both only to pay now what the first caller would wait for, and so that a mistake in agent.py, a wrong
            # bucket or table or a missing permission stops the deployment instead of a call.
            agent = await asyncio.to_thread(build_agent, None)
            if environment.check_model:
                await check_access(agent.model)
            if await reach_storage(
                environment.bucket, environment.lock_table, environment.worker_id, self.stop, self._lease
            ):
                async with Successors(registry.others) as successors:
                    with watched_loop() as watch, listener.answers_from_thread(watch):
                        await self._serve(host, queue, claims, registry, successors, aws)
        finally:
            await listener.close()
        logger.info("worker ended", worker=environment.worker_id, left=len(host.sessions))
        if self._ended is not None:
            raise PartEnded(self._ended.get_name()) from self._ended.exception()

    async def _serve(
        self,
        host: Host,
        queue: ClaimsQueue,
        claims: ClaimTaker,
        registry: Registry,
        successors: Successors,
        aws: Aws,
    ) -> None:
        environment = self._environment
        worker_id = environment.worker_id
        notes = Notes(registry)
        host.on_held, host.on_left = notes.note_held, notes.note_left
        beating = asyncio.create_task(self._beat(registry, host), name="registry")
        service = os.environ.get("POWERTOOLS_SERVICE_NAME") or "worker"
        reporter = Reporter(metrics, service=service, stage=environment.stage)
        telling = asyncio.create_task(reporter.run(environment.metrics_seconds), name="metrics")
        for part in (claims.start(), beating, telling):
            part.add_done_callback(self._must_go_on)
        async with self._direct(host, queue, claims, successors, aws) as direct:
            # The objects of now live as long as the process. A full collection that visits them all would stop the
            # sound of every session for some 70 ms.
            gc.collect()
            gc.freeze()
            self._status.ready = True
            logger.info(
                "worker ready",
                worker=worker_id,
                endpoint=self._endpoint,
                stage=environment.stage,
                sockets_port=self._status.sockets_port,
            )
            await self.stop.wait()
            self._status.ready, self._status.draining = False, True
            logger.info("worker draining", worker=worker_id, sessions=len(host.sessions), sockets=len(self._sockets))
            drain = Drain(host, claims, queue, self.hurry, successors, worker_id)
            if direct is not None:
                drain.before = direct.gone_over
                await direct.begin_to_leave()
            await asyncio.gather(asyncio.wait({beating}), drain.run())
            if direct is not None:
                await direct.close_sockets(self.hurry)
        await notes.written()
        # Until here it said that there is no room, and whose callers wait should this process die.
        await registry.remove()
        telling.cancel()
        reporter.write_line()

    @contextlib.asynccontextmanager
    async def _direct(
        self, host: Host, queue: ClaimsQueue, claims: ClaimTaker, successors: Successors, aws: Aws
    ) -> AsyncIterator[DirectTransport | None]:
        """Let clients connect to this process, if the transport says so."""
        if not self._environment.has_sockets:
            yield None
            return
        async with DirectTransport.open(
            self._environment,
            sockets=self._sockets,
            host=host,
            claims=claims,
            queue=queue,
            successors=successors,
            dynamodb=aws.dynamodb,
            endpoint=self._endpoint,
            hurry=self.hurry,
            times=self._times,
        ) as direct:
            self._status.sockets_port = direct.port
            yield direct

    def _new_manager(self, claim: Claim) -> Manager:
        environment = self._environment
        return GuardedS3SessionManager(
            claim.session_id,
            principal=claim.principal,
            bucket=environment.bucket,
            lock_table=environment.lock_table,
            lease=self._lease,
            acquire_timeout=max(ACQUIRE_SECONDS, environment.lease_seconds * 1.5),
            durability="gate",
            holder=environment.worker_id,
            endpoint=self._endpoint,
            probe=self._probes.for_claim(claim),
            retention_days=environment.retention_days,
        )

    async def _beat(self, registry: Registry, host: Host) -> None:
        """Keep the registry item alive until the worker is told to stop; then it has no room."""
        while True:
            stopping = self.stop.is_set()
            try:
                await registry.beat(self._endpoint, room=0 if stopping else host.room, sessions=len(host.sessions))
            except AWS_ERRORS as error:
                logger.warning("worker could not be registered", reason=reason_of(error))
            if stopping:
                return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.stop.wait(), BEAT_SECONDS)

    def _must_go_on(self, part: asyncio.Task[None]) -> None:
        """Drain when a part has ended by itself: what takes no claims any more must not go on saying that it does."""
        if part.cancelled() or (self.stop.is_set() and part.exception() is None):
            return
        logger.error(
            "a part of the worker has ended, leaving",
            part=part.get_name(),
            reason=type(part.exception()).__name__,
            exc_info=part.exception(),
        )
        self._ended = part
        self.stop.set()

    def _heed_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._told_to_stop)

    def _told_to_stop(self) -> None:
        if self.stop.is_set():
            self.hurry.set()
        self.stop.set()
