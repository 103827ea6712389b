"""Which boto3 clients a process keeps, how long they wait, and whose credentials they sign with."""

from __future__ import annotations

import gc
import os
import weakref
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

import segue.storage.clients
from segue import GuardedS3SessionManager, LeaseSettings, StorageRefused, StorageUnavailable
from segue.session.runtime import HEARTBEAT_THREADS, Runtime
from segue.storage.stores import Stores
from segue.strands.s3 import open_stores

SSO = """
region = us-east-1
sso_start_url = https://x
sso_region = us-east-1
sso_account_id = 1
sso_role_name = r
"""


def stores_of(boto_session: Any = None, **options: Any) -> Stores:
    runtime = Runtime.shared()
    options = {"bucket": "b", "lock_table": "t", "region_name": "us-east-1", **options}
    return runtime.run_sync(open_stores(runtime, boto_session=boto_session, **options))


def client_of(stores: Stores) -> Any:
    return stores.objects._client  # type: ignore[attr-defined]  # a test looks inside


def clients_of(stores: Stores) -> list[Any]:
    """Of the objects, the guard and the heartbeats."""
    heartbeats = stores.heartbeats._client  # type: ignore[union-attr]  # a test looks inside
    assert heartbeats.meta  # made now
    return [client_of(stores), stores.guard._client, heartbeats._client]  # type: ignore[attr-defined]


def longest(config: Config) -> float:
    """Seconds that a request may take by its configuration, pauses between its attempts included."""
    attempts = config.retries["total_max_attempts"]  # type: ignore[attr-defined]  # made of options
    each = config.connect_timeout + config.read_timeout  # type: ignore[attr-defined]
    return float(attempts * each + sum(min(20.0, 2.0**number) for number in range(attempts - 1)))


@pytest.mark.slow
def test_clients_are_shared_by_the_sessions_of_one_boto_session() -> None:
    own = boto3.Session()

    assert client_of(stores_of(own)) is client_of(stores_of(own))
    assert client_of(stores_of()) is client_of(stores_of())
    assert client_of(stores_of(own)) is not client_of(stores_of())


@pytest.mark.slow
def test_clients_go_with_the_boto_session_that_they_are_of() -> None:
    gc.collect()
    before = len(segue.storage.clients._shared_clients)
    sessions = [boto3.Session() for _ in range(5)]
    clients = [weakref.ref(client_of(stores_of(session))) for session in sessions]
    assert len({id(client()) for client in clients}) == 5

    del sessions
    gc.collect()

    assert len(segue.storage.clients._shared_clients) <= before
    assert not any(client() for client in clients)


@pytest.mark.parametrize(
    "lease",
    [LeaseSettings(), LeaseSettings(4.0, 1.0), LeaseSettings(60.0, 5.0, 2.0), LeaseSettings(10.0, 4.5, 1.0)],
    ids=str,
)
def test_the_guard_is_waited_for_within_the_lease(lease: LeaseSettings) -> None:
    objects, guard, heartbeats = (client.meta.config for client in clients_of(stores_of(lease=lease)))

    assert longest(guard) <= max(lease.duration - lease.margin, 6.0)
    assert longest(heartbeats) <= max(lease.duration - lease.margin - lease.heartbeat, 2.0)
    assert heartbeats.retries["total_max_attempts"] == 1
    assert heartbeats.max_pool_connections == HEARTBEAT_THREADS
    assert longest(objects) > 10


def test_each_lease_duration_has_clients_of_its_own() -> None:
    (objects, guard, heartbeats), others = (
        clients_of(stores_of(lease=LeaseSettings(duration, 3.0))) for duration in (10.0, 20.0)
    )

    assert objects is others[0]
    assert guard is not others[1]
    assert heartbeats is not others[2]
    assert guard is not heartbeats, "the guard and heartbeats share no client"
    assert clients_of(stores_of(lease=LeaseSettings()))[1:] == [guard, heartbeats]


def test_the_users_own_client_settings_are_merged() -> None:
    theirs = Config(read_timeout=2, user_agent_extra="mine", retries={"mode": "adaptive"}, max_pool_connections=3)
    objects, guard, heartbeats = (client.meta.config for client in clients_of(stores_of(config=theirs)))

    assert [config.read_timeout for config in (objects, guard, heartbeats)] == [2, 2, 2]
    assert objects.connect_timeout == 2
    assert all("mine" in config.user_agent_extra for config in (objects, guard, heartbeats))
    assert guard.retries == {"mode": "adaptive", "total_max_attempts": 2}
    assert heartbeats.retries == {"mode": "standard", "total_max_attempts": 1}, "a heartbeat is not held back"
    assert (guard.max_pool_connections, heartbeats.max_pool_connections) == (3, HEARTBEAT_THREADS)


