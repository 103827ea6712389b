"""The input side of a conversation: from what clients say to what the agent is given, and which of it is durable.

Text is the effect of one frame: it is recorded inside ``manager.taking``. Audio has no record of its own: when a user's
transcript is recorded, that record carries the audio heard since the last one. When the model's connection restarts,
what no transcript has answered is given to the new one, before anything newer (``worker.conversation.audio_replay``).
While nothing is said, the model is given the silence that clients mark (``worker.conversation.silence``).
"""

from __future__ import annotations

import asyncio
from typing import Any, Final, Protocol

from strands.bidi import BidiAgent
from strands.bidi.hooks.events import BidiAfterConnectionRestartEvent
from strands.bidi.models import AudioCapable
from strands.bidi.types.media import AudioDelta
from strands.hooks import MessageUpdatedEvent
from strands.types.media import ImageBlock, ImageFormat

from segue.lease.item import Known
from segue.wire.audio import AudioLimits
from segue.wire.frames import AnswerInput, AudioInput, FrameError, ImageInput, InputFrame, MediaType, TextInput
from segue.wire.images import ImageRefused
from shared.log import logger
from shared.messages import bidi_metadata
from shared.record_positions import AFTER_THE_MANAGER, BEFORE_THE_MANAGER
from worker.conversation.audio_replay import Unanswered
from worker.conversation.images import UnfinishedImages
from worker.conversation.intake import Intake, Said
from worker.conversation.receipts import Receipts
from worker.conversation.session_manager import Manager
from worker.conversation.silence import PIECE_SECONDS, MarkedSilence
from worker.conversation.turn_boundary import TurnBoundary
from worker.telemetry.metrics import Count, metrics

_IMAGE_FORMATS: Final[dict[MediaType, ImageFormat]] = {
    "image/jpeg": "jpeg",
    "image/png": "png",
    "image/webp": "webp",
    "image/gif": "gif",
}

REPLAY_SPEED: Final = 4.0
"""Times real time at which audio is given again. Providers take audio faster than it is spoken, but not at any rate."""

RESTART_SECONDS: Final = 5.0
"""Seconds for the agent to begin a restart after its connection has refused audio; after them the refusal is an error.
A connection that has ended refuses audio a moment before the agent begins to restart it."""


class Replies(Protocol):
    """Replies to input, see ``worker.conversation.output.Output``; neither method waits."""

    def acknowledge(self, client_id: str) -> None:
        """Tell a client, once it is durable, what has been taken of its input."""
        ...

    def confirm(self, client_id: str, upto: int, beyond: tuple[int, ...]) -> None:
        """Tell a client what of its input has come."""
        ...

    def ask_again(self, client_id: str, upto: int, beyond: tuple[int, ...]) -> None:
        """Have a client send again what has not come."""
        ...

    def refuse(self, client_id: str, code: str | None = None) -> None:
        """Tell a client that its input could not be taken; the code is the protocol's, if it says why."""
        ...


