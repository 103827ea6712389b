"""One message of the queue, while its turn is taken: hidden from others, and given back if it cannot be done now.

    begun ─▶ hidden for 10 s, again every 3 s ─┬─▶ done: Lambda deletes it
                                               ├─▶ given back: others may have it after a pause
                                               └─▶ the process died: others have it within 10 s

The queue itself hides a message for as long as Lambda asks for, six times what a turn may take: much too long for a
person who waits for an answer.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Final

from aws_lambda_powertools import Logger

from segue.storage.answers import AWS_ERRORS, reason_of
from segue.wire.delivery import Delivery, decode_delivery

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

HIDDEN_SECONDS: Final = 10
"""Seconds for which a renewal hides the message. After them the message of a turn that died is taken again, and the
lease that it left is waited out."""

RENEWAL_SECONDS: Final = 3.0
"""Seconds between two renewals: two may fail before another function takes the message."""

logger = Logger()


class QueueMessage:
    """A message of the queue.

    Attributes:
        id: SQS's name of it.
        tries: How often it was received, this time included.
    """

    def __init__(
        self,
        client: SQSClient,
        queue_url: str,
        record: dict[str, Any],
        *,
        renewal_seconds: float = RENEWAL_SECONDS,
    ) -> None:
        """Read a record of Lambda's event, to be hidden anew each time that so many seconds have passed."""
        self._renewal_seconds = renewal_seconds
        self.id: str = record["messageId"]
        self.tries = int(record["attributes"]["ApproximateReceiveCount"])
        self._body: str = record["body"]
        self._receipt: str = record["receiptHandle"]
        self._client = client
        self._queue_url = queue_url

    def delivery(self) -> Delivery:
        """Decode the delivery.

        Raises:
            FrameError: The message is not one of the message function's.
        """
        return decode_delivery(self._body.encode())

    @contextlib.asynccontextmanager
    async def hidden(self) -> AsyncIterator[None]:
        """Keep others from having it, for as long as this process lives, and not for much longer."""
        await self._hide_for_now()  # before the session is taken: who dies with it must not keep its text for long
        ended = asyncio.Event()
        renewing = asyncio.create_task(self._renew(ended))
        try:
            yield
        finally:
            ended.set()
            await renewing  # so that no renewal comes after a message was given back

    async def give_back(self, pause_seconds: int) -> None:
        """Give the message back, to be taken again after a pause."""
        await asyncio.to_thread(self._hide, pause_seconds)

    async def _renew(self, ended: asyncio.Event) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), self._renewal_seconds)
            if ended.is_set():
                return
            await self._hide_for_now()

    async def _hide_for_now(self) -> None:
        await asyncio.to_thread(self._hide, HIDDEN_SECONDS)

    def _hide(self, seconds: int) -> None:
        try:
            self._client.change_message_visibility(
                QueueUrl=self._queue_url, ReceiptHandle=self._receipt, VisibilityTimeout=seconds
            )
        except AWS_ERRORS as error:
            logger.warning("the queue does not answer", id=self.id, reason=reason_of(error))
