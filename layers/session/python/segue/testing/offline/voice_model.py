"""A ``BidiModel`` that works offline, for development and tests. See ``segue.testing.offline``."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

from strands.bidi.models import AudioCapable, AudioConfig, AudioStreamConfig, BidiModel, ConnectionConfig, ModelConfig
from strands.bidi.types import AudioDelta, BidiContentDelta, BidiMessage
from strands.bidi.types.events import BidiConnectionStartEvent, BidiOutputEvent
from strands.types.content import Messages, TextBlock
from strands.types.tools import ToolResultBlock, ToolSpec

from segue.testing.offline import history
from segue.testing.offline.answers import KnownConversation
from segue.testing.offline.connection import OfflineConnection
from segue.testing.offline.ledger import HeardInput, Ledger
from segue.testing.offline.response import Voice
from segue.testing.offline.tones import Ear


class OfflineVoiceModel(BidiModel, AudioCapable):
    """Model that behaves as a provider of speech does, and answers from a table.

    It speaks and hears in tones (``segue.testing.offline.tones``). Typed text and speech are answered by speech with a
    transcript. New text or speech of the user interrupts it. It asks for tools, checks and uses the history that it is
    given, and forgets everything else when a connection ends. For development and tests.
    """

    def __init__(  # noqa: PLR0913 - options, most of them seldom given
        self,
        *,
        model_id: str = "offline",
        connection: ConnectionConfig | None = None,
        limit_s: float | None = None,
        pace: float | None = None,
        input_rate: int = 16000,
        output_rate: int = 16000,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        log: str | Path | None = None,
        start_s: float | None = None,
        additions: bool = True,
    ) -> None:
        """Make a model that is not connected.

        Args:
            model_id: What to call it.
            connection: Restart timing for the agent, as with any other model of Strands.
            limit_s: Seconds after which a connection is dropped, None for never.
            pace: Seconds taken to speak a second of audio: 1.0 is real time, 0 as fast as it is read. None takes
                SEGUE_REHEARSAL_PACE, or else 1.0.
            input_rate: Samples a second of the audio that is sent to it, a multiple of 40 and at least 8000.
            output_rate: Samples a second of the audio that it sends, likewise.
            sleep: Waits a number of seconds: between two pieces of audio, before a connection is there, and until its
                limit.
            log: File to which a line of JSON is added for everything heard and said (see
                ``segue.testing.offline.ledger``). None takes SEGUE_REHEARSAL_LOG, or else writes none.
            start_s: Seconds until a connection is there. None takes SEGUE_REHEARSAL_START, or else 0.
            additions: Whether ``add`` takes messages; if not, it refuses them.

        Raises:
            ValueError: A rate does not fit, or the pace or ``start_s`` is negative or no number.
        """
        if pace is None:
            pace = float(os.environ.get("SEGUE_REHEARSAL_PACE") or 1.0)
        if not pace >= 0:
            raise ValueError(f"pace={pace}: the pace must be 0 or more")
        if start_s is None:
            start_s = float(os.environ.get("SEGUE_REHEARSAL_START") or 0.0)
        if not start_s >= 0:
            raise ValueError(f"start_s={start_s}: the time to start must be 0 or more")
        self._config = ModelConfig(model_id=model_id, params={}, connection=connection or {})
        self._audio = AudioConfig(input=_stream(input_rate), output=_stream(output_rate))
        self._limit_s = limit_s
        self._start_s = start_s
        self._additions = additions
        self._told: list[Any] = []
        self._sleep = sleep
        self._voice = Voice(output_rate, pace, sleep)
        self._ledger = Ledger(log or os.environ.get("SEGUE_REHEARSAL_LOG"))
        self._line: OfflineConnection | None = None
        self._limit: asyncio.Task[None] | None = None
        self._connected_before = False

    @property
    def heard(self) -> list[HeardInput]:
        """Everything that it heard, on all its connections, in order."""
        return self._ledger.heard

    def update_config(self, **model_config: Any) -> None:
        """Change the configuration.

        Args:
            **model_config: ``model_id``, ``params`` or ``connection``.

        Raises:
            ValueError: Something else was given, or an empty model id.
        """
        unknown = model_config.keys() - ModelConfig.__annotations__.keys()
        if unknown or not model_config.get("model_id", "offline"):
            raise ValueError(f"cannot configure {sorted(unknown) or 'an empty model_id'}")
        self._config.update(model_config)  # type: ignore[typeddict-item]  # the keys were checked

    def get_config(self) -> ModelConfig:
        """Return the configuration by reference."""
        return self._config

    def get_audio_config(self) -> AudioConfig:
        """Return the formats of the audio in and out."""
        return self._audio

    async def start(
        self,
        system_prompt: str | None = None,
        tools: list[ToolSpec] | None = None,
        messages: Messages | None = None,
        **_: Any,
    ) -> None:
        """Open a connection.

        Args:
            system_prompt: Instructions.
            tools: Tools that it may ask for.
            messages: The conversation so far. It is copied: what is added to it later is not seen.
            **_: Options of a ``ConnectionTimeoutError`` that led to a restart; there are none.

        Raises:
            RuntimeError: There is a connection.
            HistoryRejected: The messages are no conversation to go on with.
            ValueError: An audio rate does not fit.
        """
        if self._line is not None:
            raise RuntimeError("model already started | call stop before starting again")
        messages = messages or []
        history.check(messages, restarting=self._connected_before)
        if self._start_s:
            await self._sleep(self._start_s)
        known = KnownConversation(history.read(messages), {spec["name"]: spec for spec in tools or []}, system_prompt)
        ear = Ear(self._audio["input"]["sample_rate"])
        self._line = line = OfflineConnection(known, history.tool_names(messages), ear, self._voice, self._ledger)
        self._connected_before = True
        self._told = list(messages)
        self._ledger.write_line("started", connection=line.id, messages=len(messages), turns=len(known.turns))
        if self._limit_s is not None:
            self._limit = asyncio.create_task(self._drop_at_limit(line, self._limit_s))

    async def _drop_at_limit(self, line: OfflineConnection, seconds: float) -> None:
        await self._sleep(seconds)
        line.drop(f"the connection reached its limit of {seconds} seconds")

    async def add(self, messages: Messages) -> None:
        """Take more of the history, as if it had been given at the start. Nothing is answered.

        Args:
            messages: What was said since, elsewhere.

        Raises:
            RuntimeError: There is no connection.
            HistoryRejected: Additions are refused, or these do not go on with the conversation.
        """
        line = self._connected("adding")
        if not self._additions:
            raise history.HistoryRejected("this model takes no additions: start another connection with all of it")
        history.check([*self._told, *messages], restarting=False)
        self._told += messages
        line.add(history.read(messages), history.tool_names(messages))
        self._ledger.write_line("added", connection=line.id, messages=len(messages))

    async def stop(self) -> None:
        """Close the connection, if there is one: it falls silent, and receive ends."""
        line, self._line = self._line, None
        if self._limit is not None:
            self._limit.cancel()
            self._limit = None
        if line is not None:
            self._ledger.write_line("stopped", connection=line.id)
            await line.close()

    async def receive(self) -> AsyncIterator[BidiOutputEvent]:
        """Yield the events of the connection that is open now, until it is stopped.

        Raises:
            RuntimeError: There is no connection.
            ConnectionTimeoutError: The connection reached its limit, or the user asked to drop the line.
        """
        line = self._connected("receiving")
        yield BidiConnectionStartEvent(connection_id=line.id, model=self.model_id)
        async for event in line.receive():
            yield event

    async def send(self, content: BidiMessage | BidiContentDelta) -> None:
        """Say something to the model, or bring it the results of its tools. After a drop it is lost.

        Args:
            content: Text blocks, tool results, or PCM16 mono audio at the input rate, cut anywhere.

        Raises:
            RuntimeError: There is no connection.
            ValueError: The text is blank, the content is of another kind, or a tool result was not asked for.
        """
        line = self._connected("sending")
        if isinstance(content, AudioDelta):
            line.hear_audio(_pcm(content))
            return
        if not isinstance(content, BidiMessage):
            raise ValueError(f"cannot understand {type(content).__name__}: send text, audio or tool results")  # noqa: TRY004 - as every other provider
        texts = []
        for block in content.content:
            match block:
                case TextBlock(text):
                    texts.append(text)
                case ToolResultBlock():
                    line.hear_tool_result(block)
                case _:
                    raise ValueError(f"cannot understand {type(block).__name__}: send text, audio or tool results")
        if texts:
            text = "\n".join(texts)
            if not text.strip():
                raise ValueError("the text is blank: no provider takes it, do not pass it on")
            line.hear_text(text)

    def _connected(self, doing: str) -> OfflineConnection:
        if self._line is None:
            raise RuntimeError(f"model not started | call start before {doing}")
        return self._line


def _stream(rate: int) -> AudioStreamConfig:
    Ear(rate)  # says if the rate does not fit
    return AudioStreamConfig(sample_rate=rate, channels=1, format="pcm")


def _pcm(audio: AudioDelta) -> bytes:
    data = audio.source.get("bytes")
    if audio.format != "pcm" or data is None:
        raise ValueError(f"cannot hear {audio.format} audio, or audio that is not here: send PCM16 bytes")
    return data