@pytest.mark.parametrize(
    "theirs",
    [
        Config(read_timeout=17),
        Config(connect_timeout=5),
        Config(read_timeout=None),
        Config(retries={"total_max_attempts": 5}),
        Config(retries={"max_attempts": 4, "mode": "legacy"}),
    ],
    ids=["read", "connect", "read without end", "attempts", "legacy attempts"],
)
def test_client_settings_that_outlast_the_lease_are_refused(theirs: Config) -> None:
    with pytest.raises(ValueError, match=r"boto_client_config .* a lease of 10 s leaves 9 s: lower"):
        GuardedS3SessionManager("talk", bucket="b", lock_table="t", boto_client_config=theirs)


def test_a_read_timeout_within_a_longer_lease_is_accepted() -> None:
    GuardedS3SessionManager(
        "talk", bucket="b", lock_table="t", lease=LeaseSettings(60.0, 5.0), boto_client_config=Config(read_timeout=17)
    )


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with a file of credentials, and an environment without any."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    write(tmp_path, "FIRST")
    return tmp_path


def write(home: Path, *keys: str) -> None:
    (home / ".aws").mkdir(exist_ok=True)
    profiles = ("default", *(f"p{number}" for number in range(1, len(keys))))
    lines = [
        f"[{profile}]\naws_access_key_id = {key}\naws_secret_access_key = secret\n"
        for profile, key in zip(profiles, keys, strict=True)
    ]
    (home / ".aws" / "new").write_text("".join(lines))
    (home / ".aws" / "new").rename(home / ".aws" / "credentials")


def signer(boto_session: Any = None) -> set[str]:
    """The access keys that new sessions would sign with."""
    return {client._request_signer._credentials.access_key for client in clients_of(stores_of(boto_session))}


@pytest.mark.slow
def test_new_managers_sign_with_the_credentials_that_there_are_now(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    earlier = stores_of()
    assert signer() == {"FIRST"}

    write(home, "SECOND", "THIRD")
    assert signer() == {"SECOND"}
    monkeypatch.setenv("AWS_PROFILE", "p1")
    assert signer() == {"THIRD"}
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "FOURTH")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.delenv("AWS_PROFILE")
    assert signer() == {"FOURTH"}
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "FIFTH")
    assert signer() == {"FIFTH"}
    assert {client._request_signer._credentials.access_key for client in clients_of(earlier)} == {"FIRST"}
    assert client_of(stores_of()) is client_of(stores_of()), "managers with the same credentials share a client"


def test_a_boto_session_that_is_given_others_credentials_signs_with_those(home: Path) -> None:
    own = boto3.Session()
    assert signer(own) == {"FIRST"}

    own._session.set_credentials("SECOND", "secret")

    assert signer(own) == {"SECOND"}


@pytest.mark.parametrize(
    ("profile", "error", "says"),
    [
        (SSO, StorageRefused, "renew or replace the AWS credentials"),
        ("credential_process = false\n", StorageUnavailable, "retrieving credentials"),
        ("role_arn = arn:x\nsource_profile = absent\n", StorageRefused, "renew or replace the AWS credentials"),
    ],
    ids=["SSO token", "process", "no source"],
)
async def test_credentials_that_cannot_be_had_say_credentials(
    home: Path, monkeypatch: pytest.MonkeyPatch, profile: str, error: type[Exception], says: str
) -> None:
    (home / ".aws" / "config").write_text(f"[profile broken]\n{profile}")
    monkeypatch.setenv("AWS_PROFILE", "broken")
    manager = GuardedS3SessionManager(
        "talk", bucket="b", lock_table="t", region_name="us-east-1", endpoint_url="http://127.0.0.1:9"
    )
    with pytest.raises(error, match=says):
        await manager.open()


async def test_a_profile_that_is_not_there_says_credentials(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "absent")
    with pytest.raises(StorageRefused, match=r"absent.*credentials"):
        await GuardedS3SessionManager("talk", bucket="b", lock_table="t", region_name="us-east-1").open()
