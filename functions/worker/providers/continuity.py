"""Around a model of Strands: what makes a conversation go on, whichever provider it is.

    client's rate ─▶ resample ─▶ ┌────────────────┐ ─▶ events ─▶ sentences ─▶ resample ─▶ agent
    history ──▶ fit ──▶ offers ─▶│ Strands' model │
    recorded handle ────────────▶└────────────────┘ ─▶ errors ─▶ connect again, with the next best offer

It speaks to the agent as any model does: a connection that is to be replaced raises ``ConnectionTimeoutError``, and the
agent restarts it.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Final, cast

from strands.bidi.models import (
    AudioCapable,
    AudioConfig,
    AudioStreamConfig,
    BidiModel,
    ConnectionTimeoutError,
)
from strands.bidi.types import AudioDelta, BidiContentDelta, BidiMessage
from strands.bidi.types.events import BidiBargeInEvent, BidiConnectionStartEvent, BidiOutputEvent
from strands.types.content import Messages
from strands.types.tools import ToolSpec

from shared.background import BackgroundTasks
from shared.log import logger
from worker.providers import resending, resumption_handles
from worker.providers.activity import Activity
from worker.providers.connecting import Connector
from worker.providers.counters import count
from worker.providers.errors import AdditionRefused, Kind, ProviderError, ProviderRefusal, classify
from worker.providers.event_pump import Ended, Pump
from worker.providers.heard import AnswerCut, AnswerPlayback, SpeechBegan, Spoken
from worker.providers.opened import OpenedConnection
from worker.providers.reconnections import Reconnections
from worker.providers.resampling import Edges
from worker.providers.settings import Settings
from worker.providers.transcripts import Sentences

RENEWAL_SHARE: Final = 0.8
"""The share of a connection's time after which it is renewed in the next silence. Strands renews at the end of it."""

QUIET_SECONDS: Final = 1.5
"""Seconds without any event that count as silence: longer than a pause within a sentence."""

NEXT_SECONDS: Final = 15.0
"""Seconds for which input that a lost connection refused waits for the next connection; after them it fails."""


class StreamLost(Exception):  # noqa: N818 - what happened
    """The provider ended the stream without a word."""


