"""Requests from other websites, refused: any page in the same browser can send requests to loopback.

A name that an attacker's DNS points to 127.0.0.1 (rebinding) shows in ``Host``; a page of another website shows in
``Origin``, or in ``Sec-Fetch-Site`` where a request has no ``Origin`` (images, scripts). Programs send neither, and
show a token. Any port is taken in ``Host``: ``ssh -L`` may have given this one another number.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from yarl import URL

LOOPBACK_NAMES: Final = frozenset({"127.0.0.1", "localhost", "::1"})


def own_origin(request: web.Request) -> str | None:
    """The origin under which the caller reaches this server; None if its ``Host`` is no loopback address."""
    hosts = request.headers.getall("Host", [])
    try:
        url = URL(f"http://{hosts[0]}") if len(hosts) == 1 else URL()
    except ValueError:
        return None
    named = url.host in LOOPBACK_NAMES and url.path in {"", "/"} and not url.query_string and url.user is None
    return str(url.origin()) if named else None


def refusal(request: web.Request, allowed: Collection[str] = ()) -> str | None:
    """Say why a request is refused, or None if it may go on.

    Args:
        request: As it came.
        allowed: Origins that are trusted besides this server's own.
    """
    own_address = own_origin(request)
    if own_address is None:
        return "Host is no loopback address"
    origins = request.headers.getall("Origin", [])
    if origins:
        return None if len(origins) == 1 and origins[0] in {own_address, *allowed} else "Origin is another website"
    site = request.headers.get("Sec-Fetch-Site", "none")
    # A link on another website may open the page, as a whole; nothing of it may be loaded into another page.
    is_document = request.headers.get("Sec-Fetch-Dest", "document") == "document"  # and no frame of another page
    opens_page = is_document and request.headers.get("Sec-Fetch-Mode") == "navigate" and request.method == "GET"
    if site in {"cross-site", "same-site"} and not opens_page:
        return "Sec-Fetch-Site is another website"
    return None


def guard(allowed: Collection[str] = ()) -> Middleware:
    """Make the middleware that refuses them with 403.

    Args:
        allowed: Origins of other pages of the developer's, such as a development server's.
    """

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        if (reason := refusal(request, allowed)) is not None:
            return web.Response(status=403, text=f"refused: {reason}\n")
        return await handler(request)

    return guarded
