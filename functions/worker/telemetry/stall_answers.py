"""Answers of ``GET /health`` while the event loop stands still, from a thread and on the worker's own port.

    loop     ─ turn ─ turn ──────────────── stands still ──────────────── turn ─ takes what was kept ─▶
    thread     idle     idle    0.2 s: accepts ── GET /health: answers, and says for how long
                                              └─ anything else: keeps the connection for the loop

A successor asks the address that the lease names, so no other port has to be open, and none is advertised. The loop and
this thread accept from one listening socket; the loop finds nothing there while it stands still. The request is only
peeked at before it is known to be this one: a connection that is kept for the loop comes to it unread.

A process that is stopped (SIGSTOP) has no thread that runs either, and answers nothing; so does one whose loop is held
by code that never releases the interpreter's lock.
"""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Final

LOOK_SECONDS: Final = 0.1
"""Seconds between two looks at the loop."""

ANSWERS_AFTER_SECONDS: Final = 0.2
"""Seconds without a turn after which this thread answers. A prober gives half a second; a loop that is only busy turns
sooner, and answers by itself."""

PEEK_SECONDS: Final = 0.1
"""Seconds for the first bytes of a request. A connection that says nothing by then is kept for the loop."""

REQUEST_BYTES: Final = 8 * 1024
"""Bytes of a request that are read at most; none of a prober's has as many, and a longer one is answered by its
beginning."""

_ASKED: Final = b"GET /health "


class StallAnswers:
    """Answers given from a thread while the loop stands still."""

    def __init__(
        self,
        listening: socket.socket,
        *,
        stood_still: Callable[[], float],
        health: Callable[[float], tuple[int, bytes]],
        keep: Callable[[socket.socket], None],
        look_seconds: float = LOOK_SECONDS,
        answers_after_seconds: float = ANSWERS_AFTER_SECONDS,
    ) -> None:
        """Answer nothing yet.

        Args:
            listening: The socket that the loop listens on; it stays the caller's.
            stood_still: Seconds for which the loop has not turned.
            health: Status and JSON body of the answer, for so many seconds. Called on the thread.
            keep: Takes a connection that is the loop's. Called on the thread.
            look_seconds: Between two looks at the loop.
            answers_after_seconds: Without a turn after which this thread answers.
        """
        self._listening = listening.dup()
        self._stood_still = stood_still
        self._health = health
        self._keep = keep
        self._look_seconds = look_seconds
        self._answers_after_seconds = answers_after_seconds
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="stall answers", daemon=True)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Answer while the block lasts."""
        self._thread.start()
        try:
            yield
        finally:
            self._stopped.set()
            self._thread.join()
            self._listening.close()

    def _run(self) -> None:
        while not self._stopped.wait(self._look_seconds):
            while self._stands_still() and not self._stopped.is_set():
                self._answer_next()

    def _stands_still(self) -> bool:
        return self._stood_still() >= self._answers_after_seconds

    def _answer_next(self) -> None:
        waiting = select.poll()
        waiting.register(self._listening, select.POLLIN)
        if not waiting.poll(self._look_seconds * 1000) or not self._stands_still():
            return
        try:
            accepted, _ = self._listening.accept()
        except OSError:
            return  # the loop was faster, or the client has gone
        try:
            accepted.settimeout(PEEK_SECONDS)
            if _peek(accepted) == _ASKED:
                with accepted:
                    self._answer(accepted)
            else:
                self._keep(accepted)
        except OSError:
            accepted.close()

    def _answer(self, accepted: socket.socket) -> None:
        request = b""
        while b"\r\n\r\n" not in request and len(request) < REQUEST_BYTES:
            received = accepted.recv(REQUEST_BYTES)
            if not received:
                return
            request += received
        status, body = self._health(self._stood_still())
        head = (
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-type: application/json; charset=utf-8\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        accepted.sendall(head.encode() + body)
        accepted.shutdown(socket.SHUT_WR)


def _peek(accepted: socket.socket) -> bytes:
    """Return the first bytes of a request, which stay unread; nothing if there are none in time."""
    with contextlib.suppress(TimeoutError):
        return accepted.recv(len(_ASKED), socket.MSG_PEEK)
    return b""
