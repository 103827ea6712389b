"""The session and client that a connection's `hello` names."""

from segue.ids import session_key, valid_id
from segue.wire.frames import FrameError, Hello
from shared.connections import Binding


def binding_of(principal: str, hello: Hello, before: Binding | None) -> Binding:
    """The binding that a `hello` asks for. A connection stays with its first session and client.

    Args:
        principal: whose connection it is: the session is looked for under this name only.
        hello: what it says.
        before: what the connection is bound to.

    Raises:
        FrameError: `bad_session` or `already_bound`.
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