class Input:
    """Feeds one agent.

    Attributes:
        receipts: Tells clients what has come.
    """

    def __init__(self, manager: Manager, agent: BidiAgent, turn: TurnBoundary, output: Replies) -> None:
        """Keep the parts.

        Args:
            manager: Records what has been taken.
            agent: Is fed.
            turn: Is told when an answer is owed.
            output: Is told what to answer.
        """
        self._manager = manager
        self._agent = agent
        self._turn = turn
        self._output = output
        self._intake = Intake(self._known, limits=self._audio_limits)
        self.receipts = Receipts(self._intake.progress, output.confirm)
        self._images = UnfinishedImages()
        self._unanswered = Unanswered()
        self._silence = MarkedSilence(_now)
        self._answered: dict[str, list[int]] = {}
        self._giving: Said | None = None
        self._feeder: asyncio.Task[Any] | None = None
        self._refused = False
        self._restarted = asyncio.Event()
        self._rated: object = None
        self._rate_of_rated = 0

    def register(self) -> None:
        """Look before and after the session manager at what is recorded, and see the model's connection restart.

        Settled input is acknowledged once it is known.
        """
        self._manager.on_settled(self._output.acknowledge)
        hooks = self._agent.hooks
        hooks.add_callback(MessageUpdatedEvent, self._before_record, order=BEFORE_THE_MANAGER)
        hooks.add_callback(MessageUpdatedEvent, self._after_record, order=AFTER_THE_MANAGER)
        hooks.add_callback(BidiAfterConnectionRestartEvent, self._after_restart, order=AFTER_THE_MANAGER)

    def offer_frame(self, client_id: str, frame: InputFrame) -> None:
        """Take a frame as it arrives. Never waits.

        Raises:
            FrameError: It was not taken; its code says why.
        """
        in_turn = self._intake.offer_frame(client_id, frame)
        metrics.count(Count.FRAMES_IN)
        if frame.seq is None:
            return
        self.receipts.note_frame(client_id)
        if not in_turn and frame.seq in self._known(client_id):
            metrics.count(Count.RESENDS)
            self._output.acknowledge(client_id)  # sent again although it is recorded: the acknowledgement was lost

    def drop_client(self, client_id: str) -> None:
        """Free what is kept for a client that has left for good; what it said in its turn counts all the same."""
        self.receipts.drop_client(client_id)
        self._silence.drop_client(client_id)
        self._intake.drop_client(client_id)
        self._intake.skipped(client_id, *self._images.drop_client(client_id))

    def leave_to_successor(self) -> None:
        """Forget what the agent was not given yet and its client will send again."""
        self._intake.forget_numbered()
        self._silence.clear()

    def settle_silence(self) -> None:
        """Settle input that will get no answer: silence, and skipped numbers. It is acknowledged once that is known."""
        settled = self._unanswered.settled(_now())
        for client_id, seqs in self._intake.skips().items():
            settled[client_id] = [*settled.get(client_id, ()), *seqs]
        for client_id, seqs in settled.items():
            self._manager.settle_input(client_id, seqs)

    async def feed(self) -> None:
        """Give the agent what was said, one input at a time, until cancelled."""
        self._feeder = asyncio.current_task()
        while True:
            said = await self._next()
            for client_id in self._intake.relieved():
                self._output.ask_again(client_id, *self._intake.progress(client_id))
            frame = said.frame
            try:
                await self._give(said)
            except FrameError as error:
                self._output.refuse(said.client_id, error.code)
            except ValueError as error:
                # What a model raises for content that it does not take. It is recorded, so it counts as taken.
                logger.warning("the model does not take an input", client=said.client_id, reason=type(error).__name__)
                self._output.refuse(said.client_id)
            if not isinstance(frame, AudioInput) and frame.seq is not None:
                self._output.acknowledge(said.client_id)

    async def _next(self) -> Said:
        """Return the next input. While there is none, the model is given the silence that clients mark."""
        while (due := self._silence.due()) is not None:
            try:
                async with asyncio.timeout(due):
                    return await self._intake.next()
            except TimeoutError:
                if self._silence.take_piece():
                    await self._give_silence()
        return await self._intake.next()  # only another marker would change that, and it comes this way

    async def _give_silence(self) -> None:
        self._refused = False
        pcm = bytes(2 * int(self._rate * PIECE_SECONDS))
        try:
            await self._agent.send(AudioDelta(format="pcm", source={"bytes": pcm}))
        except Exception:
            if not await self._restarts():
                raise

    async def _give(self, said: Said) -> None:
        frame = said.frame
        if said.refusal is not None:
            self._intake.skipped(said.client_id, frame.seq)
            raise said.refusal
        if isinstance(frame, AudioInput) and frame.audio:  # nearly all
            await self._give_audio(said, frame)
            return
        if isinstance(frame, AnswerInput):
            # A voice agent never waits for an approval, and what a text agent waited for was denied at the restore.
            self._intake.skipped(said.client_id, frame.seq)
            raise FrameError("approval_closed")
        if isinstance(frame, ImageInput):
            await self._give_image(said, frame)
        elif isinstance(frame, AudioInput):
            self._keep(said.client_id, frame, b"")  # a marker, or given up by its client: only its number counts
            if frame.silence and self._rate:
                self._silence.marked(said.client_id)
        elif not frame.text.strip():
            # No model takes blank text, but its number must not be missing: the next text's record carries it.
            self._intake.skipped(said.client_id, frame.seq)
        else:
            self._asked(said)
            await self._give_text(said.client_id, frame)
            self._turn.traces.given()

    def _asked(self, said: Said) -> None:
        self._turn.asked()
        self._turn.traces.asked(said.frame.trace, said.arrived_ns)

    async def _give_text(self, client_id: str, frame: TextInput) -> None:
        if frame.seq is None:
            await self._agent.send(frame.text)
            return
        with self._manager.taking(client_id, *self._intake.blanks(client_id), frame.seq):
            await self._agent.send(frame.text)

    async def _give_image(self, said: Said, frame: ImageInput) -> None:
        client_id = said.client_id
        try:
            image = self._images.add_part(client_id, frame)
        except ImageRefused as error:
            self._intake.skipped(client_id, *error.seqs)
            raise
        for other, refusal in self._images.crowded_out():
            self._intake.skipped(other, *refusal.seqs)
            self._output.refuse(other, refusal.code)
        if image is None:
            return
        self._asked(said)
        block = ImageBlock(format=_IMAGE_FORMATS[image.media_type], source={"bytes": image.data})
        if not image.seqs:
            await self._agent.send(block)
        else:
            with self._manager.taking(client_id, *self._intake.blanks(client_id), *image.seqs):
                await self._agent.send(block)
        self._turn.traces.given()

    async def _give_audio(self, said: Said, frame: AudioInput) -> None:
        pcm = frame.pcm
        self._silence.sounded(said.client_id)
        self._giving, self._refused = said, False
        self._turn.traces.heard(frame.trace)
        try:
            if said.again:
                await asyncio.sleep(self._seconds(pcm) / REPLAY_SPEED)
            await self._agent.send(AudioDelta(format="pcm", source={"bytes": pcm}))
        except asyncio.CancelledError:
            if self._giving is said or self._feeder is None or self._feeder.uncancel():
                raise  # another task cancelled this one, alone or as well
            return  # the connection was replaced: it was put back
        except ValueError:  # for its content: no connection takes it, so it will get no answer
            self._giving = None
            self._keep(said.client_id, frame, pcm)
            raise
        except Exception:
            if not await self._restarts():
                raise
            return  # it was put back
        self._giving = None
        self._keep(said.client_id, frame, pcm)

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

    def _after_restart(self, event: BidiAfterConnectionRestartEvent) -> None:
        """Before anything goes to a new connection, have it hear what the old one did not answer."""
        if event.exception is not None:
            return
        metrics.count(Count.MODEL_RESTARTS)
        self.settle_silence()
        again = [Said(given.client_id, given.frame, again=True) for given in self._unanswered.take_audio()]
        giving, self._giving = self._giving, None
        if giving is not None:
            again.append(giving)
        self._intake.put_back(again)
        if self._refused:
            self._restarted.set()
        elif giving is not None and self._feeder is not None:
            self._feeder.cancel()  # it waits for the new connection, and would be heard first

    def _audio_limits(self) -> AudioLimits | None:
        return AudioLimits(self._rate) if self._rate else None

    @property
    def _rate(self) -> int:
        """Samples a second of the audio that the model takes, 0 for one that does not hear."""
        model = self._agent.model
        if (
            model is not self._rated
        ):  # asked once: each frame needs it, and a protocol's check takes longer than all else
            self._rated = model
            config = model.get_audio_config() if isinstance(model, AudioCapable) else None
            self._rate_of_rated = int(config["input"]["sample_rate"]) if config else 0
        return self._rate_of_rated

    def _seconds(self, pcm: bytes) -> float:
        return len(pcm) / 2 / self._rate if pcm and self._rate else 0.0

    def _keep(self, client_id: str, frame: AudioInput, pcm: bytes) -> None:
        self._unanswered.add(client_id, frame, _now(), self._seconds(pcm), pcm)

    def _known(self, client_id: str) -> Known:
        return self._manager.inputs.get(client_id, Known())

    def _before_record(self, event: MessageUpdatedEvent[Any]) -> None:
        if not _is_user_transcript(event.message):
            return  # such as a correction, which may pass while a user's transcript is with the manager
        self._answered = answered = self._unanswered.answered()
        if answered:
            client_id = next(iter(answered))
            self._manager.note_input(client_id, answered[client_id])

    def _after_record(self, event: MessageUpdatedEvent[Any]) -> None:
        """Acknowledge the other clients heard since the last transcript, after it: at worst their audio comes again."""
        if not _is_user_transcript(event.message):
            return
        answered, self._answered = self._answered, {}
        for number, (client_id, seqs) in enumerate(answered.items()):
            if number:
                self._manager.record_input(client_id, seqs)
            self._output.acknowledge(client_id)


def _now() -> float:
    return asyncio.get_running_loop().time()


def _is_user_transcript(message: Any) -> bool:
    metadata = bidi_metadata(message)
    complete = metadata.get("kind") == "transcript" and metadata.get("status") == "complete"
    return complete and message["role"] == "user"
