"""The input side of a conversation: from what clients say to what the agent is given, and which of it is durable.

Text is the effect of one frame: it is recorded inside ``manager.taking``. Audio has no record of its own: when a user's
transcript is recorded, that record carries the audio heard since the last one.
"""

from __future__ import annotations

from typing import Any, Final, Protocol

from strands.bidi import BidiAgent
from strands.bidi.types.media import AudioDelta
from strands.hooks import MessageUpdatedEvent
from strands.types.media import ImageBlock, ImageFormat

from segue.item import Known
from segue.wire.frames import AudioInput, FrameError, ImageInput, InputFrame, MediaType, TextInput
from segue.wire.images import ImageAssembler, ImageRefused
from worker.intake import Intake, Said
from worker.log import logger
from worker.manager import Manager
from worker.marks import AFTER_THE_MANAGER, BEFORE_THE_MANAGER, bidi_metadata
from worker.turn import Turn

_IMAGE_FORMATS: Final[dict[MediaType, ImageFormat]] = {
    "image/jpeg": "jpeg",
    "image/png": "png",
    "image/webp": "webp",
    "image/gif": "gif",
}


class Replies(Protocol):
    """What input is answered with. See ``worker.output.Output``; neither waits."""

    def acknowledge(self, client_id: str) -> None:
        """Tell a client, once it is durable, what has been taken of its input."""
        ...

    def refuse(self, client_id: str, code: str | None = None) -> None:
        """Tell a client that its input could not be taken; the code is the protocol's, if it says why."""
        ...


class Input:
    """Feeds one agent."""

    def __init__(self, manager: Manager, agent: BidiAgent, turn: Turn, output: Replies) -> None:
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
        self._intake = Intake(self._known)
        self._images: dict[str, ImageAssembler] = {}
        self._answered: str | None = None

    def register(self) -> None:
        """Look before and after the session manager at what is recorded."""
        hooks = self._agent.hooks
        hooks.add_callback(MessageUpdatedEvent, self._before_record, order=BEFORE_THE_MANAGER)
        hooks.add_callback(MessageUpdatedEvent, self._after_record, order=AFTER_THE_MANAGER)

    def offer(self, client_id: str, frame: InputFrame) -> None:
        """Take a frame as it arrives. Never waits.

        Raises:
            FrameError: It was not taken; its code says why.
        """
        self._intake.offer(client_id, frame)
        if frame.seq is not None and frame.seq in self._known(client_id):
            self._output.acknowledge(client_id)  # sent again although it is recorded: the acknowledgement was lost

    def leave_to_successor(self) -> None:
        """Forget what the agent was not given yet and its client will send again."""
        self._intake.forget_numbered()

    async def feed(self) -> None:
        """Give the agent what was said, one input at a time, until cancelled."""
        while True:
            said = await self._intake.next()
            try:
                await self._give(said)
            except ValueError as error:
                # What a model raises for content that it does not take. It is recorded, so it counts as taken.
                logger.warning("the model does not take an input", client=said.client_id, reason=type(error).__name__)
                self._output.refuse(said.client_id, error.code if isinstance(error, FrameError) else None)
            if isinstance(said.frame, TextInput | ImageInput) and said.frame.seq is not None:
                self._output.acknowledge(said.client_id)

    async def _give(self, said: Said) -> None:
        frame = said.frame
        if isinstance(frame, ImageInput):
            await self._give_image(said.client_id, frame)
        elif isinstance(frame, AudioInput) and not frame.audio:
            self._intake.heard(said)  # given up by its client: only its number counts
        elif isinstance(frame, AudioInput):
            await self._agent.send(AudioDelta(format="pcm", source={"bytes": frame.pcm}))
            self._intake.heard(said)
        elif not frame.text.strip():
            # No model takes blank text, but its number must not be missing: the next text's record carries it.
            self._intake.skipped(said.client_id, frame.seq)
        else:
            self._turn.asked()
            await self._give_text(said.client_id, frame)

    async def _give_text(self, client_id: str, frame: TextInput) -> None:
        if frame.seq is None:
            await self._agent.send(frame.text)
            return
        with self._manager.taking(client_id, *self._intake.blanks(client_id), frame.seq):
            await self._agent.send(frame.text)

    async def _give_image(self, client_id: str, frame: ImageInput) -> None:
        assembler = self._images.pop(client_id, None) or ImageAssembler()
        try:
            image = assembler.take(frame)
        except ImageRefused as error:
            self._intake.skipped(client_id, *error.seqs)
            raise
        if image is None:
            self._images[client_id] = assembler
            return
        self._turn.asked()
        block = ImageBlock(format=_IMAGE_FORMATS[image.media_type], source={"bytes": image.data})
        if not image.seqs:
            await self._agent.send(block)
            return
        with self._manager.taking(client_id, *self._intake.blanks(client_id), *image.seqs):
            await self._agent.send(block)

    def _known(self, client_id: str) -> Known:
        return self._manager.inputs.get(client_id, Known())

    def _before_record(self, event: MessageUpdatedEvent[Any]) -> None:
        self._answered = None
        if _is_user_transcript(event.message) and (answered := self._intake.answered()) is not None:
            self._answered = answered[0]
            self._manager.note_input(*answered)

    def _after_record(self, event: MessageUpdatedEvent[Any]) -> None:
        if self._answered is not None and _is_user_transcript(event.message):
            self._output.acknowledge(self._answered)
            self._answered = None


def _is_user_transcript(message: Any) -> bool:
    metadata = bidi_metadata(message)
    complete = metadata.get("kind") == "transcript" and metadata.get("status") == "complete"
    return complete and message["role"] == "user"
