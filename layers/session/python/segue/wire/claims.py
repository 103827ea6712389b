"""Claims: what the gateway (or a holder on its way out) puts into the claims queue when a session needs a holder.

A claim is a hint, never a right: who writes a session is decided by the guard item alone. Two claims for one session,
or one that comes minutes late, cost a worker one read.
"""

from typing import Final, Literal

import msgspec
from msgspec import Struct

type Reason = Literal["no-holder", "handoff", "unreachable"]
"""Why: nobody has the session; its holder is on its way out; its holder's address does not answer."""


class ClientAddress(Struct, frozen=True, kw_only=True):
    """Where a client of the session can be reached.

    Attributes:
        client_id: as in its `Hello`.
        connection_id: API Gateway's id of the connection.
        counter: which of the client's connections that is; a higher one is newer.
    """

    client_id: str
    connection_id: str
    counter: int


class Claim(Struct, frozen=True, kw_only=True):
    """One session that needs a holder, and the clients that the new holder greets with `Ready`."""

    session_key: str
    session_id: str
    principal: str
    reason: Reason
    clients: tuple[ClientAddress, ...] = ()


class ClaimError(ValueError):
    """The message is not a claim. Leave it to the dead-letter queue."""


_decoder: Final = msgspec.json.Decoder(Claim)
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
