"""Sessions for Strands agents in S3, guarded by DynamoDB: one writer at a time, handed over live.

    from segue import GuardedS3SessionManager

    session_manager = GuardedS3SessionManager(session_id="user_123", bucket="…", lock_table="…")
    agent = BidiAgent(model=model, session_manager=session_manager)

    errors       all errors, each with the caller's next step
    ids          ids as users have them, and their names in storage
    clock        time, injected
    backoff      pauses between attempts
    bounded      ``BoundedDict``: the newest entries only
    lazy         names of a package that are imported on first use
    environment  environment variables, read once; the error lists all that are wrong
    observers    hooks for metrics of the library
    otel         these hooks for OpenTelemetry
    storage/     guard items and objects: DynamoDB and S3, a directory, memory
    lease/       the right to write a session
    journal/     records of a session, committed and read
    history/     records folded into agents, repaired
    session/     one session in this process
    strands/     session managers for Strands
    admin/       ``Sessions``: all that needs no agent
    cli/         the ``segue`` command
    wire/        the protocol between client and worker
    client/      the Python client
    testing/     help for tests

The lowest layer stands first, so an import points to a line above. The managers are imported on first use: a gateway
function that needs ``segue.wire`` only must not pay for importing Strands.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from segue.errors import (
    JournalCorrupt,
    RecordTooLarge,
    SegueError,
    SessionExists,
    SessionFenced,
    SessionHeld,
    SessionNotFound,
    StorageRefused,
    StorageUnavailable,
    ValueRefused,
)
from segue.lazy import lazily

if TYPE_CHECKING:
    from segue.lease.lease import Lease
    from segue.lease.settings import LeaseSettings
    from segue.strands.file import GuardedFileSessionManager
    from segue.strands.idempotency import idempotency_key
    from segue.strands.s3 import GuardedS3SessionManager

__all__ = [
    "GuardedFileSessionManager",
    "GuardedS3SessionManager",
    "JournalCorrupt",
    "Lease",
    "LeaseSettings",
    "RecordTooLarge",
    "SegueError",
    "SessionExists",
    "SessionFenced",
    "SessionHeld",
    "SessionNotFound",
    "StorageRefused",
    "StorageUnavailable",
    "ValueRefused",
    "idempotency_key",
]

__getattr__ = lazily(
    __name__,
    {
        "GuardedFileSessionManager": "segue.strands.file",
        "GuardedS3SessionManager": "segue.strands.s3",
        "Lease": "segue.lease.lease",
        "LeaseSettings": "segue.lease.settings",
        "idempotency_key": "segue.strands.idempotency",
    },
)
"""Import a manager when it is first asked for."""
