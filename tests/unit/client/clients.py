"""Clients of the server in process, and what they were shown."""

from __future__ import annotations

from segue.client import (
    Client,
)
from tests.unit.client.conftest import quick


def client_of(server, **changes):
    return Client(server.url, session="s", settings=quick(**changes))


def of_kind(frames, *kinds):
    return [frame for frame in frames if isinstance(frame, kinds)]
