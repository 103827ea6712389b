"""Routing of one message: the answer that goes straight back to the client, if any."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import msgspec
from aws_lambda_powertools import Logger

from gateway.dispatch import Dispatch, FrameOrigin
from gateway.tracing import traced
from segue.bounded import BoundedDict
from segue.wire.fields import trace_id
from segue.wire.frames import ClientFrame, Error, FrameError, Hello, Ping, Pong, decode_client_frame, error_frame
from segue.wire.rate import FrameRate
from shared import metrics
from shared.connections import Binding, Connection, ConnectionsTable
from shared.ingress.admission import Admission
from shared.ingress.binding import binding_of
from shared.metrics import FunctionCount

REMEMBERED: Final = 4096
"""Bound connections that a warm function remembers; one that is forgotten is read from the table again. A binding never
changes but for its counter."""

logger = Logger()


class Router:
    """Reader of messages: it binds connections, and hands frames to the dispatch."""

    def __init__(
        self,
        connections: ConnectionsTable,
        dispatch: Dispatch,
        admission: Admission,
        rate: FrameRate,
        principals: FrameRate,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """Put the parts together.

        Args:
            connections: who they are.
            dispatch: brings frames to holders.
            admission: counts a principal's sessions.
            rate: refuses what comes too fast over one connection.
            principals: refuses what comes too fast over all connections of one principal.
            wall_clock: seconds since 1970, for the ends of tokens.
        """
        self._connections = connections
        self._dispatch = dispatch
        self._admission = admission
        self._rate = rate
        self._principals = principals
        self._wall_clock = wall_clock
        self._bound: BoundedDict[str, FrameOrigin] = BoundedDict(REMEMBERED)

    def receive(self, connection_id: str, message: str) -> Error | Pong | None:
        """Take one message of a connection; return what the client is told at once, if anything."""
        logger.append_keys(trace_id=None)  # of the message before
        try:
            self._rate.admit(connection_id)
            frame = traced(decode_client_frame(message))
        except FrameError as error:
            metrics.count(FunctionCount.REFUSED)
            logger.info("message refused", connection=connection_id, code=error.code)
            return error_frame(error.code, error.message)
        if isinstance(frame, Ping):
            return Pong(trace=frame.trace)
        logger.append_keys(trace_id=trace_id(frame.trace))
        told = self._deliver(connection_id, frame)
        return msgspec.structs.replace(told, trace=frame.trace) if told else None

    def _deliver(self, connection_id: str, frame: ClientFrame) -> Error | None:
        sender = self._bind(connection_id, frame) if isinstance(frame, Hello) else self._sender(connection_id)
        return sender if isinstance(sender, Error) else self._dispatch.deliver(sender, frame)

    def _sender(self, connection_id: str) -> FrameOrigin | Error:
        sender = self._bound.use(connection_id)
        if sender:
            return self._refusal(sender) or sender
        connection = self._connections.find(connection_id)
        if connection is None:
            return error_frame("unknown_connection")
        if refusal := self._refusal(connection):
            return refusal
        if connection.binding is None:
            return error_frame("hello_first")
        return self._remember(connection, connection.binding)

    def _bind(self, connection_id: str, hello: Hello) -> FrameOrigin | Error:
        connection = self._connections.find(connection_id)
        if connection is None:
            return error_frame("unknown_connection")
        if refusal := self._refusal(connection):
            return refusal
        try:
            binding = binding_of(connection.principal, hello, connection.binding)
        except FrameError as error:
            return error_frame(error.code)
        refused = self._route_frame(connection, binding) if connection.binding != binding else None
        return error_frame(refused) if refused else self._remember(connection, binding)

    def _route_frame(self, connection: Connection, binding: Binding) -> str | None:
        """Bind the connection; return the error code if it must not be bound."""
        refused = self._admission.add_connection(connection.principal, connection.connection_id, binding)
        if refused:
            metrics.count(FunctionCount.REFUSED)
            logger.warning("hello refused", principal=connection.principal, code=refused)
            return refused
        if not self._connections.claim_client(connection.connection_id, binding):
            return "superseded"
        if not self._connections.bind(connection.connection_id, binding):
            return "already_bound"
        logger.info("connection bound", session=binding.session_key, client=binding.client_id, counter=binding.counter)
        return None

    def _refusal(self, known: Connection | FrameOrigin) -> Error | None:
        """Return the error for a client whose token has expired, or whose principal sends too many frames."""
        if self._wall_clock() >= known.token_expires_at:
            return error_frame("expired")
        try:
            self._principals.admit(known.principal)
        except FrameError as error:
            metrics.count(FunctionCount.REFUSED)
            logger.info("message refused", principal=known.principal, code=error.code)
            return error_frame(error.code, error.message)
        return None

    def _remember(self, connection: Connection, binding: Binding) -> FrameOrigin:
        sender = FrameOrigin(connection.connection_id, connection.principal, connection.token_expires_at, binding)
        self._bound[sender.connection_id] = sender
        return sender
