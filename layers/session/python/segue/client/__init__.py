"""A client of the wire protocol for asyncio.

    async with Client("wss://…", session="user_123") as client:
        await client.send_text("What's my name?")
        async for event in client.events():
            ...

What is sent reaches the session exactly once and in order, and what the session's journal contains is shown exactly
once and in order, across lost connections, redeploys and crashes of the other end. ``token=`` takes a bearer token or a
function that gets one for each connection, ``headers=`` other ways to show who one is. Needs the package
``websockets``.

    settings        times and limits
    errors          what a program is told, and its next step
    credentials     tokens and headers, fresh for each connection
    retries         pauses between attempts to connect
    events          the events that wait to be read
    microphone      a microphone's silence, marked
    approvals       the open approval, and the answer to one
    player          how far the program's player has come
    pages           pages of the conversation so far
    link            the state of one connection
    input_delivery  input, sent until it is durable
    shown_output    output in order, once, acknowledged
    greeting        hellos, as long as one is needed, and the answers that are due
    conversation    all of these as frames in and frames out, without I/O
    websocket       one WebSocket, from its opening to its end
    connections     connecting, again and in time
    client_run      a client from its start to its end
    client          what a program uses
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
