"""Steps of long actions, as events: the terminal draws them, a script reads them as JSON lines."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol

from rich.console import Console
from rich.markup import escape
from rich.status import Status
from rich.text import Text


@dataclass(frozen=True)
class Event:
    """One thing to tell.

    Attributes:
        state: A step that started, ended well or failed, or a note of its own.
        text: What it is, as a short phrase.
        seconds: How long the step took; None for notes and starts.
    """

    state: Literal["started", "done", "failed", "note"]
    text: str
    seconds: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the event as JSON carries it."""
        return {key: value for key, value in asdict(self).items() if value is not None}


Listener = Callable[[Event], None]


class Progress:
    """Hands events to the present listeners: the terminal that ran ``up``, and terminals that asked for a redeploy."""

    def __init__(self, *listeners: Listener) -> None:
        self._listeners = list(listeners)

    @contextlib.contextmanager
    def listening(self, listener: Listener, *, instead_of: Listener | None = None) -> Iterator[None]:
        """Hand events to one listener more for a while, or to one instead of another."""
        listeners_before = self._listeners
        self._listeners = [other for other in listeners_before if other is not instead_of] + [listener]
        try:
            yield
        finally:
            with contextlib.suppress(ValueError):
                self._listeners.remove(listener)
            if instead_of is not None and instead_of in listeners_before:
                self._listeners.insert(0, instead_of)

    @contextlib.contextmanager
    def step(self, text: str) -> Iterator[None]:
        """Report a step's start and its end with the time it took."""
        started = time.monotonic()
        self._notify(Event("started", text))
        try:
            yield
        except BaseException:
            self._notify(Event("failed", text, round(time.monotonic() - started, 3)))
            raise
        self._notify(Event("done", text, round(time.monotonic() - started, 3)))

    def note(self, text: str) -> None:
        """Report something that has no length."""
        self._notify(Event("note", text))

    def _notify(self, event: Event) -> None:
        for listener in list(self._listeners):
            try:
                listener(event)
            except (OSError, SystemExit):  # rich ends the program on a closed pipe; what is under way must go on
                with contextlib.suppress(ValueError):
                    self._listeners.remove(listener)


class Renderer(Protocol):
    """View that shows events until it is closed."""

    def __call__(self, event: Event) -> None:
        """Show one event."""

    def close(self) -> None:
        """Show nothing any more; leave the terminal as it was."""


class Elapsed:
    """A step under way and the seconds it has taken so far, drawn anew with each turn of a spinner."""

    def __init__(self, text: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._text = text
        self._clock = clock
        self._started = clock()

    def __rich__(self) -> Text:
        """Return the line as it is now."""
        return Text(f"{self._text} … {self._clock() - self._started:.0f} s")


class TerminalRenderer:
    """A line for each finished step; on a terminal also a spinner for the one under way, with its seconds."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._under_way: list[str] = []
        self._elapsed: dict[str, Elapsed] = {}
        self._status: Status | None = None

    def __call__(self, event: Event) -> None:
        """Show one event."""
        if event.state == "started":
            self._under_way.append(event.text)
            self._elapsed[event.text] = Elapsed(event.text)
        elif event.state != "note" and event.text in self._under_way:
            self._under_way.remove(event.text)
        self._print(event)
        self._spin()

    def close(self) -> None:
        """Stop the spinner; a terminal that is gone is no matter."""
        self._under_way.clear()
        with contextlib.suppress(OSError, SystemExit):
            self._spin()

    def _print(self, event: Event) -> None:
        text = escape(event.text)
        if event.state == "done":
            self._console.print(f"[green]✓[/] {text} [dim]{event.seconds or 0:.1f} s[/]", highlight=False)
        elif event.state == "failed":
            self._console.print(f"[red]✗[/] {text} [dim]{event.seconds or 0:.1f} s[/]", highlight=False)
        elif event.state == "note":
            self._console.print(f"[dim]·[/] {text}", highlight=False)

    def _spin(self) -> None:
        if not self._console.is_terminal:
            return
        if not self._under_way:
            if self._status is not None:
                self._status.stop()
                self._status = None
            return
        text = self._elapsed[self._under_way[-1]]
        if self._status is None:
            self._status = self._console.status(text)
            self._status.start()
        else:
            self._status.update(text)


def renderer(*, as_json: bool) -> Renderer:
    """Return what shows progress: lines and a spinner on standard error, or JSON lines on standard output."""
    return JsonRenderer() if as_json else TerminalRenderer(Console(stderr=True))


class JsonRenderer:
    """One JSON object a line on standard output."""

    def __call__(self, event: Event) -> None:
        """Show one event."""
        print(json.dumps(event.as_dict()), flush=True)  # noqa: T201 - this is its output

    def close(self) -> None:
        """Do nothing: nothing is left open."""
