"""boto3 clients for the stores: how long they wait, and which of them a process shares.

    objects      one for a boto3 session and settings      a hang of S3 is waited out above, by sending again
    guard        one more for each lease duration          answers, or has failed, within the lease
    heartbeats   the same, over connections of their own   sent once; made with the first of them

A client signs for ever with the credentials that it was made with (or what renews them). So it is used again only as
long as it would be made from the same: see ``_origin``.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from weakref import WeakKeyDictionary

from botocore import __version__ as botocore_version
from botocore.config import Config
from botocore.handlers import add_expect_header

from segue.storage.answers import read_whole

if TYPE_CHECKING:
    import boto3
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client

_LONGEST_BACKOFF_SECONDS = 20.0
"""Seconds between two attempts of a request at most: botocore's own bound, beyond which it does not double them."""

_OBJECT_ATTEMPTS = 3
"""Attempts of a request for an object; after them it has failed."""

_GUARD_ATTEMPTS = 2
"""Attempts of a request for a guard item; after them it has failed. They share ``GuardTimeouts.request``: more of them
would be too short."""

_CONNECTING = 0.25
"""Fraction of an attempt's time that opening the connection may take; after it, the attempt has failed."""


@dataclass(frozen=True, slots=True)
class GuardTimeouts:
    """Time limits of requests for guard items, in seconds.

    Attributes:
        lease: The lease's duration, for messages.
        request: Limit of a request, retries included.
        heartbeat: Limit of a heartbeat.
        connections: Connections for heartbeats, at most.
    """

    lease: float
    request: float
    heartbeat: float
    connections: int


@dataclass(frozen=True, slots=True)
class AwsClientSettings:
    """Settings of the AWS clients, credentials excepted.

    Attributes:
        timeouts: Time limits of requests for guard items.
        connections: Connections for objects, and for guard items, at most each.
        theirs: The user's own configuration, merged over Segue's.
        region: AWS region; None: as boto3 finds it.
        endpoint_url: URL of an emulator.
    """

    timeouts: GuardTimeouts
    connections: int
    theirs: Config | None = None
    region: str | None = None
    endpoint_url: str | None = None

    @property
    def objects(self) -> Config:
        """Configuration of the client for objects."""
        return self._merged(connect=2.0, read=5.0, attempts=_OBJECT_ATTEMPTS)

    @property
    def guard(self) -> Config:
        """Configuration of the client for guard items."""
        attempt = (self.timeouts.request - _backoff(_GUARD_ATTEMPTS)) / _GUARD_ATTEMPTS
        connect = attempt * _CONNECTING
        return self._merged(connect=connect, read=attempt - connect, attempts=_GUARD_ATTEMPTS)

    @property
    def heartbeats(self) -> Config:
        """Configuration of the client for heartbeats: one attempt, since the next heartbeat comes soon."""
        guard, connect = self.guard, self.timeouts.heartbeat * _CONNECTING
        return guard.merge(
            Config(
                connect_timeout=min(_option(guard, "connect_timeout"), connect),
                read_timeout=min(_option(guard, "read_timeout"), self.timeouts.heartbeat - connect),
                retries={"mode": "standard", "total_max_attempts": 1},
                max_pool_connections=self.timeouts.connections,
            )
        )

    def check(self) -> None:
        """Check that a request with the user's settings ends before the lease does.

        Raises:
            ValueError: A request to the guard may take longer than the lease.
        """
        guard, timeouts = self.guard, self.timeouts
        attempts = _attempts(guard)
        longest = attempts * (_option(guard, "connect_timeout") + _option(guard, "read_timeout")) + _backoff(attempts)
        if self.theirs is not None and longest > timeouts.request:
            raise ValueError(
                f"boto_client_config lets a request to DynamoDB take {longest:g} s ({attempts} attempts), and a lease "
                f"of {timeouts.lease:g} s leaves {timeouts.request:g} s: lower connect_timeout, read_timeout or the "
                "attempts in retries, or lengthen the lease"
            )

    def _merged(self, *, connect: float, read: float, attempts: int) -> Config:
        """Segue's own settings under the user's.

        The user agent is fixed because botocore otherwise puts it together anew for every request: a tenth of the time
        that it holds the interpreter's lock.
        """
        own = Config(
            max_pool_connections=self.connections,
            connect_timeout=connect,
            read_timeout=read,
            retries={"mode": "standard", "total_max_attempts": attempts},
            tcp_keepalive=True,
            user_agent=f"Segue Botocore/{botocore_version}",
        )
        if self.theirs is None:
            return own
        retries: Any = dict(_option(self.theirs, "retries") or {})
        if not retries.keys() & {"max_attempts", "total_max_attempts"}:
            retries["total_max_attempts"] = attempts
        retries.setdefault("mode", "standard")
        return own.merge(self.theirs).merge(Config(retries=retries))


@dataclass(frozen=True, slots=True)
class AwsClients:
    """The clients of a bucket and a table."""

    objects: S3Client
    guard: DynamoDBClient
    heartbeats: DynamoDBClient


