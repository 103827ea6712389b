"""Frames on their way through the gateway to a worker: whose they are, and holders that refuse or hang."""

from __future__ import annotations

import socket
from types import SimpleNamespace

import pytest

from gateway.dispatch import FrameOrigin
from segue.wire.delivery import HANDED_OVER, encode_refusal
from segue.wire.frames import Hello, TextInput
from shared.connections import Binding

FOR_LONG = 10**10
KEY = "alice/s"
SENDER = FrameOrigin("c1", "alice", FOR_LONG, Binding(KEY, "s", "c", 1))
HELLO = Hello(session="s", client_id="c", connection=1)
TEXT = TextInput(text="hi", seq=1)
PLAIN = TextInput(text="hi")
MOVED = (410, encode_refusal("moved"))
LEAVING = (410, encode_refusal(HANDED_OVER))


@pytest.fixture
def deliver(gateway):
    return lambda frame=TEXT: gateway.dispatch.deliver(SENDER, frame)


@pytest.fixture
def refusing():
    """An address without a listener: it refuses connections while the socket is bound and not listening."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield SimpleNamespace(endpoint=f"http://127.0.0.1:{bound.getsockname()[1]}", token="t")
