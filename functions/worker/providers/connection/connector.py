"""Connector of one of Strands' models, with the best that the provider takes."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from strands.bidi.models import BidiModel, Restartable
from strands.types.content import Messages
from strands.types.tools import ToolSpec

from shared.log import logger
from shared.provider_errors import Kind, about_tools, classify
from worker.providers.connection import history, resumption_handles
from worker.providers.connection.fallbacks import FULL, Offer, after, offers
from worker.providers.counters import count
from worker.providers.table import Provider


class Connector:
    """Maker of one model's connections.

    Attributes:
        inner: Strands' model.
        offer: What the present connection was opened with.
    """

    def __init__(self, inner: BidiModel, provider: Provider) -> None:
        """Connect nothing yet.

        Args:
            inner: Strands' model.
            provider: What it takes.
        """
        self.offer: Offer = FULL
        self.inner = inner
        self._provider = provider
        self._remaining_offers: list[Offer] = []
        self._resumed = False
        self._refused = False

    @property
    def provider(self) -> str:
        """The provider's name."""
        return self._provider.name

    @property
    def how(self) -> str:
        """The means by which the present connection continues, for log lines and metrics.

        Strands' model of Gemini restarts by the handle that it keeps itself, and then needs nothing of what is offered.
        """
        return "handle" if self._resumed else self.offer.how

    async def start(
        self,
        system_prompt: str | None,
        tools: list[ToolSpec] | None,
        messages: Messages,
        options: Mapping[str, Any],
        handle: str | None,
    ) -> None:
        """Open the first connection.

        Args:
            system_prompt: Instructions.
            tools: What the model may ask for.
            messages: The conversation so far.
            options: For the inner model.
            handle: A handle that may be used.

        Raises:
            Exception: What the provider refused last.
        """
        self._remaining_offers = offers(handle=handle, history=bool(messages), tools=bool(tools))
        await self._connect(system_prompt, tools, messages, options, restarting=False)

    async def restart(
        self,
        system_prompt: str | None,
        tools: list[ToolSpec] | None,
        messages: Messages,
        options: Mapping[str, Any],
    ) -> None:
        """Replace the connection; arguments and errors as with ``start``.

        Tools that were refused are not named again.
        """
        if not self._remaining_offers or not self._refused:
            self._begin_again(history=bool(messages), tools=bool(tools))
        await self._connect(system_prompt, tools, messages, options, restarting=True)

    async def add(self, messages: Sequence[Any], *, tools: bool) -> None:
        """Tell the model what was said since it was connected. If that is refused later, the whole history is next.

        Args:
            messages: What it has not been told.
            tools: Whether there are tools.

        Raises:
            Exception: It does not take them; what it knows now is not known.
        """
        await self.inner.add(messages)  # type: ignore[attr-defined]  # the table says which models have it
        self._begin_again(history=True, tools=tools)
        self.offer = replace(self.offer, history=True, added=True)

    def taken(self) -> None:
        """Note that the offer was taken: a later restart begins with the best again."""
        self._remaining_offers = []

    def next_best(self, error: Exception) -> bool:
        """Choose the next offer after a refusal; false if none is left.

        Args:
            error: What the provider says.
        """
        refused = classify(error).kind in {Kind.REQUEST, Kind.CONTENT} or self.offer.handle is not None
        if not refused or not self._remaining_offers:
            return False
        self._refused = True
        self._remaining_offers = after(self.offer, self._remaining_offers, about_tools=about_tools(error))
        logger.warning(
            "provider refused how to go on",
            provider=self._provider.name,
            how=self.offer.how,
            next=self._remaining_offers[0].how,
            tools=self._remaining_offers[0].tools,
            kind=type(error).__name__,
        )
        count("ModelOfferRefused", self._provider.name)
        return True

    async def _connect(
        self,
        system_prompt: str | None,
        tools: list[ToolSpec] | None,
        messages: Messages,
        options: Mapping[str, Any],
        *,
        restarting: bool,
    ) -> None:
        while True:
            self.offer, *self._remaining_offers = self._remaining_offers
            told = cast("Messages", self.history_of_offer(messages))
            given = (system_prompt, tools if self.offer.tools else None, told)
            more = dict(options)
            if self.offer.handle is not None:
                more["live_session_handle"] = self.offer.handle
            try:
                await self._open(given, more, restarting=restarting)
            except Exception as error:
                if not self.next_best(error):
                    raise
            else:
                self._refused = False
                self._resumed = restarting and resumption_handles.of_model(self.inner) is not None
                return
            restarting = False
            with contextlib.suppress(Exception):  # of a connection that was never one
                await self.inner.stop()

    def _begin_again(self, *, history: bool, tools: bool) -> None:
        best = offers(handle=None, history=history, tools=tools)
        self._remaining_offers = [offer for offer in best if offer.tools <= self.offer.tools] or best

    def history_of_offer(self, messages: Messages) -> list[Any]:
        """Return what the present offer tells of a history."""
        limits = self._provider.limits
        told, cut = history.fit(
            messages, limits if self.offer.tools else history.without_tools(limits), self.offer.share
        )
        if cut and self.offer.handle is None:
            logger.warning("history cut", provider=self._provider.name, dropped=cut.dropped, shortened=cut.shortened)
            count("ModelHistoryCut", self._provider.name)
        return told

    async def _open(self, given: tuple[Any, ...], options: dict[str, Any], *, restarting: bool) -> None:
        if restarting and isinstance(self.inner, Restartable):
            await self.inner.restart(*given, **options)
            return
        if restarting:
            await self.inner.stop()
        await self.inner.start(*given, **options)
