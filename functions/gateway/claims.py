"""Asking the workers to take a session that has no holder.

registry: newest version, most room ──POST /claims──▶ 202: taken
          │ refused, full                  ▲    │ no answer
          ▼                                └────┘ the next best, while there is time
       the next best ──POST /claims──▶ 202: taken
          │ refused again, or no answer
          ▼
       the claims queue: a worker with room receives it
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import urllib3
from aws_lambda_powertools import Logger
from urllib3.exceptions import HTTPError

from gateway.workers import Workers
from segue.wire.claims import CLAIMS_PATH, CLAIMS_TOKEN_HEADER, Claim, ClientAddress, Reason, encode_claim
from shared import keep_alive, metrics
from shared.connections import Binding, ConnectionsTable
from shared.ingress.recent_claims import RecentClaims
from shared.ingress.routes import Route
from shared.keep_alive import ReusedConnectionLost
from shared.metrics import FunctionCount
from shared.registered_worker import RegisteredWorker

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

ASKED: Final = 2
"""Workers that may refuse a claim: the best, and one more if it has filled up since it last wrote its item. After them
the claim goes to the queue."""

SEARCH_SECONDS: Final = 1.0
"""Seconds after which no further worker is asked, and the claim goes to the queue. Those that have died refuse at once,
or cost the wait for a connection: of a lost zone there may be many."""

CONNECT_SECONDS: Final = 0.25
"""Seconds for a connection to a worker; after them the next one is asked."""

ANSWER_SECONDS: Final = 0.5
"""Seconds for a worker's answer, which comes as soon as it has noted the claim; after them the next worker is asked.
The caller waits."""

logger = Logger()


class DirectClaims:
    """Poster of claims to workers."""

    def __init__(self, workers: Workers, clock: Callable[[], float]) -> None:
        """Make the connection pool; no connection is opened yet.

        Args:
            workers: the registry.
            clock: monotonic, in seconds.
        """
        self._workers = workers
        self._clock = clock
        self._pool = keep_alive.pool(urllib3.Timeout(connect=CONNECT_SECONDS, read=ANSWER_SECONDS), hosts=16)

    def post(self, body: bytes, avoid: str | None) -> str | None:
        """Post a claim to the best workers, one after the other; return the id of the one that took it.

        Args:
            body: the claim.
            avoid: endpoint that has just failed the session.
        """
        until = self._clock() + SEARCH_SECONDS
        refusals = 0
        for worker in self._workers.with_room():
            if worker.endpoint == avoid:
                continue
            taken = self._is_accepted(worker, body)
            if taken:
                return worker.worker_id
            refusals += taken is not None
            if refusals == ASKED or self._clock() >= until:
                break
        return None

    def _is_accepted(self, worker: RegisteredWorker, body: bytes) -> bool | None:
        """Post the claim: true if the worker takes it, false if it refuses, None if it does not answer."""
        try:
            try:
                answer = self._request(worker, body)
            except ReusedConnectionLost:  # a claim that comes twice is answered twice, and taken once
                answer = self._request(worker, body)
        except HTTPError as error:
            logger.warning("worker does not take claims", worker=worker.worker_id, error=type(error).__name__)
            return None
        if answer.status != 202:
            logger.info("claim refused", worker=worker.worker_id, status=answer.status)
        return answer.status == 202

    def _request(self, worker: RegisteredWorker, body: bytes) -> urllib3.BaseHTTPResponse:
        return self._pool.request(
            "POST",
            worker.endpoint + CLAIMS_PATH,
            body=body,
            headers={"content-type": "application/json", CLAIMS_TOKEN_HEADER: worker.claims_token},
            redirect=False,
        )


class Claims:
    """Claims of sessions, each made seldom enough."""

    def __init__(
        self,
        client: SQSClient,
        queue_url: str,
        direct: DirectClaims,
        connections: ConnectionsTable,
        clock: Callable[[], float],
    ) -> None:
        """Put the parts together.

        Args:
            client: SQS client.
            queue_url: the claims queue.
            direct: posts to workers.
            connections: for the addresses of the session's clients.
            clock: monotonic, in seconds.
        """
        self._client = client
        self._queue_url = queue_url
        self._direct = direct
        self._connections = connections
        self._recent = RecentClaims(clock)

    def send(
        self, connection_id: str, binding: Binding, principal: str, reason: Reason, missed: Route | None = None
    ) -> bool:
        """Claim the session for a worker that has room; false if that was done a moment ago.

        Args:
            connection_id: of the client that waits.
            binding: what its connection is bound to.
            principal: whose the session is.
            reason: why it is claimed.
            missed: the holder that has just failed the session; it is not asked.
        """
        if self._recent.suffice(binding.session_key, reason, missed):
            return False
        claim = Claim(
            session_key=binding.session_key,
            session_id=binding.session_id,
            principal=principal,
            reason=reason,
            clients=self._addresses(connection_id, binding),
        )
        body = encode_claim(claim)
        worker = self._direct.post(body.encode(), missed.endpoint if missed else None)
        if worker is None:
            self._client.send_message(QueueUrl=self._queue_url, MessageBody=body)
            metrics.count(FunctionCount.CLAIMS_QUEUED)
        metrics.count(FunctionCount.CLAIMS)
        self._recent.note_claim(binding.session_key, missed)
        logger.info(
            "claim sent", session=binding.session_key, reason=reason, clients=len(claim.clients), worker=worker or "any"
        )
        return True

    def _addresses(self, connection_id: str, binding: Binding) -> tuple[ClientAddress, ...]:
        """All clients of the session; the one that speaks now in any case."""
        addresses = {address.client_id: address for address in self._connections.clients(binding.session_key)}
        known = addresses.get(binding.client_id)
        if known is None or known.counter < binding.counter:
            addresses[binding.client_id] = ClientAddress(
                client_id=binding.client_id, connection_id=connection_id, counter=binding.counter
            )
        return tuple(addresses.values())
