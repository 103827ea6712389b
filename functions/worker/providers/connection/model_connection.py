"""The connection of one of Strands' models: opened when it is started, or before that by the model or by another one.

open ─▶ go on with what was opened in advance, told what has come since
     └▶ connect: by handle, with the history, or with the next best (``Connector``)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from strands.bidi.models import BidiModel

from shared.background import BackgroundTasks
from worker.providers.connection import resumption_handles
from worker.providers.connection.connector import Connector
from worker.providers.connection.event_pump import Pump
from worker.providers.connection.standby_connection import Given, Likeness, OpenedConnection
from worker.providers.table import Provider


class ModelConnection:
    """Connection of one model, opened and closed.

    Attributes:
        inner: Strands' model; that of another model, whose connection was taken over.
        connector: Connects it.
        handles: Its resumption handles.
        opened_ahead: Whether it went on with a connection that was opened in advance.
        additions_refused: Whether a connection that was opened in advance has not taken an addition.
    """

    def __init__(self, inner: BidiModel, provider: Provider, now: Callable[[], float]) -> None:
        """Open nothing yet.

        Args:
            inner: Strands' model.
            provider: What it takes.
            now: Seconds on a clock that only goes forward.
        """
        self.inner = inner
        self.connector = Connector(inner, provider)
        self.handles = resumption_handles.Handles(inner, provider)
        self.opened_ahead = self.additions_refused = False
        self._now = now
        self._pump: Pump | None = None
        self._opened: OpenedConnection | None = None
        self._given_away = False
        self._closing = BackgroundTasks()

    async def open(
        self, model_id: str, likeness: Likeness, given: Given, options: Mapping[str, Any], *, additions: bool
    ) -> float:
        """Go on with what was opened in advance, or connect; returns when the connection was opened.

        Args:
            model_id: Which model is connected.
            likeness: Its settings and configuration.
            given: What it is started with.
            options: For the inner model.
            additions: Whether it can be told more of the history once it is open.

        Raises:
            Exception: What the provider refused last, after everything was tried.
        """
        self.opened_ahead = False
        if (opened := self._opened) is not None:
            fits = await opened.go_on(likeness, given, additions=additions)
            self._opened = None
            self.additions_refused |= opened.refused
            if fits:
                self.opened_ahead = True
                self.inner, self.connector, self._pump = opened.inner, opened.connector, opened.pump
                return opened.at
            if opened.inner is self.inner:
                await opened.close()
            else:
                self._closing.start(opened.close(), "close")
        handle = self.handles.usable(model_id, given[2])
        await self.connector.start(*given, options, handle)
        return self._now()

    async def open_ahead(self, model_id: str, likeness: Likeness, given: Given, *, additions: bool) -> None:
        """Open the connection for a later ``open``; arguments and errors as there."""
        at = await self.open(model_id, likeness, given, {}, additions=additions)
        self.opened_ahead = False
        self._opened = OpenedConnection.now(self.connector, self.take_pump(), likeness, given, at)

    def go_on_from(self, earlier: ModelConnection) -> None:
        """Take the connection that another model has opened in advance."""
        self._opened = earlier.give_away()
        self.additions_refused |= earlier.additions_refused

    def give_away(self) -> OpenedConnection | None:
        """Leave the connection that was opened in advance to another model, which closes it; None if there is none."""
        opened, self._opened = self._opened, None
        self._given_away = opened is not None
        return opened

    def take_pump(self) -> Pump:
        """Return what carries the events of the present connection, which the caller ends."""
        pump, self._pump = self._pump or self._new_pump(), None
        return pump

    async def close(self) -> None:
        """Close it, unless it was given away."""
        opened, self._opened = self._opened, None
        pump, self._pump = self._pump, None
        try:
            if opened is not None:
                await opened.close()
            if not self._given_away and (opened is None or opened.inner is not self.inner):
                await self.inner.stop()
        finally:
            if pump is not None:
                await pump.stop_reading()
            await self._closing.done()

    def _new_pump(self) -> Pump:
        inner = self.inner
        return Pump(inner.receive(), lambda: resumption_handles.of_model(inner))
