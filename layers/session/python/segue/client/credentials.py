"""A client's credentials, made anew for each connection, because signatures and tokens expire.

A token goes as WebSocket subprotocols, ``segue.v1, bearer.<token>``: a browser can set nothing else. The server answers
``segue.v1``.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias, TypeVar

from websockets.typing import Subprotocol

SUBPROTOCOL: Final = "segue.v1"
BEARER: Final = "bearer."

T = TypeVar("T")

_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+!#$%&'*^`|-]+")
"""Characters of a subprotocol (RFC 9110, section 5.6.2). A JWT is made of fewer."""

Supply: TypeAlias = T | Callable[[], T] | Callable[[], Awaitable[T]]
"""A value, or a function that gets it for each connection."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """The credentials that a client was constructed with.

    Attributes:
        token: a bearer token, or a function that gets one.
        headers: headers of the handshake, or a function that makes them.
    """

    token: Supply[str] | None = None
    headers: Supply[Mapping[str, str]] | None = None

    @property
    def renewable(self) -> bool:
        """Tell whether the next connection may have other credentials."""
        return callable(self.token) or callable(self.headers)

    async def fresh(self) -> tuple[Mapping[str, str] | None, Sequence[Subprotocol] | None]:
        """Headers and subprotocols for one connection.

        Raises:
            ValueError: The token has characters that no token has.
            Exception: Whatever the functions raise.
        """
        token, headers = await _supplied(self.token), await _supplied(self.headers)
        if token is None:
            return headers, None
        if not _TOKEN.fullmatch(token):
            raise ValueError("the token has characters that cannot be sent: it should be a JWT")
        return headers, [Subprotocol(SUBPROTOCOL), Subprotocol(BEARER + token)]


async def _supplied(supply: Supply[T] | None) -> T | None:
    given = supply() if callable(supply) else supply
    return await given if inspect.isawaitable(given) else given
