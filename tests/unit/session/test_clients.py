"""Which boto3 clients a process keeps."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import boto3

import segue.s3
from segue.runtime import Runtime
from segue.s3 import open_stores
from segue.session import Stores


def stores_of(boto_session: Any = None) -> Stores:
    runtime = Runtime.shared()
    opening = open_stores(runtime, bucket="b", lock_table="t", region_name="us-east-1", boto_session=boto_session)
    return runtime.run_sync(opening)


def client_of(stores: Stores) -> Any:
    return stores.objects._client  # type: ignore[attr-defined]  # a test looks inside


def test_clients_are_shared_by_the_sessions_of_one_boto_session() -> None:
    own = boto3.Session()

    assert client_of(stores_of(own)) is client_of(stores_of(own))
    assert client_of(stores_of()) is client_of(stores_of())
    assert client_of(stores_of(own)) is not client_of(stores_of())


def test_clients_go_with_the_boto_session_that_they_are_of() -> None:
    gc.collect()
    before = len(segue.s3._clients)
    sessions = [boto3.Session() for _ in range(5)]
    clients = [weakref.ref(client_of(stores_of(session))) for session in sessions]
    assert len({id(client()) for client in clients}) == 5

    del sessions
    gc.collect()

    assert len(segue.s3._clients) <= before
    assert not any(client() for client in clients)
