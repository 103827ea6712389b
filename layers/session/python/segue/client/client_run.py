"""The run of a client: started once, ended by ``close`` or by a failure; callers wait in it for what they need."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from websockets.exceptions import InvalidStatus

from segue.client.connections import Connections
from segue.client.conversation import Conversation
from segue.client.errors import ClientClosed, ClientError, ConnectionLost, NotReady
from segue.client.events import EventBuffer
from segue.client.settings import ClientSettings


class ClientRun:
    """Run of one client's connections, until its end."""

    def __init__(
        self, connections: Connections, conversation: Conversation, events: EventBuffer, settings: ClientSettings
    ) -> None:
        """Prepare; nothing runs yet.

        Args:
            connections: what is run.
            conversation: what they carry.
            events: ended with the client.
            settings: times.
        """
        self._connections = connections
        self._conversation = conversation
        self._events = events
        self._settings = settings
        self._task: asyncio.Task[None] | None = None
        self._closing = False
        self._failure: ClientError | None = None

    async def start(self, session: str, client_id: str) -> None:
        """Connect and wait until the session is ready.

        Raises:
            ClientError: as ``Client.start`` says.
        """
        if self._task is not None:
            raise ClientClosed("a client can be started once: use a new one")
        self._task = asyncio.create_task(self._run(), name=f"segue-client-{client_id}")
        try:
            await self.until(lambda: self._conversation.greeted, self._settings.ready_timeout)
        except TimeoutError:
            await self.close()
            waited = f"session {session!r} was not ready within {self._settings.ready_timeout:g} s"
            raise NotReady(f"{waited}{self._reason()}; try again") from self._connections.last_error
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Say good-bye and end."""
        self._closing = True
        self._connections.end()
        task = self._task
        if task is not None and not task.done():
            await asyncio.wait({task}, timeout=self._settings.close_timeout)
            task.cancel()
            await asyncio.wait({task})
        self._events.end(self._failure)

    def check(self) -> None:
        """Refuse what needs a running client.

        Raises:
            ClientError: the client has ended, or was not started.
        """
        if self._failure:
            raise self._failure
        if self._closing or self._task is None:
            raise ClientClosed("the client is not running: use it in its `async with` block")

    async def until(self, condition: Callable[[], bool], timeout: float | None) -> None:
        """Wait for a condition, which is asked again after every change.

        Raises:
            TimeoutError: it took longer than ``timeout`` seconds.
            ClientError: the client has ended, or was not started.
        """
        async with asyncio.timeout(timeout):
            while not condition():
                self.check()
                self._connections.progress.clear()
                await self._connections.progress.wait()

    def _reason(self) -> str:
        """Return the reason why no holder was ready, as far as it is known."""
        if (said := self._conversation.last_error) is not None:
            return f" ({said.code}: {said.message})"
        if isinstance(error := self._connections.last_error, InvalidStatus):
            return f" (the server answers with status {error.response.status_code})"
        return f" ({error})" if error else ""

    async def _run(self) -> None:
        """Stay connected until the client is closed or has failed."""
        try:
            await self._connections.run()
        except ClientError as failure:
            self._failure = failure
        except Exception as error:  # noqa: BLE001 - whatever it is, the user's loops must hear of it
            self._failure = ConnectionLost(f"the client broke off: {error!r}")
            self._failure.__cause__ = error
        finally:
            self._events.end(self._failure)
            self._connections.progress.set()
