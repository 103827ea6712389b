"""Probe of a lease's holder: a process that is certainly dead is taken over before its lease expires.

    connection refused                          the host is there and the process is not          dead
    another worker's identity answers           another process has the address now               dead
    two connection attempts of 250 ms time out  the host is gone (a vanished address refuses nothing)   dead
    anything else                               it may live: the lease decides                    not certain

Wrong evidence would cost a call its holder and nothing else: conditional writes decide who may write.
"""

from __future__ import annotations

import errno
import json

import aiohttp

from segue.lease.item import GuardItem

CONNECT_TIMEOUT_SECONDS = 0.25
"""Inside one region a connection takes a few milliseconds; a lost SYN alone is sent again after a second."""

CONNECT_ATTEMPTS = 2
"""Attempts before an unanswered address counts as gone: one may meet a hiccup of the network."""

ANSWER_TIMEOUT_SECONDS = 1.0
"""A stopped process still accepts connections and never answers: that is the lease's case, waiting longer is idle."""

_TIMEOUT = aiohttp.ClientTimeout(sock_connect=CONNECT_TIMEOUT_SECONDS, sock_read=ANSWER_TIMEOUT_SECONDS)


async def holder_is_dead(item: GuardItem) -> bool:
    """Decide whether the holder of ``item`` is certainly dead.

    Args:
        item: A guard item that is held.

    Returns:
        True only on evidence; False when the holder lives, hangs, or cannot be judged.
    """
    if item.endpoint is None:
        return False
    for _ in range(CONNECT_ATTEMPTS):
        try:
            identity = await _identity(item.endpoint)
        except aiohttp.ConnectionTimeoutError:
            continue
        except aiohttp.ClientConnectorError as error:
            return error.os_error.errno == errno.ECONNREFUSED
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return False
        return identity is not None and identity != item.holder
    return True


async def _identity(endpoint: str) -> str | None:
    """Return the identity of the worker that answers at ``endpoint``, None if it does not say."""
    # A connection of its own for every look: a pooled one would say nothing about who listens there now.
    async with aiohttp.ClientSession(timeout=_TIMEOUT) as http, http.get(f"{endpoint}/health") as answer:
        health = json.loads(await answer.text())
    identity = health.get("worker_id") if isinstance(health, dict) else None
    return identity if isinstance(identity, str) else None
