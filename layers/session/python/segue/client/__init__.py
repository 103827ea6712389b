"""A client of the wire protocol for asyncio.

    async with Client("wss://…", session="user_123") as client:
        await client.send_text("What's my name?")
        async for event in client.events():
            ...

What is sent reaches the session exactly once and in order, and what the session's journal contains is shown exactly
once and in order, across lost connections, redeploys and crashes of the other end. ``token=`` takes a bearer token or a
function that gets one for each connection, ``headers=`` other ways to show who one is. Needs the package
``websockets``.
"""

from __future__ import annotations

from segue.client.client import Client
from segue.client.errors import (
    ClientClosed,
    ClientError,
    ConnectionLost,
    EventsNotRead,
    HandshakeRefused,
    NotOffered,
    NotReady,
    SessionRefused,
)
from segue.client.settings import ClientSettings
from segue.wire.sender import SenderFull

__all__ = [
    "Client",
    "ClientClosed",
    "ClientError",
    "ClientSettings",
    "ConnectionLost",
    "EventsNotRead",
    "HandshakeRefused",
    "NotOffered",
    "NotReady",
    "SenderFull",
    "SessionRefused",
]
