"""The commands ``up`` and ``down``: run the stack in this process until a signal or another terminal ends it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

import click

from local.developing.watch import watching
from local.errors import AlreadyRunningError, LocalError
from local.progress import Event, Progress, Renderer, renderer
from local.settings import ROOT, Settings
from local.stack import run_file
from local.stack.control import Client
from local.stack.stack import Stack
from local.terminal.report import print_facts, print_link
from local.timeouts import patient

if TYPE_CHECKING:
    from local.terminal.chat import Conversation
    from local.terminal.lines import Lines

PARENT_POLL_SECONDS = 0.5
DOWN_SECONDS = 60.0
DETACHED_START_SECONDS = 300.0
NO_PARENT = "SEGUE_LOCAL_DETACHED"
"""Set for a supervisor that is meant to outlive the command that started it."""


async def serve(settings: Settings, *, session: str | None, as_json: bool, watch: bool = False) -> int:
    """Run the stack until Ctrl-C, SIGTERM, ``down``, the end of the conversation, or the end of the parent process.

    Args:
        settings: What to run.
        session: Session to open a conversation in; None for none.
        as_json: Print events and facts as JSON lines.
        watch: Deploy again whenever sources are saved.

    Returns:
        The exit code: 0 after a stop that was asked for, 128 + signal number if it came before everything was up.

    Raises:
        LocalError: Something could not be started, or the emulator ended.
    """
    show = renderer(as_json=as_json)
    progress = Progress(show)
    if settings.debug:  # a debugger takes the terminal for a while; reading then must not stop this process
        signal.signal(signal.SIGTTIN, signal.SIG_IGN)
    stack = Stack(settings, progress)
    interruption = Interruption(stack.hurry)
    is_up = False
    try:
        with interruption:
            async with stack:
                is_up = True
                await announce(stack, as_json=as_json, hint=session is None)
                async with watching(stack, enabled=watch):
                    if session is None or not await _talk(stack, show, session, as_json=as_json):
                        await stack.stopping.wait()
                if stack.failure is not None:
                    raise stack.failure
    except asyncio.CancelledError:
        if interruption.number is None:
            raise
        return 0 if is_up else 128 + interruption.number
    finally:
        show.close()
    return 0


async def announce(stack: Stack, *, as_json: bool, hint: bool) -> None:
    """Say where things are."""
    facts = await stack.facts()
    link = stack.link()
    if as_json:
        click.echo(json.dumps({"state": "ready", **facts, "link": link}))
        return
    print_facts(facts)
    print_link(link)
    click.echo(
        "\nCtrl-C stops everything; from another terminal: "
        ".venv/bin/python -m local chat | redeploy | kill | link | status"
        if hint
        else ""
    )


async def _talk(stack: Stack, show: Renderer, session: str, *, as_json: bool) -> bool:
    """Hold conversations until one ends well; return whether that is the end of everything.

    One that fails is no reason to stop what was built: the reason is said, and the next line is said in another one.
    """
    from local.terminal.chat import Conversation
    from local.terminal.lines import Lines

    lines = Lines(sys.stdin.fileno())
    while True:
        conversation = Conversation(stack.websocket_url, session, stack.issuer.token, json_lines=as_json, lines=lines)
        try:
            await _converse(stack, show, conversation)
        except LocalError as error:
            show(Event("note", f"{error} The stack stays up; logs: {stack.settings.logs}"))
            if not conversation.interactive and conversation.lines_read == 0:
                show(Event("note", "no conversation can be opened; Ctrl-C stops everything"))
                return False
            if conversation.interactive:
                show(Event("note", "Enter tries again, Ctrl-D ends everything"))
                if not await _one_line(stack, lines):
                    return True
            continue
        if conversation.lines_read == 0 and not conversation.interactive:
            show(Event("note", "there is no input to talk with; Ctrl-C stops everything"))
            return False
        return True


async def _converse(stack: Stack, show: Renderer, conversation: Conversation) -> None:
    """Hold one conversation, until its end or the stack's.

    Raises:
        LocalError: It failed.
    """
    show.close()  # no spinner beside a prompt

    def note_event(event: Event) -> None:
        if event.state in {"note", "failed"}:
            conversation.note(event.text)

    with stack.progress.listening(note_event, instead_of=show):
        await _until_stopping(stack, conversation.run())


async def _one_line(stack: Stack, lines: Lines) -> bool:
    """Wait for a line; false at the input's end, or when the stack stops."""
    try:
        return await _until_stopping(stack, anext(lines)) is not None
    except StopAsyncIteration:
        return False


