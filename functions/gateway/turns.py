"""Frames of text sessions without a holder: a queue of them invokes the text function, once for each frame.

order    FIFO, one message group for each session: one turn at a time, in the order in which the messages came
retries  a message whose turn failed is delivered again before those behind it in its group
repeats  of a frame, from its client: dropped for ``REPEAT_SECONDS``; a later one finds its turn done already
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from segue.wire.frames import AnswerInput, ClientFrame, Hello, HistoryRequest, ImageInput, TextInput
from shared.connections import Binding

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

REPEAT_SECONDS: Final = 4
"""Repeats of a frame within so many seconds are one message. SQS itself remembers for five minutes, which is too long:
a frame that a turn had to drop (its session was held, or a frame before it was missing) must be queued when it comes
again."""


class TurnsQueue:
    """Queue of frames that wait for the text function."""

    def __init__(self, client: SQSClient, queue_url: str, wall_clock: Callable[[], float] = time.time) -> None:
        """Use a queue.

        Args:
            client: SQS client.
            queue_url: A FIFO queue whose scope of deduplication is the group.
            wall_clock: Seconds since 1970.
        """
        self._client = client
        self._queue_url = queue_url
        self._wall_clock = wall_clock

    def takes(self, binding: Binding, frame: ClientFrame) -> bool:
        """Return true if a frame goes to the text function, for a session without a holder.

        Images go there: the text function answers that it takes none. So do all answers to approvals, also of voice
        clients: no voice worker could resume the text turn that asked.
        """
        if isinstance(frame, AnswerInput):
            return True
        return binding.modality == "text" and isinstance(frame, Hello | TextInput | ImageInput | HistoryRequest)

    def send(self, binding: Binding, frame: ClientFrame, body: bytes) -> None:
        """Queue a frame.

        Args:
            binding: Whose it is.
            frame: The frame.
            body: Its delivery, encoded.
        """
        self._client.send_message(
            QueueUrl=self._queue_url,
            MessageBody=body.decode(),
            MessageGroupId=_digest(binding.session_key),
            MessageDeduplicationId=self._identity(binding, frame, body),
        )

    def _identity(self, binding: Binding, frame: ClientFrame, body: bytes) -> str:
        """Return one id for a frame and its repeats, by number, else by text. Input without a number never repeats."""
        if isinstance(frame, TextInput | ImageInput | AnswerInput):
            if frame.seq is None:
                return secrets.token_hex(16)
            name = str(frame.seq)
        else:
            name = body.decode()
        return _digest(f"{binding.client_id}\n{name}\n{int(self._wall_clock() / REPEAT_SECONDS)}")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
