"""AWS in this process (moto), as the tests use it: botocore's clients ask it, and nothing else does."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.stage import AWS_ENVIRONMENT, REGION


@contextlib.contextmanager
def mocked_aws() -> Iterator[None]:
    """Let AWS be in this process, empty.

    moto stands in for ``requests`` too, by some 3,500 patterns that it makes anew each time. No code here asks AWS so.
    It also looks anew at the names of its classes' methods for each request, and at kinds of nodes for each node of an
    expression.
    """
    import moto
    from moto.core import models, responses
    from moto.dynamodb.parsing.ast_nodes import DepthFirstTraverser

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "RESPONSES_METHODS", [])
        patch.setattr(responses, "method_names_from_class", _method_names)
        patch.setattr(DepthFirstTraverser, "nodes_to_be_processed", _kinds_of_nodes)
        with moto.mock_aws():
            yield


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
