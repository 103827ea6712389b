"""What becomes of a message: the answer that goes straight back to the client, if any."""

from collections import OrderedDict
from typing import Final

from aws_lambda_powertools import Logger

from gateway.connections import Binding, Connections
from gateway.dispatch import Dispatch, Sender
from segue.item import session_key
from segue.wire.frames import Error, FrameError, Hello, Ping, Pong, decode_client_frame, error_frame

REMEMBERED: Final = 4096
"""Bound connections that a warm function remembers; a binding never changes but for its counter."""

logger = Logger()


class Router:
    """Reads messages, binds connections, hands frames to the dispatch."""

    def __init__(self, connections: Connections, dispatch: Dispatch) -> None:
        """Put the parts together."""
        self._connections = connections
        self._dispatch = dispatch
        self._bound: OrderedDict[str, Sender] = OrderedDict()

    def receive(self, connection_id: str, message: str) -> Error | Pong | None:
        """Take one message of a connection; return what the client is told at once, if anything."""
        try:
            frame = decode_client_frame(message)
        except FrameError as error:
            logger.info("message refused", connection=connection_id, code=error.code)
            return error_frame(error.code, error.message)
        if isinstance(frame, Ping):
            return Pong()
        sender = self._bind(connection_id, frame) if isinstance(frame, Hello) else self._sender(connection_id)
        return sender if isinstance(sender, Error) else self._dispatch.deliver(sender, frame)

    def _sender(self, connection_id: str) -> Sender | Error:
        sender = self._bound.get(connection_id)
        if sender:
            self._bound.move_to_end(connection_id)
            return sender
        connection = self._connections.find(connection_id)
        if connection is None:
            return error_frame("unknown_connection")
        if connection.binding is None:
            return error_frame("hello_first")
        return self._remember(Sender(connection_id, connection.principal, connection.binding))

    def _bind(self, connection_id: str, hello: Hello) -> Sender | Error:
        connection = self._connections.find(connection_id)
        if connection is None:
            return error_frame("unknown_connection")
        try:
            key = session_key(connection.principal, hello.session)
        except ValueError:
            return error_frame("bad_session")
        binding = Binding(key, hello.session, hello.client_id, hello.connection, hello.modality)
        before = connection.binding
        if before and (before.session_key, before.client_id) != (key, hello.client_id):
            return error_frame("already_bound")
        if before != binding:
            if not self._connections.claim_client(connection_id, binding):
                return error_frame("superseded")
            if not self._connections.bind(connection_id, binding):
                return error_frame("already_bound")
            logger.info("connection bound", session=key, client=hello.client_id, counter=hello.connection)
        return self._remember(Sender(connection_id, connection.principal, binding))

    def _remember(self, sender: Sender) -> Sender:
        self._bound[sender.connection_id] = sender
        self._bound.move_to_end(sender.connection_id)
        if len(self._bound) > REMEMBERED:
            self._bound.popitem(last=False)
        return sender
