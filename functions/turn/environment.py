"""Environment variables of the text function, read once at the first invocation."""

from __future__ import annotations

import os
from collections.abc import Mapping

from msgspec import Struct

from shared.management import management_url


class TurnEnvironment(Struct, frozen=True):
    """Variables of ``turn.handler``.

    Attributes:
        bucket: S3 bucket of the journals.
        lock_table: table with the guard items.
        connections_table: table with the clients of each session.
        turns_queue_url: where the turns come from.
        management_endpoint: where API Gateway takes messages to clients, without ``/@connections``. A path only is one
            on AWS_ENDPOINT_URL: the emulator's address is not known when the stack is made.
        lease_seconds: how long a silent holder keeps a session.
        heartbeat_seconds: how often a holder shows that it lives.
        retention_days: how long a session is kept after its last use.
        approval_seconds: how long an approval may be answered.
    """

    bucket: str
    lock_table: str
    connections_table: str
    turns_queue_url: str
    management_endpoint: str
    lease_seconds: float = 10.0
    heartbeat_seconds: float = 3.0
    retention_days: int = 365
    approval_seconds: float = 300.0

    def management_url(self, environ: Mapping[str, str] = os.environ) -> str:
        """The management endpoint as a whole URL."""
        return management_url(self.management_endpoint, environ)
