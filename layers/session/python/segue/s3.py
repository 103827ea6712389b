"""The session manager that keeps sessions in S3 and guards them with DynamoDB."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import TYPE_CHECKING, Any, Unpack
from weakref import WeakKeyDictionary

from botocore import __version__ as botocore_version
from botocore.config import Config
from botocore.exceptions import BotoCoreError
from botocore.handlers import add_expect_header

from segue.errors import StorageRefused
from segue.keys import check_length
from segue.manager import GuardedSessionManager
from segue.options import SessionOptions
from segue.runtime import STORAGE_THREADS, Runtime
from segue.session import Stores
from segue.storage.aws import DynamoGuard, S3Objects

if TYPE_CHECKING:
    import boto3

_CLIENT_CONFIG = Config(
    max_pool_connections=STORAGE_THREADS,
    connect_timeout=2,
    read_timeout=5,
    retries={"mode": "standard", "total_max_attempts": 3},
    tcp_keepalive=True,
    user_agent=f"Segue Botocore/{botocore_version}",
)
"""A request that hangs must fail well within a lease; what is retried beyond these three attempts is retried
by Segue, which knows what an unknown outcome means. The user agent is fixed because botocore otherwise puts it
together anew for every request: a tenth of the time that it holds the interpreter's lock."""


class _DefaultSession:
    """Stands for boto3's default session, where none is given."""


_clients: WeakKeyDictionary[Any, dict[tuple[Any, ...], tuple[Any, Any]]] = WeakKeyDictionary()
"""By boto3 session, and then by settings: clients go with the session that somebody made for a role, say."""

_clients_lock = threading.Lock()


def _forget_clients() -> None:
    """Let a forked child make its own. Whoever held the lock is not there any more."""
    global _clients_lock  # noqa: PLW0603 - a lock cannot be made free by whoever does not hold it
    _clients_lock = threading.Lock()
    _clients.clear()


class GuardedS3SessionManager(GuardedSessionManager):
    """Keeps a session in S3, guarded by DynamoDB, so that exactly one writer can add to it.

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
            boto_session: For credentials and region; default: boto3's default session.
            boto_client_config: Merged over Segue's own client settings (timeouts, retries, pool).
            region_name: AWS region.
            endpoint_url: For emulators.
            kms_key_id: Encrypt objects with this key (SSE-KMS); default: as the bucket says.
            **options: See ``SessionOptions``.

        Raises:
            ValueError: An id or option is not valid.
        """
        super().__init__(session_id, **options)
        self._bucket = bucket
        self._lock_table = lock_table
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        check_length(self._prefix, self.session_key)
        self._boto_session = boto_session
        self._config = _CLIENT_CONFIG.merge(boto_client_config) if boto_client_config else _CLIENT_CONFIG
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
        )


async def open_stores(  # noqa: PLR0913 - each names one thing of AWS
    runtime: Runtime,
    *,
    bucket: str,
    lock_table: str,
    prefix: str = "",
    boto_session: boto3.Session | None = None,
    config: Config = _CLIENT_CONFIG,
    region_name: str | None = None,
    endpoint_url: str | None = None,
    kms_key_id: str | None = None,
) -> Stores:
    """Return the stores of a bucket and a table. All sessions of a process share one pair of clients."""

    def clients() -> tuple[Any, Any]:
        import boto3  # half a second that only a first open pays

        key = (repr(sorted(vars(config).items(), key=str)), region_name, endpoint_url)
        with _clients_lock:
            made = _clients.setdefault(boto_session or _DefaultSession, {})
            if key not in made:
                source = boto_session or boto3.Session()
                dynamodb = source.client("dynamodb", config=config, region_name=region_name, endpoint_url=endpoint_url)
                s3 = source.client("s3", config=config, region_name=region_name, endpoint_url=endpoint_url)
                # Asking S3 whether it wants the body is a round trip of its own, and segments are a kilobyte.
                s3.meta.events.unregister("before-call.s3", add_expect_header)
                made[key] = dynamodb, s3
            return made[key]

    try:
        dynamodb, s3 = await asyncio.get_running_loop().run_in_executor(runtime.executor, clients)
    except (BotoCoreError, ValueError) as error:  # no region, no such profile, an endpoint that is no URL
        raise StorageRefused(lock_table, str(error)) from error
    return Stores(
        DynamoGuard(dynamodb, lock_table, runtime.executor),
        S3Objects(s3, bucket, runtime.executor, kms_key_id),
        prefix,
    )


if hasattr(os, "register_at_fork"):  # two processes on one connection would read each other's answers
    os.register_at_fork(after_in_child=_forget_clients)
