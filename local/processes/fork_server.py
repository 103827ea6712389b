"""A process that has imported libraries once, and forks programs that need them: they start in a fifth of the time.

    python -m local.processes.fork_server MODULE…    the modules to import; one that is not installed is left out

    standard input     {"module": …, "environment": {…}, "log": …}, a line a program: ``python -m module``
    standard output    {"pid": …} in answer, once it has a process group of its own; {"pid": …, "code": …} at its end

It ends with its standard input; the programs go on. Only this module and the standard library is imported besides: a
program's own code is read when the program starts.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import sys
from collections.abc import Iterator, Mapping
from io import TextIOWrapper
from typing import Any, cast

READ_BYTES = 1 << 16

STDIN, STDOUT, STDERR = 0, 1, 2

Job = Mapping[str, Any]


def report(**fact: int) -> None:
    """Write a line to the process that asks."""
    os.write(STDOUT, json.dumps(fact).encode() + b"\n")


def reap() -> None:
    """Tell of the programs that have ended."""
    with contextlib.suppress(ChildProcessError):  # there are none
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            report(pid=pid, code=os.waitstatus_to_exitcode(status))


def jobs() -> Iterator[Job]:
    """Yield what is asked for, until standard input ends; tell of each end meanwhile."""
    wakeup_reader, wakeup_writer = os.pipe()
    for end in (wakeup_reader, wakeup_writer):
        os.set_blocking(end, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wakeup_writer, warn_on_full_buffer=False)
    with selectors.DefaultSelector() as selector:
        try:
            for source in (STDIN, wakeup_reader):
                selector.register(source, selectors.EVENT_READ)
            buffer = b""
            while True:
                for key, _ in selector.select():
                    chunk = os.read(key.fd, READ_BYTES)
                    if key.fd == wakeup_reader:
                        reap()
                    elif not chunk:
                        return
                    else:
                        *lines, buffer = (buffer + chunk).split(b"\n")
                        yield from map(json.loads, lines)
        finally:  # in a program, too
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.close(wakeup_reader)
            os.close(wakeup_writer)


def fork() -> bool:
    """Fork; return true in the child, which has a session and a process group of its own."""
    ready_reader, ready_writer = os.pipe()
    if (pid := os.fork()) == 0:
        os.close(ready_reader)
        os.setsid()
        os.close(ready_writer)
        return True
    os.close(ready_writer)
    os.read(ready_reader, 1)  # until then a signal to the group would reach nothing
    os.close(ready_reader)
    report(pid=pid)
    return False


def become(job: Job) -> None:
    """Take over a job's environment and output."""
    os.environ.clear()
    os.environ.update(job["environment"])
    null_input = os.open(os.devnull, os.O_RDONLY)
    output = os.open(job["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    os.dup2(null_input, STDIN)
    os.close(null_input)
    for stream in (STDOUT, STDERR):
        os.dup2(output, stream)
    os.close(output)
    for text in (sys.stdout, sys.stderr):
        cast("TextIOWrapper", text).reconfigure(line_buffering=True, write_through=True)
    sys.argv = [job["module"]]


def main(modules: list[str]) -> Job | None:
    """Serve. Returns in each program with its job, and None in the server at its end."""
    for module in modules:
        with contextlib.suppress(ImportError):
            importlib.import_module(module)
    gc.collect()
    gc.freeze()  # so that no program copies pages of memory only to look for garbage
    requests = jobs()
    for job in requests:
        if fork():
            requests.close()  # type: ignore[attr-defined]  # a generator
            become(job)
            return job
    return None


if __name__ == "__main__" and (program := main(sys.argv[1:])) is not None:
    # Here, and not in a function of the server's: the program ends as any other does.
    runpy.run_module(program["module"], run_name="__main__", alter_sys=True)