class ContinuousModel(BidiModel, AudioCapable):
    """One of Strands' models, with what makes its conversation outlive its connections.

    Attributes:
        inner: Strands' model.
        on_trouble: Called with errors that the conversation survives, to be shown to its clients.
    """

    def __init__(self, inner: BidiModel, settings: Settings, now: Callable[[], float] = time.monotonic) -> None:
        """Wrap a model that is not connected.

        Args:
            inner: Strands' model.
            settings: What it was made from.
            now: Seconds on a clock that only goes forward.
        """
        self.inner = inner
        self.on_trouble: Callable[[ProviderError], None] = lambda _: None
        self._now = now
        self._settings = settings
        self._provider = settings.provider
        self._client_rates = settings.client_input_rate, settings.client_output_rate
        config = cast("AudioCapable", inner).get_audio_config()
        self._rates = config["input"]["sample_rate"], config["output"]["sample_rate"]
        self._edges = Edges(self._client_rates, self._rates)
        self._connector = Connector(inner, settings.provider)
        self._activity = Activity(now)
        self._heard = AnswerPlayback(now)
        self._shortened: deque[tuple[list[AnswerCut], float]] = deque()
        self._handles = resumption_handles.Handles(inner, settings.provider)
        self._on_connection: Callable[[], None] = lambda: None
        self._reconnections = Reconnections(now)
        self._next = asyncio.Event()
        self._waiting: BidiMessage | None = None
        self._opened: OpenedConnection | None = None
        self._pump: Pump | None = None
        self._given_away = False
        self._closing = BackgroundTasks()

    @property
    def takes_additions(self) -> bool:
        """True if more of the history can be told to a connection that is open."""
        return self._provider.additions.taken_by(self.model_id)

    @property
    def provider(self) -> str:
        """The provider's name."""
        return self._provider.name

    @property
    def _connection_id(self) -> str | None:
        """The id that Strands' loop names in the event of a stop."""
        return getattr(self.inner, "_connection_id", None)

    def get_config(self) -> Any:
        """Return the inner model's configuration."""
        return self.inner.get_config()

    def update_config(self, **model_config: Any) -> None:
        """Change the inner model's configuration."""
        self.inner.update_config(**model_config)

    def get_audio_config(self) -> AudioConfig:
        """Return the formats on the client's side."""
        heard, spoken = self._client_rates
        return AudioConfig(input=_pcm(heard), output=_pcm(spoken))

    def connection_state(self, messages: Sequence[Any]) -> dict[str, Any]:
        """Return what a successor needs to know of the connection, as the session records it.

        Args:
            messages: The agent's history as it is now.
        """
        state: dict[str, Any] = {"provider": self.provider, "provider_audio": list(self._rates)}
        if not self._activity.changed and (handle := self._handles.record(self.model_id, messages)) is not None:
            state["handle"] = handle
        return state

    def load_connection(self, record: Mapping[str, Any]) -> None:
        """Take over what a session recorded of its last connection, before ``start``."""
        self._handles.load(record)

    def watch_connection(self, callback: Callable[[], None]) -> None:
        """Call back when ``connection_state`` has something new."""
        self._on_connection = callback

    def leave_connection(self) -> None:
        """Leave the recorded handle alone, before ``start``: the predecessor may still be connected with it.

        Gemini refuses to resume a connected session: it ends the newer connection with an internal error.
        Source: https://github.com/aicc2025/sip-to-ai/pull/14, which found it by trying; Google's documents say nothing.
        """
        self._handles.forget()

    def shorten(self, unplayed: float) -> None:
        """Shorten what the last barge-in cut once more, if less was played than was taken to be.

        The corrections come with the events, in their order, within half a second.

        Args:
            unplayed: Seconds of what had come by then that no client has played.
        """
        cuts, less = self._heard.shorten(unplayed)
        if less:
            self._shortened.append((cuts, less))

    def forget_connection(self) -> None:
        """Forget the provider's handle: the state behind it has content that must not be used any more."""
        self._handles.forget()
        self._activity.changed = True

    async def start(
        self,
        system_prompt: str | None = None,
        tools: list[ToolSpec] | None = None,
        messages: Messages | None = None,
        **kwargs: Any,
    ) -> None:
        """Connect, by handle if the session recorded a usable one, else with the history.

        Args:
            system_prompt: Instructions.
            tools: What the model may ask for.
            messages: The conversation so far.
            **kwargs: For the inner model.

        Raises:
            Exception: What the provider refused last, after everything was tried.
        """
        self._connected(await self._open(system_prompt, tools, messages or [], kwargs))

    async def open_ahead(self, system_prompt: str | None, tools: list[ToolSpec] | None, messages: Messages) -> None:
        """Open the connection before ``start``, which goes on with it if it is given the same, or that and more.

        Args:
            system_prompt: Instructions.
            tools: What the model may ask for.
            messages: The conversation so far.

        Raises:
            Exception: As with ``start``.
        """
        at = await self._open(system_prompt, tools, messages, {})
        pump, self._pump = self._pump or self._new_pump(), None
        likeness = self._settings, self.get_config()
        self._opened = OpenedConnection.now(self._connector, pump, likeness, (system_prompt, tools, messages), at)

    def go_on_from(self, earlier: ContinuousModel) -> None:
        """Take a connection that another model has opened in advance, to use it if what is told next goes on with it.

        Args:
            earlier: A model of an earlier state of the session.
        """
        self._opened = earlier.give_away()

    def give_away(self) -> OpenedConnection | None:
        """Leave the connection that was opened in advance to another model, which closes it; None if there is none."""
        opened, self._opened = self._opened, None
        self._given_away = opened is not None
        return opened

    async def _open(
        self, system_prompt: str | None, tools: list[ToolSpec] | None, messages: Messages, options: dict[str, Any]
    ) -> float:
        """Go on with what was opened in advance, or connect; returns when the connection was opened."""
        if (opened := self._opened) is not None:
            given, likeness = (system_prompt, tools, messages), (self._settings, self.get_config())
            fits = await opened.go_on(likeness, given, additions=self.takes_additions)
            self._opened = None
            if fits:
                self.inner, self._connector, self._pump = opened.inner, opened.connector, opened.pump
                return opened.at
            if opened.inner is self.inner:
                await opened.close()
            else:
                self._closing.start(opened.close(), "close")
        handle = self._handles.usable(self.model_id, messages)
        await self._connector.start(system_prompt, tools, messages, options, handle)
        return self._now()

    async def restart(
        self,
        system_prompt: str | None = None,
        tools: list[ToolSpec] | None = None,
        messages: Messages | None = None,
        **restart_kwargs: Any,
    ) -> None:
        """Replace the connection. What was typed or understood, and not answered, is sent again.

        Args:
            system_prompt: Instructions.
            tools: What the model may ask for.
            messages: The conversation so far.
            **restart_kwargs: For the inner model.

        Raises:
            Exception: What the provider refused last, after everything was tried.
        """
        messages = messages or []
        owed = self._waiting or self._activity.unanswered or resending.spoken(messages)
        told = resending.without(messages, owed)
        if self._activity.refused:  # it would be refused again
            self._activity.unanswered, owed = None, self._waiting
        await self._connector.restart(system_prompt, tools, told, restart_kwargs)
        self._connected()
        if owed is not None and owed is not self._waiting:
            await self.inner.send(owed)

    async def stop(self) -> None:
        """Close the connection, unless it was given away."""
        opened, self._opened = self._opened, None
        pump, self._pump = self._pump, None
        try:
            if opened is not None:
                await opened.close()
            if not self._given_away and (opened is None or opened.inner is not self.inner):
                await self.inner.stop()
        finally:
            if pump is not None:
                await pump.end()
            await self._closing.done()

    async def send(self, content: BidiMessage | BidiContentDelta) -> None:
        """Send to the provider; if the connection has just been lost, to the next one.

        Raises:
            ValueError: The provider does not take such content.
            Exception: The connection is lost and no other came in time.
        """
        if isinstance(content, AudioDelta):
            if (converted := self._edges.to_provider(content)) is None:
                return
            content = converted
        coming = self._next
        try:
            await self.inner.send(content)
        except ValueError:
            raise
        except Exception as error:
            if not self._reconnections.may(classify(error).kind):
                raise
            await self._send_to_next(content, coming, error)
        if isinstance(content, BidiMessage):
            self._activity.sent(content)

    async def receive(self) -> AsyncIterator[BidiOutputEvent]:
        """Yield the provider's events.

        Raises:
            ConnectionTimeoutError: The connection is to be replaced.
            Exception: The provider's error, if another connection would not help.
        """
        sentences = Sentences()
        pump, self._pump = self._pump or self._new_pump(), None
        async with pump:
            while True:
                event, handle = await pump.next(timeout=QUIET_SECONDS / 3)
                self._take_handle(handle)
                for cut in await self._cut_again():
                    yield cast("BidiOutputEvent", cut)
                if event is None:
                    self._renew_if_due()
                elif isinstance(event, Ended):
                    await self._ended(event.error)
                elif isinstance(event, ProviderRefusal):
                    self._trouble(event)
                elif (meant := self._meaning(event)) is not None:
                    await self._forget_unplayed(meant)
                    for one in (one for sentence in sentences.of(meant) for one in self._heard.of(sentence)):
                        for output in self._edges.to_client(one):
                            yield output

    def _meaning(self, event: Any) -> Any | None:
        """Follow an event, and return what the agent is to make of it."""
        if isinstance(event, SpeechBegan):
            # Of a response that is being made the provider says itself that it was cut off.
            over = self._heard.unplayed > 0 and not self._activity.responding
            return self._meaning(BidiBargeInEvent()) if over else None
        if not isinstance(event, Spoken):
            self._activity.saw(event)
            self._say_how(event)
        return event

    async def _forget_unplayed(self, event: Any) -> None:
        """Tell a provider that remembers what it generated how much of that was not heard."""
        truncate = getattr(self.inner, "truncate", None)
        if truncate is not None and isinstance(event, BidiBargeInEvent):
            with contextlib.suppress(Exception):  # of a connection that is lost: its stream ends, too
                await truncate(self._heard.drop())

    async def _cut_again(self) -> list[AnswerCut]:
        """Take the corrections that wait, and tell a provider that remembers."""
        cuts: list[AnswerCut] = []
        while self._shortened:
            waiting, less = self._shortened.popleft()
            cuts += waiting
            if (truncate_more := getattr(self.inner, "truncate_more", None)) is not None:
                with contextlib.suppress(Exception):  # as above
                    await truncate_more(less)
        return cuts

    def _new_pump(self) -> Pump:
        inner = self.inner
        return Pump(inner.receive(), lambda: resumption_handles.of_model(inner))

    def _connected(self, since: float | None = None) -> None:
        self._activity.began(since)
        self._edges.forget()
        self._next.set()
        self._next = asyncio.Event()

    def _say_how(self, event: Any) -> None:
        if isinstance(event, BidiConnectionStartEvent):
            logger.info("model connected", provider=self.provider, model=self.model_id, how=self._connector.how)
            count(f"ModelConnectedBy{self._connector.how.title()}", self.provider)
        elif self._activity.heard_of:
            self._connector.taken()

    async def _ended(self, error: Exception | None) -> None:
        """Raise what the end of a connection means to the agent."""
        error = StreamLost() if error is None else error
        if isinstance(error, ConnectionTimeoutError):
            raise error
        if isinstance(error, AdditionRefused):
            self._connector.taken()  # not a half of the history: nothing is wrong with the whole
            logger.warning("the model does not take additions", kind=error.code)
            count("ModelOfferRefused", self.provider)
            raise ConnectionTimeoutError("the provider refused an addition to its history") from error
        meaning = classify(error)
        # Of a filter it has to be told whether it is about what was said on this connection, or about the history.
        said = meaning.kind is Kind.CONTENT and (self._activity.heard_of or self._activity.owed)
        if said and self._reconnections.may(meaning.kind):
            self._trouble(error)
            self._connector.taken()
            self._reconnections.begin(meaning.kind)
            raise ConnectionTimeoutError("the provider refused what was said last") from error
        count(meaning.metric, self.provider)
        if not said and not self._activity.heard_of and self._connector.next_best(error):
            raise ConnectionTimeoutError("the provider refused how to go on") from error
        if not self._reconnections.may(meaning.kind):
            raise error
        pause = self._reconnections.begin(meaning.kind)
        logger.warning("model connection lost", provider=self.provider, kind=type(error).__name__, pause=pause)
        await asyncio.sleep(pause)
        raise ConnectionTimeoutError("the connection to the model was lost") from error

    async def _send_to_next(
        self, content: BidiMessage | BidiContentDelta, coming: asyncio.Event, error: Exception
    ) -> None:
        """Wait for the connection that replaces a lost one: ``receive`` has noticed, or will in a moment."""
        self._waiting = content if isinstance(content, BidiMessage) else None
        try:
            async with asyncio.timeout(NEXT_SECONDS):
                await coming.wait()
            await self.inner.send(content)
        except TimeoutError:
            raise error from None
        finally:
            self._waiting = None

    def _renew_if_due(self) -> None:
        limit = self.get_connection_config().get("restart_after_s") or 0
        due = 0 < limit * RENEWAL_SHARE <= self._activity.age()
        if due and self._activity.quiet_for() >= QUIET_SECONDS:
            count("ModelConnectionRenewed", self.provider)
            raise ConnectionTimeoutError("renewed between turns, before the provider's limit")

    def _take_handle(self, handle: str | None) -> None:
        if self._handles.take(handle):
            self._activity.settled()
            self._on_connection()

    def _trouble(self, error: Exception) -> None:
        """Report what the conversation survives."""
        meaning = classify(error)
        code = error.code if isinstance(error, ProviderRefusal) else type(error).__name__
        logger.warning("the model failed", provider=self.provider, kind=meaning.kind.value, code=code)
        count(meaning.metric, self.provider)
        self._activity.refused |= meaning.kind is Kind.CONTENT
        self.on_trouble(meaning)


def _pcm(rate: int) -> AudioStreamConfig:
    return AudioStreamConfig(sample_rate=rate, channels=1, format="pcm")
