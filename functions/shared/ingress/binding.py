"""The session and client that a connection's ``hello`` names, and what is delivered in their name."""

from __future__ import annotations

from segue.ids import session_key, valid_id
from segue.wire.claims import DirectAddress
from segue.wire.delivery import Delivery
from segue.wire.frames import ClientFrame, FrameError, Hello
from shared.connections import Binding


def binding_of(principal: str, hello: Hello, before: Binding | None) -> Binding:
    """The binding that a ``hello`` asks for. A connection stays with its first session and client.

    Args:
        principal: whose connection it is: the session is looked for under this name only.
        hello: what it says.
        before: what the connection is bound to.

    Raises:
        FrameError: ``bad_session`` or ``already_bound``.
    """
    try:
        key = session_key(principal, valid_id(hello.session, "session id"))
    except ValueError:
        raise FrameError("bad_session") from None
    if before and (before.session_key, before.client_id) != (key, hello.client_id):
        raise FrameError("already_bound")
    return Binding(
        key,
        hello.session,
        hello.client_id,
        hello.connection,
        hello.modality,
        approvals=hello.approvals,
        history=hello.history,
    )


def delivery_of(
    connection_id: str, binding: Binding, frame: ClientFrame, direct: DirectAddress | None = None
) -> Delivery:
    """The delivery of a frame.

    Args:
        connection_id: of the connection that it came over.
        binding: what that is bound to.
        frame: the frame.
        direct: the address of the socket, for a connection at a worker.
    """
    return Delivery(
        session_key=binding.session_key,
        connection_id=connection_id,
        client_id=binding.client_id,
        counter=binding.counter,
        approvals=binding.approvals,
        history=binding.history,
        frame=frame,
        direct=direct,
    )
