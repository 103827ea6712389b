"""Codes: what can be wrong with a frame, a connection or a turn, as a client is told, and why a socket is closed."""

from __future__ import annotations

from typing import Final

from segue.wire.fields import MAX_FRAME_BYTES

MESSAGES: Final[dict[str, str]] = {
    # the message
    "oversize": f"a message may have {MAX_FRAME_BYTES} bytes",
    "bad_json": "the message is not JSON text",
    "unknown_type": "no frame has this type",
    "bad_frame": "a field of the frame is missing or wrong",
    "bad_audio": "audio comes in pieces of 20 to 250 ms; only the last of an utterance may be shorter",
    "bad_image": "the parts of an image come in order, alike, and within the size that is taken",
    "approval_open": "the agent waits for an approval: answer it, then say this again",
    "approval_closed": "no such approval is open: it was answered, or its time is over",
    "bad_answer": "an answer has one response for each request of the approval",
    # the connection
    "unauthorized": "the credentials are not accepted",
    "expired": "the credentials have expired: open a new connection with new ones",
    "bad_session": "a session id has 1 to 128 of the characters A-Z a-z 0-9 . _ - and is neither . nor ..",
    "hello_first": "say hello before anything else",
    "already_bound": "this connection belongs to another session or client id: open a new one",
    "superseded": "a newer connection of this client has taken over",
    "unknown_connection": "this connection is not known here: open a new one",
    # too much
    "beyond_window": "the sequence number is too far ahead: send the missing ones first",
    "too_fast": "too many frames a second: slow down and send it again",
    "busy": "too much at once: send it again later",
    "too_many_sessions": "too many sessions are open: end one, or try again later",
    # the other end
    "no_worker": "no worker has taken the session yet: try again",
    "agent_failed": "the agent of this conversation could not be built: it is tried again",
    "model_throttled": "the model is asked too often: try again in a moment",
    "model_unavailable": "the model does not answer now: try again",
    "model_failed": "the model has failed: try again",
    "model_access": "the model may not be used",
    "content_refused": "the model refuses this content",
    "internal": "something went wrong inside: try again",
}
"""The codes that the protocol knows, with their standard texts. The set is open: a reader takes others for what
``retryable`` says."""

RETRYABLE_CODES: Final = frozenset(
    {
        "unknown_connection",
        "beyond_window",
        "too_fast",
        "busy",
        "too_many_sessions",
        "no_worker",
        "agent_failed",
        "model_throttled",
        "model_unavailable",
        "model_failed",
        "internal",
    }
)
"""Codes after which the same frame may succeed later."""

NO_HELLO: Final = 1008
"""WebSocket close code for a client that says no ``hello`` in time."""

SLOW_READER: Final = 1008
"""WebSocket close code for a client that does not read what it is sent."""

SERVICE_RESTART: Final = 1012
"""WebSocket close code of a worker that ends: come back at once, over a connection to another one."""

TRY_AGAIN_LATER: Final = 1013
"""WebSocket close code of a worker that is full or ends soon: another one may have room, so try at once, twice."""


def standard_text(code: str) -> str:
    """Return a code's text for people; a general one for an unknown code."""
    return MESSAGES.get(code, "this was not taken")


class FrameError(ValueError):
    """A frame that breaks the protocol or is not taken now; the connection stays usable.

    Attributes:
        code: one of the codes of ``MESSAGES``, or another.
        message: for people, without anything from inside the server.
    """

    def __init__(self, code: str, message: str | None = None) -> None:
        self.code = code
        self.message = message or standard_text(code)
        super().__init__(self.message)
