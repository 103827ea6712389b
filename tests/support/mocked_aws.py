"""AWS in this process (moto), as the tests use it: botocore's clients ask it, and nothing else does."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.support.stage import AWS_ENVIRONMENT, REGION


@contextlib.contextmanager
def mocked_aws() -> Iterator[None]:
    """Let AWS be in this process, empty.

    moto stands in for ``requests`` too, by some 3,500 patterns that it makes anew each time. No code here asks AWS so.
    It also looks anew at the names of its classes' methods for each request, and at kinds of nodes for each node of an
    expression. And it changes an item while another thread reads it, which the services do not.
    """
    import moto
    from moto.core import botocore_stubber, models, responses
    from moto.dynamodb.parsing.ast_nodes import DepthFirstTraverser

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "RESPONSES_METHODS", [])
        patch.setattr(responses, "method_names_from_class", _method_names)
        patch.setattr(DepthFirstTraverser, "nodes_to_be_processed", _kinds_of_nodes)
        patch.setattr(botocore_stubber.BotocoreStubber, "process_request", _one_at_a_time())
        with moto.mock_aws():
            yield


def _one_at_a_time() -> Callable[[Any, Any], Any]:
    """Return moto's way to answer, but with one request at a time to each storage; a queue's may wait for a message."""
    from moto.core.botocore_stubber import BotocoreStubber

    answer = BotocoreStubber.process_request
    alone = {"dynamodb": threading.RLock(), "s3": threading.RLock()}

    def answer_alone(stubber: Any, request: Any) -> Any:
        host = urlsplit(request.url).hostname or ""
        storage = next((name for name in alone if name in host.split(".")), None)
        with alone[storage] if storage is not None else contextlib.nullcontext():
            return answer(stubber, request)

    return answer_alone


@functools.cache
def _method_names(responses: type) -> list[str]:
    from moto.core.utils import method_names_from_class

    return method_names_from_class(responses)


_kinds: dict[type, tuple[type, ...]] = {}


def _kinds_of_nodes(traverser: Any) -> tuple[type, ...]:
    if (kinds := _kinds.get(type(traverser))) is None:
        kinds = _kinds[type(traverser)] = tuple(traverser._processing_map())
    return kinds


@functools.cache
def client(service: str) -> Any:
    """One of boto3's clients, for all tests: a new one costs as much as ten requests.

    What it knows is the same in each, whatever a test's environment says. Use it within ``mocked_aws``.
    """
    import boto3
    from botocore.config import Config

    return boto3.session.Session().client(
        service,
        region_name=REGION,
        aws_access_key_id=AWS_ENVIRONMENT["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=AWS_ENVIRONMENT["AWS_SECRET_ACCESS_KEY"],
        config=Config(ignore_configured_endpoint_urls=True),
    )


@contextlib.contextmanager
def sharing_clients() -> Iterator[None]:
    """Let what asks boto3 for a client have one of those, for ``segue.testing.provision``, which asks for two."""
    import boto3

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(boto3, "client", lambda service, **_: client(service))
        yield


def provision(bucket: str, lock_table: str) -> None:
    """Make a bucket and a lock table with the clients that all tests share."""
    from segue.testing import provision as with_clients_of_its_own

    with sharing_clients():
        with_clients_of_its_own(bucket, lock_table)
