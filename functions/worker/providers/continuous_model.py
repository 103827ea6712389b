"""Around a model of Strands: what makes a conversation go on, whichever provider it is.

    client's rate ─▶ resample ─▶ ┌────────────────┐ ─▶ events ─▶ sentences ─▶ resample ─▶ agent
    history ──▶ fit ──▶ offers ─▶│ Strands' model │
    recorded handle ────────────▶└────────────────┘ ─▶ errors ─▶ connect again, with the next best offer

It speaks to the agent as any model does: a connection that is to be replaced raises ``ConnectionTimeoutError``, and the
agent restarts it.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, cast

from strands.bidi.models import AudioCapable, AudioConfig, AudioStreamConfig, BidiModel
from strands.bidi.types import AudioDelta, BidiContentDelta, BidiMessage
from strands.bidi.types.events import BidiBargeInEvent, BidiConnectionStartEvent, BidiOutputEvent
from strands.types.content import Messages
from strands.types.tools import ToolSpec

from shared.log import logger
from shared.provider_errors import ProviderError, ProviderRefusal, classify
from worker.providers.connection import renewal, resending
from worker.providers.connection.activity import Activity
from worker.providers.connection.event_pump import Ended
from worker.providers.connection.lost_connections import ConnectionEndings
from worker.providers.connection.model_connection import ModelConnection
from worker.providers.connection.reconnect_limits import Reconnections
from worker.providers.connection.standby_connection import Likeness
from worker.providers.counters import count
from worker.providers.settings import Settings
from worker.providers.speech.resampling import ClientProviderResampler
from worker.providers.speech.transcripts import Sentences
from worker.providers.speech.truncation import SpeechBegan, Spoken
from worker.providers.speech.unheard_answers import UnheardAnswers


class ContinuousModel(BidiModel, AudioCapable):
    """One of Strands' models, with what makes its conversation outlive its connections.

    Attributes:
        on_trouble: Called with errors that the conversation survives, to be shown to its clients.
    """

    def __init__(self, inner: BidiModel, settings: Settings, now: Callable[[], float] = time.monotonic) -> None:
        """Wrap a model that is not connected.

        Args:
            inner: Strands' model.
            settings: What it was made from.
            now: Seconds on a clock that only goes forward.
        """
        self.on_trouble: Callable[[ProviderError], None] = lambda _: None
        self._settings = settings
        self._provider = settings.provider
        self._client_rates = settings.client_input_rate, settings.client_output_rate
        config = cast("AudioCapable", inner).get_audio_config()
        self._rates = config["input"]["sample_rate"], config["output"]["sample_rate"]
        self._resampler = ClientProviderResampler(self._client_rates, self._rates)
        self._connection = ModelConnection(inner, settings.provider, now)
        self._activity = Activity(now)
        self._unheard = UnheardAnswers(now)
        self._on_connection: Callable[[], None] = lambda: None
        self._reconnections = Reconnections(now)
        self._endings = ConnectionEndings(self.provider, self._activity, self._reconnections, self._tell_trouble)
        self._next = resending.NextConnection()

    @property
    def inner(self) -> BidiModel:
        """Strands' model."""
        return self._connection.inner

    @property
    def opened_ahead(self) -> bool:
        """True if it went on with a connection that was opened in advance."""
        return self._connection.opened_ahead

    @property
    def takes_additions(self) -> bool:
        """True if more of the history can be told to a connection that is open: the provider takes it, and did so."""
        return self._provider.additions.taken_by(self.model_id) and not self._connection.additions_refused

    @property
    def provider(self) -> str:
        """The provider's name."""
        return self._provider.name

    @property
    def _likeness(self) -> Likeness:
        return self._settings, self.get_config()

    @property
    def _connection_id(self) -> str | None:
        """The id that Strands' loop names in the event of a stop."""
        return getattr(self.inner, "_connection_id", None)

    @property
    def _time_limit(self) -> float:
        """Seconds after which the agent replaces a connection, before the provider ends it; 0: never."""
        return self.get_connection_config().get("restart_after_s") or 0

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
        if (
            not self._activity.changed
            and (handle := self._connection.handles.record(self.model_id, messages)) is not None
        ):
            state["handle"] = handle
        return state

    def load_connection(self, record: Mapping[str, Any]) -> None:
        """Take over what a session recorded of its last connection, before ``start``."""
        self._connection.handles.load(record)

    def watch_connection(self, callback: Callable[[], None]) -> None:
        """Call back when ``connection_state`` has something new."""
        self._on_connection = callback

    def leave_connection(self) -> None:
        """Leave the recorded handle alone, before ``start``: the predecessor may still be connected with it.

        Gemini refuses to resume a connected session: it ends the newer connection with an internal error.
        Source: https://github.com/aicc2025/sip-to-ai/pull/14, which found it by trying; Google's documents say nothing.
        """
        self._connection.handles.discard_recorded()

    def shorten(self, unplayed: float) -> None:
        """Shorten what the last barge-in cut once more, if less was played than was taken to be.

        The corrections come with the events, in their order, within half a second.

        Args:
            unplayed: Seconds of what had come by then that no client has played.
        """
        self._unheard.shorten(unplayed)

    def forget_connection(self) -> None:
        """Forget the provider's handle: the state behind it has content that must not be used any more."""
        self._connection.handles.discard_recorded()
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
        given = (system_prompt, tools, messages or [])
        self._connected(
            await self._connection.open(self.model_id, self._likeness, given, kwargs, additions=self.takes_additions)
        )

    async def open_ahead(self, system_prompt: str | None, tools: list[ToolSpec] | None, messages: Messages) -> None:
        """Open the connection before ``start``, which goes on with it if it is given the same, or that and more.

        Args:
            system_prompt: Instructions.
            tools: What the model may ask for.
            messages: The conversation so far.

        Raises:
            Exception: As with ``start``.
        """
        given = (system_prompt, tools, messages)
        await self._connection.open_ahead(self.model_id, self._likeness, given, additions=self.takes_additions)

    def go_on_from(self, earlier: ContinuousModel) -> None:
        """Take a connection that another model has opened in advance, to use it if what is told next goes on with it.

        Args:
            earlier: A model of an earlier state of the session.
        """
        self._connection.go_on_from(earlier._connection)

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
        owed = self._next.waiting or self._activity.unanswered or resending.spoken(messages)
        told = resending.without(messages, owed)
        if self._activity.refused:  # it would be refused again
            self._activity.unanswered, owed = None, self._next.waiting
        await self._connection.connector.restart(system_prompt, tools, told, restart_kwargs)
        self._connected()
        if owed is not None and owed is not self._next.waiting:
            await self.inner.send(owed)

    async def stop(self) -> None:
        """Close the connection, unless it was given away."""
        await self._connection.close()

    async def send(self, content: BidiMessage | BidiContentDelta) -> None:
        """Send to the provider; if the connection has just been lost, to the next one.

        Raises:
            ValueError: The provider does not take such content.
            Exception: The connection is lost and no other came in time.
        """
        if isinstance(content, AudioDelta):
            if (converted := self._resampler.to_provider(content)) is None:
                return
            content = converted
        coming = self._next.coming
        try:
            await self.inner.send(content)
        except ValueError:
            raise
        except Exception as error:
            if not self._reconnections.may_reconnect(classify(error).kind):
                raise
            await self._next.send(content, coming, self._send, error)
        if isinstance(content, BidiMessage):
            self._activity.sent(content)

    async def receive(self) -> AsyncIterator[BidiOutputEvent]:
        """Yield the provider's events.

        Raises:
            ConnectionTimeoutError: The connection is to be replaced.
            Exception: The provider's error, if another connection would not help.
        """
        sentences = Sentences()
        async with self._connection.take_pump() as pump:
            while True:
                event, handle = await pump.next(timeout=renewal.QUIET_SECONDS / 3)
                self._take_handle(handle)
                for cut in await self._unheard.corrections(self.inner):
                    yield cast("BidiOutputEvent", cut)
                if event is None:
                    renewal.renew_if_due(self._time_limit, self._activity, self.provider)
                elif isinstance(event, Ended):
                    await self._endings.raise_end(event.error, self._connection.connector)
                elif isinstance(event, ProviderRefusal):
                    self._endings.survive(event)
                elif (meant := self._meaning(event)) is not None:
                    await self._unheard.truncate_answer(self.inner, meant)
                    for one in (
                        one for sentence in sentences.split_event(meant) for one in self._unheard.pass_event(sentence)
                    ):
                        for output in self._resampler.to_client(one):
                            yield output

    def _meaning(self, event: Any) -> Any | None:
        """Follow an event, and return what the agent is to make of it."""
        if isinstance(event, SpeechBegan):
            # Of a response that is being made the provider says itself that it was cut off.
            over = self._unheard.playing and not self._activity.responding
            return self._meaning(BidiBargeInEvent()) if over else None
        if not isinstance(event, Spoken):
            self._activity.saw(event)
            self._say_how(event)
        return event

    def _connected(self, since: float | None = None) -> None:
        self._activity.began(since)
        self._resampler.reset()
        self._next.opened()

    def _say_how(self, event: Any) -> None:
        if isinstance(event, BidiConnectionStartEvent):
            logger.info(
                "model connected", provider=self.provider, model=self.model_id, how=self._connection.connector.how
            )
            count(f"ModelConnectedBy{self._connection.connector.how.title()}", self.provider)
        elif self._activity.heard_of:
            self._connection.connector.taken()

    async def _send(self, content: BidiMessage | BidiContentDelta) -> None:
        await self.inner.send(content)

    def _tell_trouble(self, error: ProviderError) -> None:
        self.on_trouble(error)

    def _take_handle(self, handle: str | None) -> None:
        if self._connection.handles.note_handle(handle):
            self._activity.note_settled()
            self._on_connection()


def _pcm(rate: int) -> AudioStreamConfig:
    return AudioStreamConfig(sample_rate=rate, channels=1, format="pcm")
