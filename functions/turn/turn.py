"""One turn: a frame of a client, and what the agent makes of it.

    text, not recorded ──▶ the agent runs ──▶ user's message durable ──▶ ready, ack
                                          └─▶ each further message durable ──▶ tool, text
    text, recorded, not answered ──▶ ready, ack ──▶ the agent goes on from its history, nothing is recorded twice
    text, recorded and answered ───▶ ready, ack, and the answer again from the journal
    text, one before it missing ───▶ nothing: its client sends both again
    hello ─────────────────────────▶ ready, and what it has not shown
    image ─────────────────────────▶ error: a turn is of text; its number counts as taken, so that texts may follow

Which it is, is read from the session itself, so a message that comes again after a crash anywhere does what was left.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from aws_lambda_powertools import Logger

from segue.item import Known
from segue.wire.delivery import Delivery
from segue.wire.frames import Hello, ImageInput, InputAck, JournalFrame, Ready, TextInput, error_frame
from turn.history import is_owed, last_said, text_of
from turn.sessions import TextSession
from turn.speaker import Speaker
from worker.speech import retell

RESERVE_SECONDS: Final = 10.0
"""Kept back of an invocation for the end of a turn: the flush, the release and the last POSTs."""

LAST_CALL_SECONDS: Final = 30.0
"""With less than this left, no further call of the model begins: it would be cut off and paid for all the same."""

CANCEL_SECONDS: Final = 2.0
"""For a cancelled agent to end. A tool in a thread does not: it is told of as interrupted."""

RETOLD_FRAMES: Final = 1024
"""Said again at most, newest first."""

logger = Logger()


class OutOfTime(Exception):  # noqa: N818 - an answer, not a fault
    """The invocation ends before the turn does. All there is is durable; another invocation goes on from there."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One invocation's try at a turn.

    Attributes:
        delivery: The frame, and whose it is.
        repeated: Whether there was a try before.
        seconds_left: How long the invocation may still take.
    """

    delivery: Delivery
    repeated: bool
    seconds_left: Callable[[], float]


class Turn:
    """Takes one turn of a session that is held."""

    def __init__(self, session: TextSession, attempt: Attempt, speaker: Speaker) -> None:
        """Keep the parts; nothing runs yet."""
        self._manager = session.manager
        self._agent = session.agent
        self._session = session
        self._attempt = attempt
        self._speaker = speaker
        self._client_id = attempt.delivery.client_id
        frame = attempt.delivery.frame
        self._last_record = frame.last_record if isinstance(frame, Hello | TextInput) else None
        self._history = len(self._agent.messages)
        self._from = self._manager.head
        self._greeted: tuple[str, ...] = ()
        self._told: dict[str, int] = {}

    async def run(self) -> None:
        """Take the turn. What it says may still be on its way when this returns.

        Raises:
            OutOfTime: The rest is left to another invocation.
            Exception: What the agent raised.
        """
        match self._attempt.delivery.frame:
            case Hello():
                self._greet((self._client_id,))
            case TextInput() as frame:
                await self._take(frame)
            case ImageInput() as frame:
                await self._refuse(frame)
            case _:
                logger.warning("no turn can be made of this frame", kind=type(self._attempt.delivery.frame).__name__)

    async def _take(self, frame: TextInput) -> None:
        if self._is_recorded(frame):
            self._from = self._beginning_of_last_turn()
            self._greet(self._speaker.client_ids)
            if is_owed(self._agent.messages):
                await self._answer(None)
        elif frame.seq is not None and frame.seq != self._known.upto + 1:
            logger.info("one before it is missing", client=self._client_id, seq=frame.seq)
        elif not frame.text.strip():
            await self._skip(frame)
        else:
            if frame.seq is not None:
                self._manager.note_input(self._client_id, [frame.seq])
            await self._answer(frame.text)

    async def _refuse(self, frame: ImageInput) -> None:
        if frame.seq is not None and frame.seq in self._known:
            self._greet((self._client_id,))
        elif frame.seq is None or frame.seq == self._known.upto + 1:
            await self._skip(frame)
            self._speaker.say(self._client_id, error_frame("bad_image", "a turn of text takes no images"))

    def _is_recorded(self, frame: TextInput) -> bool:
        if frame.seq is not None:
            return frame.seq in self._known
        # Without a number nothing is promised; but a try that failed after recording it would record it again.
        said = last_said(self._agent.messages) if self._attempt.repeated else None
        return said is not None and text_of(said) == frame.text

    async def _skip(self, frame: TextInput | ImageInput) -> None:
        """Take no notice of what no model takes, blank text say; but its number must not be missing."""
        if frame.seq is not None:
            self._manager.record_input(self._client_id, [frame.seq])
            await self._manager.flush()
        self._greet((self._client_id,))

    async def _answer(self, prompt: str | None) -> None:
        """Run the agent, as long as there is time."""
        self._session.on_durable = self._became_durable
        running = asyncio.create_task(self._agent.invoke_async(prompt))
        if not await self._finished(running, LAST_CALL_SECONDS):
            self._agent.cancel(after_current_tools=True)
            if not await self._finished(running, RESERVE_SECONDS):
                running.cancel()
                await asyncio.wait({running}, timeout=CANCEL_SECONDS)
                raise OutOfTime
        if (await running).stop_reason == "cancelled":
            raise OutOfTime

    async def _finished(self, running: "asyncio.Task[object]", reserve: float) -> bool:
        finished, _ = await asyncio.wait({running}, timeout=max(0.0, self._attempt.seconds_left() - reserve))
        return bool(finished)

    def _became_durable(self) -> None:
        if not self._greeted:
            self._greet(self._speaker.client_ids)
        else:
            self._tell()

    def _greet(self, client_ids: tuple[str, ...]) -> None:
        """Say ``ready``: this turn's epoch is new to everybody. What was said since follows, and what was asked for."""
        self._greeted = client_ids
        for client_id in client_ids:
            asked = self._last_record if client_id == self._client_id else None
            since = self._from if asked is None else asked
            again = self._journal_since(since)
            known = self._manager.inputs.get(client_id, Known())
            ready = Ready(
                session=self._manager.session_id,
                known=known,
                history=self._history,
                head=self._manager.head,
                since=again[0].record if asked is not None and len(again) == RETOLD_FRAMES else asked,
            )
            ack = InputAck(upto=known.upto, beyond=known.beyond)
            for frame in (ready, *again, ack):
                self._speaker.say(client_id, frame)
            self._told[client_id] = self._manager.head

    def _tell(self) -> None:
        """Say what has become durable since the last time."""
        for client_id in self._greeted:
            for frame in self._journal_since(self._told[client_id]):
                self._speaker.say(client_id, frame)
            self._told[client_id] = self._manager.head

    def _journal_since(self, record: int) -> list[JournalFrame]:
        return retell(self._agent.messages, self._manager.record_of, record)[-RETOLD_FRAMES:]

    def _beginning_of_last_turn(self) -> int:
        said = last_said(self._agent.messages)
        record = None if said is None else self._manager.record_of(said.get("tracking_id", ""))
        return self._manager.head if record is None else record

    @property
    def _known(self) -> Known:
        return self._manager.inputs.get(self._client_id, Known())
