"""Threads for blocking calls, which serve until the interpreter has really ended.

``ThreadPoolExecutor`` refuses work as soon as the main thread has ended, before anything that ``atexit`` calls: a
session that is released at the end of a program could not be written any more. And it keeps the program from ending
while a request to a storage that hangs is under way.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from queue import SimpleQueue
from typing import ParamSpec, TypeVar

_P = ParamSpec("_P")
_T = TypeVar("_T")


class DaemonExecutor(Executor):
    """A bounded pool of daemon threads, started as they are needed."""

    def __init__(self, max_workers: int, thread_name_prefix: str) -> None:
        """Prepare; no thread is started.

        Args:
            max_workers: Most calls under way at once.
            thread_name_prefix: For people who look at threads.
        """
        self._max_workers = max_workers
        self._prefix = thread_name_prefix
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._closed = False

    def submit(self, fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        """Call a function on one of the threads.

        Raises:
            RuntimeError: The pool was shut down.
        """
        future: Future[_T] = Future()
        with self._lock:
            if self._closed:
                raise RuntimeError("the pool of storage threads was shut down")
            self._work.put(partial(_run, future, partial(fn, *args, **kwargs)))
            if not self._idle.acquire(blocking=False) and len(self._threads) < self._max_workers:
                self._start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 - Executor's
        """End the threads once what was submitted is done. ``cancel_futures`` is ignored: it is always run."""
        with self._lock:
            if not self._closed:
                self._closed = True
                for _ in self._threads:
                    self._work.put(None)
        if wait:
            for thread in self._threads:
                thread.join()

    def _start(self) -> None:
        name = f"{self._prefix}_{len(self._threads)}"
        thread = threading.Thread(target=self._serve, name=name, daemon=True)
        with contextlib.suppress(RuntimeError) if self._threads else contextlib.nullcontext():
            thread.start()  # may be refused while the interpreter ends: those that run take the work
            self._threads.append(thread)

    def _serve(self) -> None:
        while (run := self._work.get()) is not None:
            run()
            del run  # else it keeps its future, and what that holds, until there is more to do
            self._idle.release()


def _run(future: Future[_T], call: Callable[[], _T]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = call()
    except BaseException as error:  # noqa: BLE001 - belongs to the caller, as with every executor
        future.set_exception(error)
        del future  # else the error's traceback keeps it, and it keeps the error, until there is a collection
    else:
        future.set_result(result)
