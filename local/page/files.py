"""The built page, with the headers that CloudFront sends in AWS."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from aiohttp import web

from local.deployment.issuer import ISSUER
from local.page.origins import own_origin
from local.page.sign_in import CLIENT_ID, DISCOVERY_PATH, SCOPES
from local.settings import ROOT

BUILT: Final = ROOT / "web" / "page" / "dist"

POLICY: Final = (
    "default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "media-src 'self' blob:; font-src 'self'; manifest-src 'self'; connect-src 'self' {socket}; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)

HEADERS: Final = {
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=(), display-capture=(), payment=(), usb=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}

NOT_BUILT: Final = "The page is not built: run `make setup`, and load this again.\n"


class Files:
    """The page's part of the server.

    Args:
        socket_path: Path of the WebSocket API on this server.
        folder: Where the page was built.
    """

    def __init__(self, socket_path: str, folder: Path = BUILT) -> None:
        self._folder = folder
        self._socket_path = socket_path

    def routes(self) -> list[web.RouteDef]:
        """The routes to add."""
        return [
            web.get("/", self.page),
            web.get("/settings.json", self.settings),
            web.get(r"/assets/{name:[\w.-]+}", self.asset),
        ]

    async def page(self, request: web.Request) -> web.StreamResponse:
        """Answer with the page."""
        index = self._folder / "index.html"
        if not index.is_file():
            return web.Response(status=503, text=NOT_BUILT)
        policy = POLICY.format(socket=self._socket(request))
        return web.FileResponse(index, headers={"Cache-Control": "no-cache", "Content-Security-Policy": policy})

    async def asset(self, request: web.Request) -> web.StreamResponse:
        """Answer with a part of the page; its name changes with its content."""
        file = self._folder / "assets" / request.match_info["name"]
        if not file.is_file():
            return web.Response(status=404, text="there is no such part of the page.\n")
        return web.FileResponse(file, headers={"Cache-Control": "public, max-age=31536000, immutable"})

    async def settings(self, request: web.Request) -> web.Response:
        """Answer with what the service stack writes in AWS."""
        facts = {
            "url": self._socket(request),
            "login": "oidc",
            "issuer": ISSUER,
            "discovery": f"{own_origin(request)}{DISCOVERY_PATH}",
            "clientId": CLIENT_ID,
            "scopes": list(SCOPES),
        }
        return web.json_response(facts, headers={"Cache-Control": "no-store"})

    def _socket(self, request: web.Request) -> str:
        return f"{own_origin(request)}{self._socket_path}".replace("http:", "ws:", 1)


async def add_headers(_: web.Request, response: web.StreamResponse) -> None:
    """Add what every answer carries; a signal of the application."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
