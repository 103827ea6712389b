"""The HTTP client to other workers."""

from __future__ import annotations

from typing import Final

import aiohttp

CONNECT_SECONDS: Final = 0.25
"""A task that has vanished does not refuse, it just never answers; inside one region a connection takes a few
milliseconds."""

IDLE_SECONDS: Final = 60.0
"""A connection that was unused for so long is not used again (see ``shared.kept``)."""


def session_to_workers(answer_seconds: float) -> aiohttp.ClientSession:
    """Return a client whose connections are kept; close it.

    Args:
        answer_seconds: For one request.
    """
    timeout = aiohttp.ClientTimeout(total=answer_seconds, sock_connect=CONNECT_SECONDS)
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=IDLE_SECONDS), timeout=timeout
    )
