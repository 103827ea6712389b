"""A worker under a debugger: ``python -m local.workers.debugger``, for ``make local WORKERS=1 DEBUG=1``.

``breakpoint()`` in a tool or in ``build_agent`` opens pdb in the terminal of ``make local``: the worker takes the
terminal, and gives it back when the program goes on. If an editor has attached (debugpy, at the port in
SEGUE_DEBUG_PORT of loopback), it stops there instead.

Nothing hurries a person who looks at a stopped program: the lease of the worker lasts an hour, the watch over the event
loop is off.
"""

from __future__ import annotations

import contextlib
import os
import pdb
import runpy
import signal
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any, Final

from local.settings import LOOPBACK

LEASE_SECONDS: Final = 3600
TERMINAL: Final = "/dev/tty"
EDITOR_SECONDS: Final = 0.2


class TerminalPdb(pdb.Pdb):
    """pdb on the controlling terminal, whatever standard input and output are, and whichever process is in front."""

    def __init__(self, terminal: int) -> None:
        """Talk on a terminal.

        Args:
            terminal: A descriptor of it, open for reading and writing.
        """
        self._terminal = terminal
        super().__init__(
            stdin=os.fdopen(os.dup(terminal), "r", encoding="utf-8"),
            stdout=os.fdopen(os.dup(terminal), "w", encoding="utf-8"),
            nosigint=True,
        )
        self.use_rawinput = False

    def interaction(self, *args: Any, **kwargs: Any) -> None:
        """Stop, with the terminal in the hand of this process until the person lets the program go on."""
        with in_foreground(self._terminal):
            super().interaction(*args, **kwargs)


@contextlib.contextmanager
def in_foreground(terminal: int) -> Iterator[None]:
    """Be the process group that may read from a terminal, and then give it back to the one before."""
    group_before = os.tcgetpgrp(terminal)
    os.tcsetpgrp(terminal, os.getpgrp())
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # that group may have ended
            os.tcsetpgrp(terminal, group_before)


def stop_here(*_: Any, **__: Any) -> None:
    """Open pdb at the line after ``breakpoint()``; without a terminal, go on."""
    caller: FrameType | None = sys._getframe(1)  # noqa: SLF001 - where breakpoint() was called
    try:
        terminal = os.open(TERMINAL, os.O_RDWR)
    except OSError:
        sys.stderr.write("breakpoint() was passed: there is no terminal, and no editor is attached\n")
        return
    TerminalPdb(terminal).set_trace(caller)


def let_attach(port: int) -> None:
    """Let an editor attach; while it is there, ``breakpoint()`` stops in it."""
    import debugpy

    debugpy.listen((LOOPBACK, port), in_process_debug_adapter=True)
    threading.Thread(target=follow_editor, name="debugpy", daemon=True).start()


def follow_editor() -> None:
    """Let ``breakpoint()`` stop in the editor, and in the terminal again once that has gone."""
    import debugpy

    while True:
        sys.breakpointhook = debugpy.breakpoint if debugpy.is_client_connected() else stop_here
        time.sleep(EDITOR_SECONDS)


def main() -> None:
    """Run the worker in this process."""
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)  # else taking the terminal from the background would stop it
    let_attach(int(os.environ["SEGUE_DEBUG_PORT"]))
    sys.breakpointhook = stop_here  # debugpy has put one of its own there
    sys.argv = ["worker"]
    runpy.run_module("worker", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
