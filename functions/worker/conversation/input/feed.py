"""The input side of a conversation: from what clients say to what the agent is given, and which of it is durable.

Text is the effect of one frame: it is recorded inside ``manager.taking``. Audio has no record of its own: when a user's
transcript is recorded, that record carries the audio heard since the last one. While nothing is said, the model is
given the silence that clients mark.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final, Protocol

from strands.bidi import BidiAgent
from strands.bidi.hooks.events import BidiAfterConnectionRestartEvent
from strands.hooks import MessageUpdatedEvent
from strands.types.media import ImageBlock, ImageFormat

from segue.lease.item import Known
from segue.wire.frames import AnswerInput, AudioInput, FrameError, ImageInput, InputFrame, MediaType, TextInput
from segue.wire.images import ImageRefused
from shared.conversation.messages import bidi_metadata
from shared.conversation.record_positions import AFTER_THE_MANAGER, BEFORE_THE_MANAGER
from shared.log import logger
from worker.conversation.input.audio_feed import AudioFeed
from worker.conversation.input.images import UnfinishedImages
from worker.conversation.input.intake import Intake, Said
from worker.conversation.input.receipts import Receipts
from worker.conversation.session_manager import Manager
from worker.conversation.turn_boundary import TurnBoundary
from worker.telemetry.metrics import Count, metrics

_IMAGE_FORMATS: Final[dict[MediaType, ImageFormat]] = {
    "image/jpeg": "jpeg",
    "image/png": "png",
    "image/webp": "webp",
    "image/gif": "gif",
}


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


class InputFeed:
    """The input of one conversation, from its clients to its agent.

    Attributes:
        receipts: Tells clients what has come.
    """

    def __init__(self, manager: Manager, agent: BidiAgent, turn: TurnBoundary, output: Replies) -> None:
        """Keep the parts.

        Args:
            manager: Records what has been taken.
            agent: Is given the input.
            turn: Is told when an answer is owed.
            output: Is told what to answer.
        """
        self._manager = manager
        self._agent = agent
        self._turn = turn
        self._output = output
        self._audio = AudioFeed(agent, turn)
        self._intake = Intake(self._known, limits=self._audio.new_limits)
        self.receipts = Receipts(self._intake.progress, output.confirm)
        self._images = UnfinishedImages()
        self._answered_seqs: dict[str, list[int]] = {}

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
        """Free what is kept for a client that has left for good; what it said in its turn still counts."""
        self.receipts.drop_client(client_id)
        self._audio.silence.drop_client(client_id)
        self._intake.drop_client(client_id)
        self._intake.note_skipped(client_id, *self._images.drop_client(client_id))

    def leave_to_successor(self) -> None:
        """Forget what the agent was not given yet and its client will send again."""
        self._intake.forget_numbered()
        self._audio.silence.clear()

    def settle_silence(self) -> None:
        """Settle input that will get no answer: silence, and skipped numbers. It is acknowledged once that is known."""
        settled = self._audio.unanswered.settled(self._audio.now())
        for client_id, seqs in self._intake.take_all_skipped().items():
            settled[client_id] = [*settled.get(client_id, ()), *seqs]
        for client_id, seqs in settled.items():
            self._manager.settle_input(client_id, seqs)

    async def feed(self) -> None:
        """Give the agent what was said, one input at a time, until cancelled."""
        while True:
            said = await self._next_input()
            for client_id in self._intake.take_refused_clients():
                self._output.ask_again(client_id, *self._intake.progress(client_id))
            frame = said.frame
            try:
                await self._give_input(said)
            except FrameError as error:
                self._output.refuse(said.client_id, error.code)
            except ValueError as error:
                # What a model raises for content that it does not take. It is recorded, so it counts as taken.
                logger.warning("the model does not take an input", client=said.client_id, reason=type(error).__name__)
                self._output.refuse(said.client_id)
            if not isinstance(frame, AudioInput) and frame.seq is not None:
                self._output.acknowledge(said.client_id)

    async def _next_input(self) -> Said:
        """Return the next input. While there is none, the model is given the silence that clients mark."""
        while (due := self._audio.silence.due()) is not None:
            try:
                async with asyncio.timeout(due):
                    return await self._intake.next()
            except TimeoutError:
                if self._audio.silence.take_piece():
                    await self._audio.send_silence()
        return await self._intake.next()  # only another marker would change that, and it comes this way

    async def _give_input(self, said: Said) -> None:
        frame = said.frame
        if said.refusal is not None:
            self._intake.note_skipped(said.client_id, frame.seq)
            raise said.refusal
        if isinstance(frame, AudioInput) and frame.audio:  # nearly all
            await self._audio.send_audio(said, frame)
            return
        if isinstance(frame, AnswerInput):
            # A voice agent never waits for an approval, and what a text agent waited for was denied at the restore.
            self._intake.note_skipped(said.client_id, frame.seq)
            raise FrameError("approval_closed")
        if isinstance(frame, ImageInput):
            await self._give_image(said, frame)
        elif isinstance(frame, AudioInput):
            self._audio.keep(said.client_id, frame, b"")  # a marker, or given up by its client: only its number counts
            if frame.silence and self._audio.rate:
                self._audio.silence.marked(said.client_id)
        elif not frame.text.strip():
            # No model takes blank text, but its number must not be missing: the next text's record carries it.
            self._intake.note_skipped(said.client_id, frame.seq)
        else:
            self._note_question(said)
            await self._give_text(said.client_id, frame)
            self._turn.traces.given()

    def _note_question(self, said: Said) -> None:
        self._turn.asked()
        self._turn.traces.asked(said.frame.trace, said.arrived_ns)

    async def _give_text(self, client_id: str, frame: TextInput) -> None:
        if frame.seq is None:
            await self._agent.send(frame.text)
            return
        with self._manager.taking(client_id, *self._intake.take_skipped(client_id), frame.seq):
            await self._agent.send(frame.text)

    async def _give_image(self, said: Said, frame: ImageInput) -> None:
        client_id = said.client_id
        try:
            image = self._images.add_part(client_id, frame)
        except ImageRefused as error:
            self._intake.note_skipped(client_id, *error.seqs)
            raise
        for other, refusal in self._images.crowded_out():
            self._intake.note_skipped(other, *refusal.seqs)
            self._output.refuse(other, refusal.code)
        if image is None:
            return
        self._note_question(said)
        block = ImageBlock(format=_IMAGE_FORMATS[image.media_type], source={"bytes": image.data})
        if not image.seqs:
            await self._agent.send(block)
        else:
            with self._manager.taking(client_id, *self._intake.take_skipped(client_id), *image.seqs):
                await self._agent.send(block)
        self._turn.traces.given()

    def _after_restart(self, event: BidiAfterConnectionRestartEvent) -> None:
        """Before anything goes to a new connection, have it hear what the old one did not answer."""
        if event.exception is not None:
            return
        metrics.count(Count.MODEL_RESTARTS)
        self.settle_silence()
        self._intake.put_back(self._audio.take_again())

    def _known(self, client_id: str) -> Known:
        return self._manager.inputs.get(client_id, Known())

    def _before_record(self, event: MessageUpdatedEvent[Any]) -> None:
        if not _is_user_transcript(event.message):
            return  # such as a correction, which may pass while a user's transcript is with the manager
        self._answered_seqs = answered = self._audio.unanswered.answered()
        if answered:
            client_id = next(iter(answered))
            self._manager.note_input(client_id, answered[client_id])

    def _after_record(self, event: MessageUpdatedEvent[Any]) -> None:
        """Acknowledge the other clients heard since the last transcript, after it: at worst their audio comes again."""
        if not _is_user_transcript(event.message):
            return
        answered, self._answered_seqs = self._answered_seqs, {}
        for number, (client_id, seqs) in enumerate(answered.items()):
            if number:
                self._manager.record_input(client_id, seqs)
            self._output.acknowledge(client_id)


def _is_user_transcript(message: Any) -> bool:
    metadata = bidi_metadata(message)
    complete = metadata.get("kind") == "transcript" and metadata.get("status") == "complete"
    return complete and message["role"] == "user"
