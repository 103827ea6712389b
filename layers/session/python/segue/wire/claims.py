"""Claims: how a session that needs a holder is offered to the workers, by the gateway or a holder on its way out.

A claim is a hint, never a right: the guard item alone decides which worker writes a session. Two claims for one
session, or one that comes minutes late, cost a worker one read.

Claims go straight to the worker that fits best, and into the claims queue if that fails:

POST <endpoint>/claims                       endpoint and claims_token as in the worker's registry item
x-segue-claims-token: <claims_token>
{"session_key": …, "session_id": …, "principal": …, "reason": …, "clients": […]}

202  taken: this worker opens it now, or puts it into the queue should it fail
200  {"head": 41, "additions": true}: prepared, if the claim says ``prepare``; 41 records were read
409  draining, no room, or it cannot be prepared: ask another         403  the token is not this worker's
"""

from __future__ import annotations

from typing import Any, Final, Literal, TypeAlias

import msgspec
from msgspec import Struct

Reason: TypeAlias = Literal["no-holder", "handoff", "unreachable"]
"""Reason of a claim: the session has no holder; its holder drains; its holder's address does not answer."""


CLAIMS_PATH: Final = "/claims"
CLAIMS_TOKEN_HEADER: Final = "x-segue-claims-token"  # noqa: S105 - the name of the header, not a token
MAX_CLAIM_BYTES: Final = 64 * 1024
"""Bytes of the largest body, a few hundred clients of one session; a larger one is refused."""


class DirectAddress(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The address of a client's socket at a worker. Output to it needs all three, and the session key of the socket.

    Attributes:
        endpoint: http address of the worker that owns the socket, as other workers reach it.
        socket: the socket's id at that worker.
        secret: random, of that socket alone. Never logged: ``repr`` and ``str`` leave it out.
        binary: whether its client reads audio in binary messages, as its ``Hello`` said.
    """

    endpoint: str
    socket: str
    secret: str
    binary: bool = False

    def __repr__(self) -> str:
        """All but the secret, which would otherwise come into logs and tracebacks."""
        return f"DirectAddress(endpoint={self.endpoint!r}, socket={self.socket!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Leave the secret out for rich, too, whose tracebacks show local variables."""
        return [("endpoint", self.endpoint), ("socket", self.socket)]


class ClientAddress(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The address of a client of the session.

    Attributes:
        client_id: as in its ``Hello``.
        connection_id: API Gateway's id of the connection; of a direct socket one of its own, ``direct-…``.
        counter: number of the client's connection; a higher one is newer.
        history: whether its ``Hello`` asked for history.
        direct: where its socket is, if it has one at a worker.
    """

    client_id: str
    connection_id: str
    counter: int
    history: bool = False
    direct: DirectAddress | None = None


class Claim(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One session that needs a holder, and the clients that the new holder greets with ``Ready``.

    Attributes:
        session_key: ``<principal>/<session_id>``.
        session_id: as in the client's ``Hello``.
        principal: whose session it is.
        reason: why it needs one.
        clients: whom to greet.
        from_worker: the holder that passes it on, if one does.
        prepare: make a standby, but do not acquire yet: ``from_worker`` still holds it, and tells when it has released.
        paused_ms: the pause so far when ``from_worker`` released the session, in milliseconds on its clock.
    """

    session_key: str
    session_id: str
    principal: str
    reason: Reason
    clients: tuple[ClientAddress, ...] = ()
    from_worker: str | None = None
    prepare: bool = False
    paused_ms: float = 0.0


class Prepared(Struct, frozen=True, kw_only=True):
    """The answer to a claim that says ``prepare``.

    Attributes:
        head: records that were read; if the session has more by now, it is worth preparing again.
        additions: whether the model that was connected takes what is said from then on. Otherwise preparing again
            connects another, and so does taking a session that has more records.
    """

    head: int
    additions: bool = False


class ClaimError(ValueError):
    """Raised when a message is not a claim. Leave it to the dead-letter queue."""


_decoder: Final = msgspec.json.Decoder(Claim)
_prepared_decoder: Final = msgspec.json.Decoder(Prepared)
_encoder: Final = msgspec.json.Encoder()


def encode_claim(claim: Claim) -> str:
    """Return the queue message for a claim."""
    return _encoder.encode(claim).decode()


def decode_claim(body: bytes | str) -> Claim:
    """Read a queue message.

    Raises:
        ClaimError: it is not a claim.
    """
    try:
        return _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise ClaimError(str(error)) from error


def encode_prepared(prepared: Prepared) -> bytes:
    """Return the body of the answer."""
    return _encoder.encode(prepared)


def decode_prepared(body: bytes) -> Prepared:
    """Read the answer.

    Raises:
        ClaimError: it is none.
    """
    try:
        return _prepared_decoder.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise ClaimError(str(error)) from error
