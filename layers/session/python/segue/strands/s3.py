"""The session manager that keeps sessions in S3 and guards them with DynamoDB."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Unpack

from botocore.exceptions import BotoCoreError, ClientError

from segue.journal.keys import check_length, normal_prefix
from segue.lease.settings import LeaseSettings
from segue.session.options import SessionOptions
from segue.session.runtime import HEARTBEAT_THREADS, STORAGE_THREADS, Runtime
from segue.storage.answers import not_made
from segue.storage.aws import DynamoGuard, S3Objects
from segue.storage.clients import AwsClientSettings, GuardTimeouts, clients_of
from segue.storage.stores import Stores
from segue.strands.manager import GuardedSessionManager

if TYPE_CHECKING:
    import boto3
    from botocore.config import Config


class GuardedS3SessionManager(GuardedSessionManager):
    """Session manager that keeps a session in S3, guarded by DynamoDB, so that exactly one writer can add to it.

    Example:
        ```python
        session_manager = GuardedS3SessionManager(
            session_id="user_123", bucket="my-voice-sessions", lock_table="my-voice-locks"
        )
        agent = BidiAgent(model=model, session_manager=session_manager)  # acquires and restores
        await agent.start()
        await agent.send("My name is Alice")
        await agent.stop()  # flushes and releases
        ```
    """

    def __init__(  # noqa: PLR0913 - fixed by the design, named as Strands' own S3 manager does
        self,
        session_id: str,
        *,
        bucket: str,
        lock_table: str,
        prefix: str = "",
        boto_session: boto3.Session | None = None,
        boto_client_config: Config | None = None,
        region_name: str | None = None,
        endpoint_url: str | None = None,
        kms_key_id: str | None = None,
        **options: Unpack[SessionOptions],
    ) -> None:
        """Name the session and where it is kept; no I/O.

        Args:
            session_id: Any text without ``/`` and control characters; its length is bounded (see ``segue.ids``).
            bucket: S3 bucket for the records.
            lock_table: DynamoDB table with the partition key ``session_key`` (string).
            prefix: Prefix of all object keys.
            boto_session: For credentials and region. It keeps the credentials that it has once read; default: a new
                ``boto3.Session()``, as the environment and the files of profiles are when the session is opened.
            boto_client_config: Merged over Segue's own client settings (timeouts, retries, pool).
            region_name: AWS region.
            endpoint_url: For emulators.
            kms_key_id: Encrypt objects with this key (SSE-KMS); default: as the bucket says.
            **options: See ``SessionOptions``.

        Raises:
            ValueError: An id or option is not valid, or ``boto_client_config`` waits for longer than the lease allows.
        """
        super().__init__(session_id, **options)
        self._bucket = bucket
        self._lock_table = lock_table
        self._prefix = normal_prefix(prefix)
        check_length(self._prefix, self.session_key)
        self._boto_session = boto_session
        client_settings(self.settings.lease, boto_client_config).check()
        self._config = boto_client_config
        self._region = region_name
        self._endpoint_url = endpoint_url
        self._kms_key_id = kms_key_id

    async def _stores(self) -> Stores:
        return await open_stores(
            self._runtime,
            bucket=self._bucket,
            lock_table=self._lock_table,
            prefix=self._prefix,
            boto_session=self._boto_session,
            config=self._config,
            region_name=self._region,
            endpoint_url=self._endpoint_url,
            kms_key_id=self._kms_key_id,
            lease=self.settings.lease,
        )


def client_settings(
    lease: LeaseSettings, config: Config | None = None, region_name: str | None = None, endpoint_url: str | None = None
) -> AwsClientSettings:
    """Return the settings of boto3 clients for sessions of a lease."""
    timeouts = GuardTimeouts(lease.duration, lease.request_timeout, lease.heartbeat_timeout, HEARTBEAT_THREADS)
    return AwsClientSettings(timeouts, STORAGE_THREADS, config, region_name, endpoint_url)


async def open_stores(  # noqa: PLR0913 - each names one thing of AWS
    runtime: Runtime,
    *,
    bucket: str,
    lock_table: str,
    prefix: str = "",
    boto_session: boto3.Session | None = None,
    config: Config | None = None,
    region_name: str | None = None,
    endpoint_url: str | None = None,
    kms_key_id: str | None = None,
    lease: LeaseSettings | None = None,
) -> Stores:
    """Return the stores of a bucket and a table. Sessions of a process share their clients (``storage.clients``).

    Args:
        runtime: The process's.
        bucket: S3 bucket.
        lock_table: DynamoDB table.
        prefix: Of all object keys, "" or ending in "/".
        boto_session: For credentials and region; default: a new one.
        config: Merged over Segue's own client settings.
        region_name: AWS region.
        endpoint_url: For emulators.
        kms_key_id: Encrypts objects.
        lease: Says how long the guard is waited for; default: a default lease.

    Raises:
        StorageRefused: No clients can be made: no region, say, or credentials that have ended.
        StorageUnavailable: The service that gives credentials does not answer.
        ValueError: ``config`` waits for longer than the lease allows.
    """
    settings = client_settings(lease or LeaseSettings(), config, region_name, endpoint_url)
    settings.check()
    loop = asyncio.get_running_loop()
    try:
        clients = await loop.run_in_executor(runtime.guard_executor, clients_of, boto_session, settings)
    except (BotoCoreError, ClientError, RuntimeError, ValueError) as error:
        raise not_made(error, lock_table) from error
    return Stores(
        DynamoGuard(clients.guard, lock_table, runtime.guard_executor),
        S3Objects(clients.objects, bucket, runtime.executor, kms_key_id),
        prefix,
        DynamoGuard(clients.heartbeats, lock_table, runtime.heartbeat_executor),
    )