class _DefaultSession:
    """The key of clients that were made from a new ``boto3.Session()``."""


class _SharedClients:
    """Clients that were made with the same credentials."""

    def __init__(self, origin: object, source: boto3.Session | None) -> None:
        """Begin with none.

        Args:
            origin: The credentials, as ``_origin`` gives them.
            source: Session that makes the clients; None: the caller's, which this must not keep alive.
        """
        self.origin = origin
        self._source = source
        self._clients: dict[tuple[Any, ...], Any] = {}
        self._lock = threading.Lock()

    def client(self, service: str, given: boto3.Session | None, settings: AwsClientSettings, config: Config) -> Any:
        """Return a client, made on its first use: credentials may have to be fetched for it."""
        key = service, repr(sorted(vars(config).items(), key=str)), settings.region, settings.endpoint_url
        with self._lock:  # one for each origin: no session waits for another's credentials
            if key not in self._clients:
                self._clients[key] = self._new(service, given, settings, config)
            return self._clients[key]

    def _new(self, service: str, given: boto3.Session | None, settings: AwsClientSettings, config: Config) -> Any:
        source: Any = self._source or given
        client = source.client(service, config=config, region_name=settings.region, endpoint_url=settings.endpoint_url)
        if service == "s3":
            # Asking S3 whether it wants the body is a round trip of its own, and segments are a kilobyte.
            client.meta.events.unregister("before-call.s3", add_expect_header)
        return read_whole(client)


_shared_clients: WeakKeyDictionary[Any, _SharedClients] = WeakKeyDictionary()
"""Clients by boto3 session: they are freed with the session that a caller made, for a role, say."""

_lock = threading.Lock()


def clients_of(boto_session: boto3.Session | None, settings: AwsClientSettings) -> AwsClients:
    """Return the clients of a boto3 session and settings, made once for each. Blocks.

    Args:
        boto_session: For credentials and region; None: a new ``boto3.Session()`` as the environment has it now.
        settings: All else.

    Raises:
        BotoCoreError: No region, no such profile, and the like.
        ValueError: The endpoint is no URL.
    """
    made = _shared_clients_of(boto_session)
    return AwsClients(
        made.client("s3", boto_session, settings, settings.objects),
        made.client("dynamodb", boto_session, settings, settings.guard),
        cast(
            "DynamoDBClient", _LazyClient(lambda: made.client("dynamodb", boto_session, settings, settings.heartbeats))
        ),
    )


class _LazyClient:
    """A client that is made on its first use."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._client: Any = None

    def __getattr__(self, name: str) -> Any:
        if self._client is None:
            self._client = self._make()
        return getattr(self._client, name)


def _shared_clients_of(boto_session: boto3.Session | None) -> _SharedClients:
    """Return the clients of a session's present credentials. Those of earlier credentials are dropped."""
    import boto3  # half a second that only a first open pays

    key, origin = boto_session or _DefaultSession, _origin(boto_session)
    with _lock:
        made = _shared_clients.get(key)
        if made is None or made.origin != origin:
            made = _shared_clients[key] = _SharedClients(origin, None if boto_session else boto3.Session())
        return made


def _origin(boto_session: boto3.Session | None) -> object:
    """Return a value that differs when a client would sign with other credentials.

    For a caller's session: its present credentials, which it may replace. Otherwise the sources of a new session: the
    environment, and the files of profiles. Credentials that renew themselves (roles, SSO) need no more.
    """
    if boto_session is not None:
        return boto_session.get_credentials()  # compares by identity
    variables = tuple(sorted(one for one in os.environ.items() if one[0].startswith("AWS_")))
    files = (
        os.environ.get("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials",
        os.environ.get("AWS_CONFIG_FILE") or "~/.aws/config",
    )
    return variables, tuple(map(_state, files))


def _state(path: str) -> tuple[int, ...] | None:
    try:
        found = Path(path).expanduser().stat()
    except (OSError, RuntimeError):  # not there, or no home
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _option(config: Config, name: str) -> Any:
    value = getattr(config, name)
    return float("inf") if value is None and name.endswith("_timeout") else value


def _attempts(config: Config) -> int:
    retries = _option(config, "retries")
    return int(retries.get("total_max_attempts") or retries["max_attempts"] + 1)


def _backoff(attempts: int) -> float:
    """Seconds at most between the attempts of a request, as botocore's modes have it."""
    return float(sum(min(2.0**number, _LONGEST_BACKOFF_SECONDS) for number in range(attempts - 1)))


def _forget() -> None:
    """Drop all clients in a forked child, which makes its own. The thread that held the lock is not in the child."""
    global _lock  # noqa: PLW0603 - only the thread that holds a lock can release it
    _lock = threading.Lock()
    _shared_clients.clear()


if hasattr(os, "register_at_fork"):  # two processes on one connection would read each other's answers
    os.register_at_fork(after_in_child=_forget)
