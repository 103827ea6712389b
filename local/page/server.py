"""The page, the sign-in and the WebSocket API behind one loopback address."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Final

from aiohttp import web

from local.deployment.issuer import SUBJECT, TOKEN_SECONDS, Issuer
from local.page.files import BUILT, Files, add_headers
from local.page.grants import Grants, SignIn
from local.page.origins import guard
from local.page.relay import Relay
from local.page.sign_in import SignInRoutes
from local.settings import LOOPBACK

SOCKET_PATH: Final = "/socket"


class PageServer:
    """Server for a browser.

    Attributes:
        port: Where it listens, once started.
        url: Address of the page, once started.
        socket_url: Address of the WebSocket API for browsers, once started.
    """

    def __init__(
        self, issuer: Issuer, upstream: Callable[[], str], *, origins: Collection[str] = (), folder: Path = BUILT
    ) -> None:
        """Get ready.

        Args:
            issuer: Signs the tokens.
            upstream: Tells the WebSocket API's address.
            origins: Other origins that are trusted, such as a development server's.
            folder: Where the page was built.
        """
        self.port = 0
        self.url = ""
        self.socket_url = ""
        self._grants = Grants()
        self._relay = Relay(upstream)
        self._app = web.Application(middlewares=[guard(origins)])
        self._app.add_routes(
            [
                *SignInRoutes(issuer, self._grants).routes(),
                *Files(SOCKET_PATH, folder).routes(),
                web.get(SOCKET_PATH, self._relay.handle),
            ]
        )
        self._app.on_response_prepare.append(add_headers)
        self._runner: web.AppRunner | None = None

    async def start(self, port: int) -> None:
        """Listen on a loopback port; 0 stands for any free one."""
        self._runner = web.AppRunner(self._app, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        await web.TCPSite(self._runner, LOOPBACK, port).start()
        self.port = self._runner.addresses[0][1]
        self.url = f"http://{LOOPBACK}:{self.port}/"
        self.socket_url = f"ws://{LOOPBACK}:{self.port}{SOCKET_PATH}"

    def link(self, subject: str = SUBJECT, seconds: int = TOKEN_SECONDS) -> str:
        """Make a link that signs in once.

        Its code stands behind the ``#``: browsers send that part to no server.

        Args:
            subject: Who signs in with it.
            seconds: How long each token of that sign-in is good.
        """
        return f"{self.url}#code={self._grants.link(SignIn(subject, seconds))}"

    async def stop(self) -> None:
        """Take nothing more, and end all connections."""
        await self._relay.close()
        if self._runner is not None:
            await self._runner.cleanup()
