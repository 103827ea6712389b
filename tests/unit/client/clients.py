"""Clients of the server in process, and what they were shown."""

from __future__ import annotations

from segue.client import (
    Client,
)
from segue.wire.frames import Hello
from tests.unit.client.conftest import quick

ONE_HELLO = {"hello_interval": 9.0, "longest_hello_interval": 9.0}
"""Settings of a client that says hello once a connection, however slow the answer is."""


def client_of(server, **changes):
    return Client(server.url, session="s", settings=quick(**changes))


def of_kind(frames, *kinds):
    return [frame for frame in frames if isinstance(frame, kinds)]


def greeted_over(count):
    """On so many connections. A slow answer lets a client say hello again on the same."""
    return lambda server: len({hello.connection for hello in of_kind(server.heard, Hello)}) >= count
