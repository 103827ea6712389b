"""The subprotocols that a client offers in ``Sec-WebSocket-Protocol``: the protocol's own name, and its token.

A browser can set no other header of a WebSocket handshake. The server must choose one of what is offered, or the
browser gives the connection up; the token is never chosen, so that it is not sent back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

HEADER: Final = "Sec-WebSocket-Protocol"
PROTOCOL: Final = "segue.v1"
BEARER: Final = "bearer."


def offered(event: Mapping[str, Any]) -> list[str]:
    """The subprotocols of a ``$connect`` event. Names of headers are written as the caller wrote them."""
    lines = [
        line
        for name, values in (event.get("multiValueHeaders") or {}).items()
        if name.lower() == HEADER.lower()
        for line in values
    ]
    return [part.strip() for line in lines for part in line.split(",")]


def offered_tokens(event: Mapping[str, Any]) -> list[str]:
    """The tokens among them."""
    return [part.removeprefix(BEARER) for part in offered(event) if part.startswith(BEARER)]


def chosen(event: Mapping[str, Any]) -> dict[str, str]:
    """The headers that answer an offer."""
    return {HEADER: PROTOCOL} if PROTOCOL in offered(event) else {}