async def _until_stopping[Result](stack: Stack, work: Awaitable[Result]) -> Result | None:
    """Do something until it is done, or until the stack is to stop."""
    working_task = asyncio.ensure_future(work)
    stopping = asyncio.create_task(stack.stopping.wait())
    try:
        await asyncio.wait({working_task, stopping}, return_when=asyncio.FIRST_COMPLETED)
        return working_task.result() if working_task.done() else None
    finally:
        for task in (working_task, stopping):
            task.cancel()
        await asyncio.gather(working_task, stopping, return_exceptions=True)


class Interruption:
    """Turns signals and the end of the parent process into the cancellation of the task that created it.

    A second signal hurries, a third ends the process at once (the guard then ends what is left).

    Attributes:
        number: The first signal; None if there was none.
    """

    def __init__(self, hurry: Callable[[], None]) -> None:
        self.number: int | None = None
        self._hurry = hurry
        self._count = 0
        self._task: asyncio.Task[object] | None = None
        self._parent: asyncio.Task[None] | None = None

    def __enter__(self) -> None:
        """Listen from now on."""
        self._task = asyncio.current_task()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._interrupt, number)
        if NO_PARENT not in os.environ:
            self._parent = asyncio.create_task(self._watch_parent(os.getppid()))

    def __exit__(self, *_: object) -> None:
        """Restore the earlier signal handlers."""
        if self._parent is not None:
            self._parent.cancel()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.remove_signal_handler(number)

    def _interrupt(self, number: int) -> None:
        self._count += 1
        if self._count == 1 and self._task is not None:
            self.number = number
            self._task.cancel()
        elif self._count == 2:
            self._hurry()
        else:
            os._exit(128 + number)

    async def _watch_parent(self, parent: int) -> None:
        while os.getppid() == parent:  # noqa: ASYNC110 - the system has no event for it
            await asyncio.sleep(PARENT_POLL_SECONDS)
        self._interrupt(signal.SIGHUP)


def detach(settings: Settings, variables: Sequence[str], *, as_json: bool) -> None:
    """Start a supervisor of its own session and return when it is up.

    Args:
        settings: What to run. Of the workers' variables it reads a provider's from the environment, with the keys.
        variables: Their others, each as ``NAME=VALUE``.
        as_json: Print the facts as JSON.

    Raises:
        LocalError: It did not come up.
    """
    log = settings.logs / "up.log"
    settings.make_home()
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [
        sys.executable, "-m", "local", "--home", settings.home, *(["--forked"] if settings.forked else []),
        "up", "--port", settings.port,
        "--workers", settings.workers, "--stop-timeout", settings.stop_timeout, "--page-port", settings.page_port,
        "--transport", settings.transport,
        *(part for origin in settings.origins for part in ("--origin", origin)),
        *(part for variable in variables for part in ("--variable", variable)),
    ]  # fmt: skip
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - this very program
            list(map(str, command)),
            stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            cwd=ROOT, env={**os.environ, NO_PARENT: "1"}, start_new_session=True,
        )  # fmt: skip
    try:
        facts = asyncio.run(_until_up(settings, process))
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        process.wait()
        raise
    if as_json:
        click.echo(json.dumps(facts, indent=2))
    else:
        print_facts(facts)
        print_link(str(facts["link"]))


async def _until_up(settings: Settings, process: subprocess.Popen[bytes]) -> dict[str, object]:
    deadline = time.monotonic() + patient(DETACHED_START_SECONDS)
    while time.monotonic() < deadline and process.poll() is None:
        running = run_file.read(settings)
        if running is not None and running.pid == process.pid:
            client = Client(running)
            return {**await client.status(), "link": await client.link()}
        await asyncio.sleep(0.2)
    text = (settings.logs / "up.log").read_text(encoding="utf-8", errors="replace")
    error = text.rpartition("error: ")[2].strip() or "it did not come up"
    raise _error_of(process.returncode, error)


def _error_of(code: int | None, text: str) -> LocalError:
    return AlreadyRunningError(text) if code == AlreadyRunningError.exit_code else LocalError(text)


async def stop_other(settings: Settings) -> None:
    """Ask the running supervisor to stop and wait until it is gone.

    Raises:
        NotRunningError: Nothing is running.
        LocalError: It is still there after a minute (on a slow or busy machine several).
    """
    running = run_file.require(settings)
    await Client(running).down()
    limit = patient(DOWN_SECONDS)
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        if run_file.lock_owner(settings) != running.pid:
            return
        await asyncio.sleep(0.1)
    msg = f"process {running.pid} has not stopped within {limit:.0f} s; its logs: {settings.logs}"
    raise LocalError(msg)
