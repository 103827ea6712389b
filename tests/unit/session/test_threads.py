"""The pool of storage threads: bounded, and of use until the interpreter has ended."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator

import pytest

from segue.session.threads import DaemonExecutor


@pytest.fixture
def pool() -> Iterator[DaemonExecutor]:
    executor = DaemonExecutor(2, "test-pool")
    yield executor
    executor.shutdown()


def test_calls_return_and_raise_through_their_futures(pool: DaemonExecutor) -> None:
    def fails() -> None:
        raise KeyError("x")

    assert pool.submit(divmod, 7, 2).result(5) == (3, 1)
    with pytest.raises(KeyError):
        pool.submit(fails).result(5)


def test_executor_starts_no_more_threads_than_its_limit(pool: DaemonExecutor) -> None:
    go, names = threading.Event(), []

    def call() -> None:
        names.append(threading.current_thread().name)
        assert go.wait(10)

    futures = [pool.submit(call) for _ in range(5)]
    go.set()
    for future in futures:
        future.result(10)

    assert set(names) <= {"test-pool_0", "test-pool_1"}


def test_executor_shutdown_finishes_submitted_work_and_refuses_more() -> None:
    executor, done = DaemonExecutor(1, "test-pool"), list[int]()
    for number in range(20):
        executor.submit(done.append, number)

    executor.shutdown()

    assert done == list(range(20))
    with pytest.raises(RuntimeError):
        executor.submit(print)


def test_an_error_is_freed_without_a_collection(pool: DaemonExecutor) -> None:
    class Told(Exception):  # noqa: N818 - a name for a test
        pass

    def fails() -> None:
        raise Told

    gc.disable()
    try:
        future = pool.submit(fails)
        error = weakref.ref(future.exception(5) or Told())
        pool.submit(int).result(5)  # the thread has let go of the first call
        del future
        assert error() is None
    finally:
        gc.enable()


@pytest.mark.slow
def test_calls_are_served_in_atexit_and_one_that_hangs_keeps_no_program_from_ending() -> None:
    program = """if True:
        import atexit, threading
        from segue.session.threads import DaemonExecutor
        pool = DaemonExecutor(2, "test-pool")
        pool.submit(threading.Event().wait)
        pool.submit(int).result()
        atexit.register(lambda: print(pool.submit(divmod, 7, 2).result(5)))
    """
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert ended.stdout == "(3, 1)\n"
