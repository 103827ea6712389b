"""Clients' audio and marked silence, sent to the model, and again after the model's connection was replaced.

frame ─▶ model ─▶ kept until a transcript answers it (``unanswered_audio``)
└ connection replaced ─▶ what is kept goes to the new one, before anything newer
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from strands.bidi import BidiAgent
from strands.bidi.models import AudioCapable
from strands.bidi.types.media import AudioDelta

from segue.wire.audio import AudioLimits
from segue.wire.frames import AudioInput
from worker.conversation.input.intake import Said
from worker.conversation.input.marked_silence import PIECE_SECONDS, MarkedSilence
from worker.conversation.input.unanswered_audio import UnansweredAudio
from worker.conversation.turn_boundary import TurnBoundary

REPLAY_SPEED: Final = 4.0
"""Times real time at which audio is sent again. Providers take audio faster than it is spoken, but not at any rate."""

RESTART_SECONDS: Final = 5.0
"""Seconds for the agent to begin a restart after its connection has refused audio; after them the refusal is an error.
A connection that has ended refuses audio a moment before the agent begins to restart it."""


class AudioFeed:
    """Audio of one conversation's clients, on its way to the model.

    Attributes:
        unanswered: Audio that was sent and that no transcript has answered yet.
        silence: Silence that clients mark.
    """

    def __init__(self, agent: BidiAgent, turn: TurnBoundary) -> None:
        """Begin with none.

        Args:
            agent: Its model is sent the audio.
            turn: Its traces follow the audio.
        """
        self.unanswered = UnansweredAudio()
        self.silence = MarkedSilence(self.now)
        self._agent = agent
        self._turn = turn
        self._sending: Said | None = None
        self._feeder: asyncio.Task[Any] | None = None
        self._refused = False
        self._restarted = asyncio.Event()
        self._rated_model: object = None
        self._rate_of_model = 0

    @staticmethod
    def now() -> float:
        """Seconds on the event loop's clock."""
        return asyncio.get_running_loop().time()

    @property
    def rate(self) -> int:
        """Samples a second of the audio that the model takes, 0 for one that does not hear."""
        model = self._agent.model
        # Asked once a model: each frame needs it, and a protocol's check takes longer than all else.
        if model is not self._rated_model:
            self._rated_model = model
            config = model.get_audio_config() if isinstance(model, AudioCapable) else None
            self._rate_of_model = int(config["input"]["sample_rate"]) if config else 0
        return self._rate_of_model

    def new_limits(self) -> AudioLimits | None:
        """Return limits for one more client's audio, None if the model does not hear."""
        return AudioLimits(self.rate) if self.rate else None

    async def send_audio(self, said: Said, frame: AudioInput) -> None:
        """Send a frame, and keep it until it is answered.

        Raises:
            ValueError: The model does not take it for its content.
            Exception: The connection refuses it, and is not replaced in time.
        """
        pcm = frame.pcm
        self.silence.sounded(said.client_id)
        self._sending, self._refused = said, False
        self._feeder = asyncio.current_task()
        self._turn.traces.heard(frame.trace)
        try:
            if said.again:
                await asyncio.sleep(self._seconds(pcm) / REPLAY_SPEED)
            await self._agent.send(AudioDelta(format="pcm", source={"bytes": pcm}))
        except asyncio.CancelledError:
            if self._sending is said or self._feeder is None or self._feeder.uncancel():
                raise  # another task cancelled this one, alone or as well
            return  # the connection was replaced: it was put back
        except ValueError:  # for its content: no connection takes it, so it will get no answer
            self._sending = None
            self.keep(said.client_id, frame, pcm)
            raise
        except Exception:
            if not await self._restarts():
                raise
            return  # it was put back
        self._sending = None
        self.keep(said.client_id, frame, pcm)

    async def send_silence(self) -> None:
        """Send a piece of silence.

        Raises:
            Exception: The connection refuses it, and is not replaced in time.
        """
        self._refused = False
        pcm = bytes(2 * int(self.rate * PIECE_SECONDS))
        try:
            await self._agent.send(AudioDelta(format="pcm", source={"bytes": pcm}))
        except Exception:
            if not await self._restarts():
                raise

    def keep(self, client_id: str, frame: AudioInput, pcm: bytes) -> None:
        """Keep a frame until it is answered or settled."""
        self.unanswered.add(client_id, frame, self.now(), self._seconds(pcm), pcm)

    def take_again(self) -> list[Said]:
        """Take what a new connection of the model is to hear before anything newer, in its order."""
        again = [Said(given.client_id, given.frame, again=True) for given in self.unanswered.take_audio()]
        sending, self._sending = self._sending, None
        if sending is not None:
            again.append(sending)
        if self._refused:
            self._restarted.set()
        elif sending is not None and self._feeder is not None:
            self._feeder.cancel()  # it waits for the new connection, and would be heard first
        return again

    async def _restarts(self) -> bool:
        """Wait for a restart of the connection that has just refused something; false if there is none."""
        self._refused = True
        self._restarted.clear()
        try:
            async with asyncio.timeout(RESTART_SECONDS):
                await self._restarted.wait()
        except TimeoutError:
            return False
        return True

    def _seconds(self, pcm: bytes) -> float:
        return len(pcm) / 2 / self.rate if pcm and self.rate else 0.0
