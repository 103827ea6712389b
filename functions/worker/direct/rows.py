"""Rows of sockets in the connections table: clients' addresses, and the sessions that a principal has open.

    hello ─▶ counted, and the client's newest connection ─every ``renewal_seconds``▶ renewed ─▶ closed: taken away

A socket has no row of its own: it lives and dies with this process. What a killed process leaves counts until it
expires, a quarter of an hour later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from segue.storage.answers import AWS_ERRORS, reason_of
from segue.wire.claims import ClientAddress, DirectAddress
from shared.background import BackgroundTasks
from shared.connections import Binding, ConnectionsTable
from shared.ingress.admission import Admission
from shared.log import logger
from worker.direct.sockets import ClientSocket, ClientSockets
from worker.direct.times import TRANSPORT_TIMES, TransportTimes

THREADS: Final = 8
"""Requests to the table at once; others wait. The threads are its own, so that a slow table holds up nothing but
``hello``."""


class SocketRows:
    """Rows of this worker's sockets in the connections table."""

    def __init__(
        self, connections: ConnectionsTable, admission: Admission, times: TransportTimes = TRANSPORT_TIMES
    ) -> None:
        """Use a table.

        Args:
            connections: Clients' addresses.
            admission: Counts sessions.
            times: Time limits.
        """
        self._connections = connections
        self._admission = admission
        self._times = times
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="rows")
        self._removing = BackgroundTasks()

    async def write_rows(self, socket: ClientSocket, binding: Binding, address: DirectAddress) -> str | None:
        """Count a socket that is to be bound, and make it the client's newest; return the code if it must not be.

        Raises:
            BotoCoreError: The table does not answer.
            ClientError: It does not let us.
        """
        refused = await self.call(self._admission.add_connection, socket.principal, socket.connection_id, binding)
        if refused:
            return refused
        newest = await self.call(self._connections.claim_client, socket.connection_id, binding, address)
        if not newest:
            return "superseded"
        socket.renewed_at = asyncio.get_running_loop().time()
        return None

    async def clients(self, session_key: str) -> tuple[ClientAddress, ...]:
        """Return the addresses of a session's clients.

        Raises:
            BotoCoreError: The table does not answer.
            ClientError: It does not let us.
        """
        return await self.call(self._connections.clients, session_key)

    def delete_rows(self, socket: ClientSocket) -> None:
        """Take a closed socket's rows away, in the background."""
        self._removing.start(self._leave(socket), f"leave {socket.connection_id}")

    async def keep(self, sockets: ClientSockets) -> None:
        """Renew the rows of sockets, until cancelled."""
        while True:
            await asyncio.sleep(self._times.rows_look_seconds)
            due = asyncio.get_running_loop().time() - self._times.renewal_seconds
            for socket in sockets.all():
                if socket.binding is not None and socket.renewed_at <= due:
                    await self._renew(socket, socket.binding)

    async def close(self) -> None:
        """Wait for what is being taken away."""
        await self._removing.done()
        self._threads.shutdown(wait=False)

    async def call[**P, Answer](self, work: Callable[P, Answer], *args: P.args, **kwargs: P.kwargs) -> Answer:
        """Run a request on a thread of the table's own."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, lambda: work(*args, **kwargs))

    async def _renew(self, socket: ClientSocket, binding: Binding) -> None:
        socket.renewed_at = asyncio.get_running_loop().time()
        try:
            await self.call(self._admission.renew, socket.principal, socket.connection_id, binding)
            await self.call(self._connections.renew_client, socket.connection_id, binding)
        except AWS_ERRORS as error:  # the next time is in time still
            logger.warning("a socket's rows could not be renewed", reason=reason_of(error))

    async def _leave(self, socket: ClientSocket) -> None:
        try:
            if socket.binding is not None:
                await self.call(self._connections.leave_client, socket.connection_id, socket.binding)
            await self.call(self._admission.remove_connection, socket.principal, socket.connection_id)
        except AWS_ERRORS as error:  # they expire
            logger.warning("a socket's rows could not be taken away", reason=reason_of(error))
