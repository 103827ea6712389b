"""Asking the workers to take a session that has no holder."""

from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from aws_lambda_powertools import Logger

from gateway.connections import Binding, Connections
from segue.wire.claims import Claim, ClientAddress, Reason, encode_claim

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

QUIET_SECONDS: Final = 2.0
"""A session without a holder gets frames ten times a second; one claim in this time is enough."""

REMEMBERED: Final = 2048
"""Sessions whose last claim a warm function remembers."""

logger = Logger()


class Claims:
    """Sends claims, seldom enough."""

    def __init__(
        self, client: "SQSClient", queue_url: str, connections: Connections, clock: Callable[[], float]
    ) -> None:
        """Use a queue.

        Args:
            client: SQS client.
            queue_url: the claims queue.
            connections: for the addresses of the session's clients.
            clock: monotonic, in seconds.
        """
        self._client = client
        self._queue_url = queue_url
        self._connections = connections
        self._clock = clock
        self._sent: OrderedDict[str, float] = OrderedDict()

    def send(self, connection_id: str, binding: Binding, principal: str, reason: Reason) -> bool:
        """Claim the session for whoever has room; false if that was done a moment ago."""
        now = self._clock()
        last = self._sent.get(binding.session_key)
        if last is not None and now - last < QUIET_SECONDS:
            return False
        claim = Claim(
            session_key=binding.session_key,
            session_id=binding.session_id,
            principal=principal,
            reason=reason,
            clients=self._addresses(connection_id, binding),
        )
        self._client.send_message(QueueUrl=self._queue_url, MessageBody=encode_claim(claim))
        self._sent[binding.session_key] = now
        self._sent.move_to_end(binding.session_key)
        if len(self._sent) > REMEMBERED:
            self._sent.popitem(last=False)
        logger.info("claim sent", session=binding.session_key, reason=reason, clients=len(claim.clients))
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
