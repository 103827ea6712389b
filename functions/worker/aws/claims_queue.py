"""The claims queue (SQS), asked from threads of its own.

A long poll must neither stop the event loop nor keep a thread of the shared pool from other work.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from segue.wire.claims import Claim, encode_claim

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

POLL_SECONDS: Final = 1
"""Seconds that one poll waits. A claim that reaches a killed process stays invisible for half a minute, and a worker
that stops waits for its last poll, whose claims it gives back; both want short polls."""

BATCH: Final = 10
"""Messages a poll at most; SQS gives no more, so that further ones come with the next poll."""

THREADS: Final = 8
"""Requests to the queue at once; further ones wait."""


@dataclass(frozen=True, slots=True)
class QueuedClaim:
    """A message that was received and not settled yet."""

    body: str
    receipt: str


class ClaimsQueue:
    """Receives, settles and sends claims."""

    def __init__(self, sqs: SQSClient, url: str, *, poll_seconds: int = POLL_SECONDS) -> None:
        self._poll_seconds = poll_seconds
        self._sqs = sqs
        self._url = url
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="claims")

    async def receive(self, most: int) -> list[QueuedClaim]:
        """Wait for claims, for one poll at most.

        Args:
            most: How many are wanted.
        """
        answer = await self._call(
            lambda: self._sqs.receive_message(
                QueueUrl=self._url, MaxNumberOfMessages=min(most, BATCH), WaitTimeSeconds=self._poll_seconds
            )
        )
        return [QueuedClaim(message["Body"], message["ReceiptHandle"]) for message in answer.get("Messages", ())]

    async def delete(self, claim: QueuedClaim) -> None:
        """Settle a claim for good."""
        await self._call(lambda: self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=claim.receipt))

    async def give_back(self, claim: QueuedClaim) -> None:
        """Let another worker have a claim at once."""
        await self._call(
            lambda: self._sqs.change_message_visibility(
                QueueUrl=self._url, ReceiptHandle=claim.receipt, VisibilityTimeout=0
            )
        )

    async def send(self, claim: Claim) -> None:
        """Ask the workers to take a session."""
        await self._call(lambda: self._sqs.send_message(QueueUrl=self._url, MessageBody=encode_claim(claim)))

    def close(self) -> None:
        """Let the threads go."""
        self._threads.shutdown(wait=False)

    async def _call[Answer](self, request: Callable[[], Answer]) -> Answer:
        return await asyncio.get_running_loop().run_in_executor(self._threads, request)
